# Goal: the evaluation's pipelines do in one line what the seed's commands do: a folder into an array and a table, that goes on after
# an interruption; fine-tuning with a part of the labels; linear classification.

. "$BATS_TEST_DIRNAME/noise.sh"

setup_file() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    cd "$BATS_FILE_TMPDIR"
    mkdir -p data/train/a data/train/b
    for i in 0 1 2 3 4 5 6 7; do
        noisy 16 $i > data/train/a/$i.ppm
        { printf 'P6 16 16 255\n'; head -c 720 /dev/zero; noise 48 $((100 + i)); } > data/train/b/$i.ppm
    done
    cp -r data/train data/val
    for c in a b; do for i in 0 1 2 3; do echo $c/$i.ppm; done; done > data/10percent.txt
    "$BIN/twist-decode" -q --shuffle data/train | "$BIN/twist-augment" -q --aug=barlow --size=16 |
        "$BIN/twist-train" -q -o pre --backbone=resnet18 --small-stem --hid-dim=16 --dim=8 --batch-size=8 --epochs=1 --optim=sgd --lr=0.1 -j1
}

setup() {
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../bin}" && pwd)
    TREE=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
    PIPELINES=$TREE/pipelines
    export TWIST_BIN=$BIN
    PATH=$BIN:$PATH
    cd "$BATS_TEST_TMPDIR"
    DATA=$BATS_FILE_TMPDIR/data WEIGHTS=$BATS_FILE_TMPDIR/pre/backbone.safetensors
}

@test "embed: a row of the array and a line of the table for each input, bad ones by name and cause; interrupted, it goes on" {
    cp -r "$DATA/train" photos
    echo broken > photos/a/3a.ppm
    echo broken > photos/a/0a.ppm
    "$PIPELINES/embed" photos --weights "$WEIGHTS" -o whole --size=16 --resize=16 -q 2> /dev/null
    [ "$(cat whole.tsv | wc -l)" -eq 19 ]
    [ "$(grep -c '	[ab]	ok$' whole.tsv)" -eq 16 ]
    sed -n 3p whole.tsv | grep -q '^photos/a/0a.ppm		not a picture'
    sed -n 7p whole.tsv | grep -q '^photos/a/3a.ppm		not a picture'
    head -c 120 whole.npy | grep -q "'<f4'.*(18, 512"
    # row 2 is NaN, row 1 is not
    od -An -tx4 -j $((256 + 2048)) -N 8 whole.npy | grep -q '7fc00000 7fc00000'
    ! od -An -tx4 -j 256 -N 2048 whole.npy | grep -q '7fc00000' || false
    [ ! -e whole.emb ]
    # what a killed run leaves: a part of the stream, and the list of what it found bad, beyond what was embedded
    "$PIPELINES/embed" photos --weights "$WEIGHTS" -o part --size=16 --resize=16 --keep -q 2> /dev/null
    head -c 8000 part.emb > cut.emb && mv cut.emb part.emb
    rm part.npy part.tsv
    printf 'photos/a/0a.ppm\tnot a picture: none of JPEG, PNG, WebP, GIF, BMP, PNM, TIFF\nphotos/a/3a.ppm\tnot a picture: none of JPEG, PNG, WebP, GIF, BMP, PNM, TIFF\n' > part.rejects.1
    run "$PIPELINES/embed" photos --weights "$WEIGHTS" -o part --size=16 --resize=16
    [ "$status" -eq 0 ]
    [[ "$output" == *"continuing after 3 samples"* ]]
    cmp whole.npy part.npy
    cmp whole.tsv part.tsv
    [ -z "$(ls part.rejects* part.emb 2> /dev/null)" ]
}

@test "embed: a bad picture that a list names twice has both its lines, whole and gone on with" {
    cp -r "$DATA/train" photos
    echo broken > photos/a/3.ppm && : > photos/b/3.ppm
    printf 'photos/%s\n' a/0.ppm a/3.ppm a/1.ppm a/3.ppm a/2.ppm b/3.ppm a/3.ppm > list
    embed() { "$PIPELINES/embed" --list=list --weights "$WEIGHTS" --size=16 --resize=16 -q "$@" 2> /dev/null; }
    embed -o whole
    [ "$(cut -f1 whole.tsv | tail -n +2)" = "$(cat list)" ]
    embed -o part --keep
    head -c 5500 part.emb > cut.emb && mv cut.emb part.emb # its list goes on to the end
    mv part.rejects part.rejects.1
    rm part.npy part.tsv
    embed -o part
    cmp whole.tsv part.tsv
    cmp whole.npy part.npy
}

@test "embed: with --keep the same command changes nothing; other settings and other weights do not go on in its file" {
    cp -r "$DATA/train" photos
    cp "$WEIGHTS" w.safetensors
    echo broken > photos/a/3a.ppm
    embed() { "$PIPELINES/embed" photos --weights w.safetensors -o x --size=16 "$@"; }
    embed --resize=16 --keep -q -j 1 --no-history 2> /dev/null
    cp x.npy whole.npy
    cp x.tsv whole.tsv
    grep -q '^photos/a/3a.ppm		not a picture' x.tsv
    rm x.npy
    run embed --resize=16 --keep -j1 --batch-size=3
    [ "$status" -eq 0 ]
    [[ "$output" == "twist-embed: x.emb: complete: 16 samples" ]]
    cmp x.npy whole.npy
    cmp x.tsv whole.tsv
    for other in --resize=20 --type=f16; do
        run embed $other -j1
        [ "$status" -eq 1 ]
        [[ "$output" == "embed: x.emb: begun with other settings or weights"*"remove it to start over" ]]
    done
    touch -d '2001-01-01' w.safetensors
    run embed --resize=16
    [ "$status" -eq 1 ]
    [[ "$output" == "embed: x.emb: begun with other settings or weights"* ]]
    rm x.emb
    embed --resize=16 -q 2> /dev/null
    cmp x.tsv whole.tsv
    [ "$(ls -d x*)" = "x.npy
x.tsv" ]
}

@test "embed takes several folders, or a list alone" {
    "$PIPELINES/embed" "$DATA/train/a" "$DATA/val/b/3.ppm" --weights "$WEIGHTS" -o x --size=16 --resize=16 -q
    [ "$(cut -f 1 x.tsv | sed "s,$DATA/,," | tail -n 2)" = "train/a/7.ppm
val/b/3.ppm" ]
    sed 1d x.tsv | cut -f 1 > list
    "$PIPELINES/embed" --list list --weights "$WEIGHTS" -o y --size=16 --resize=16 -q
    cmp x.npy y.npy
    cmp x.tsv y.tsv
}

@test "embed refuses a folder, weights and words that are not there" {
    run "$PIPELINES/embed" nowhere --weights "$WEIGHTS" -o x
    [ "$status" -eq 1 ]
    [[ "$output" == *"nowhere"* ]]
    run "$PIPELINES/embed" "$DATA" -o x
    [ "$status" -eq 2 ]
    run "$PIPELINES/embed" --weights "$WEIGHTS" -o x
    [ "$status" -eq 2 ]
    [[ "${lines[0]}" == "embed: wants a FOLDER (or --list)" ]]
    run "$PIPELINES/embed" "$DATA" --weights "$WEIGHTS" -o x --no-such=3
    [ "$status" -eq 2 ]
    [[ "$output" == *"no-such"* ]]
    run "$PIPELINES/embed" "$DATA" --weights "$WEIGHTS" -o no/x
    [ "$status" -eq 1 ]
    [ "$output" = "embed: no/x: no folder no" ]
}

@test "semi: the seed's commands, word for word, are its recipes" {
    for p in "1 0.04 20" "10 0.02 20" "100 0.01 30"; do
        set -- $p
        touch "$DATA/1percent.txt"
        run "$PIPELINES/semi" "$DATA" "$WEIGHTS" --weights finetune --lr-backbone $2 --lr-classifier 0.2 --train-percent $1 --weight-decay 0 \
            --epochs $3 --backbone 'resnet50' --dry-run
        [ "$status" -eq 0 ]
        given=$output
        [[ "$given" == "twist-finetune -o $BATS_FILE_TMPDIR/pre/semi-$1 --weights $WEIGHTS "*"--lr-backbone=$2 --epochs=$3 "*" --precision=fp32 "*"--aug=linear"*"--aug=eval"* ]]
        [ "$1" = 100 ] || [[ "$given" == *"--subset=$DATA/$1percent.txt"* ]]
        run "$PIPELINES/semi" "$DATA" "$WEIGHTS" --train-percent $1 --dry-run --lr-classifier=0.2 --weight-decay=0
        [ "$output" = "$given" ]
    done
    run "$PIPELINES/semi" "$DATA" "$WEIGHTS" --key backbone --print-freq 50 --use_lmdb 0 --dataset imagenet --precision bf16 --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == *" --precision=bf16 "* && "$output" != *print-freq* ]]
    rm "$DATA/1percent.txt"
    run "$PIPELINES/semi" "$DATA" "$WEIGHTS" --train-percent 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"1percent.txt"*"SimCLR"* ]]
}

@test "semi trains on the list only, and goes on where it was stopped" {
    run env MPIRUN=nosuch "$PIPELINES/semi" "$DATA" "$WEIGHTS" --ranks 2 -o tuned
    [ "$status" -eq 1 ]
    [[ "$output" == *"nosuch: not found; it starts the ranks"* ]]
    [ ! -e tuned ]
    run "$PIPELINES/semi" "$DATA" "$WEIGHTS" --train-percent 10 -o run --size=16 --resize=16 --epochs=3 --batch-size=4 --lr-backbone=0.001 --max-steps=3 -j1
    echo "$output"
    [ "$status" -eq 0 ]
    "$PIPELINES/semi" "$DATA" "$WEIGHTS" --train-percent 10 -o run --size=16 --resize=16 --epochs=3 --batch-size=4 --lr-backbone=0.001 -j1 -q > result
    cat result
    grep -q '"epochs": 3, "steps": 6}' result # 8 of the 16 pictures
    grep -q '"val_samples":16' run/log.jsonl
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 6 ]
    cp "$WEIGHTS" other.safetensors && touch -d 2001-01-01 other.safetensors
    for other in "$WEIGHTS --lr-backbone=0.002" "other.safetensors --lr-backbone=0.001"; do
        run "$PIPELINES/semi" "$DATA" $other --train-percent 10 -o run --size=16 --resize=16 --epochs=3 --batch-size=4 -j1
        [ "$status" -eq 1 ]
        [[ "$output" == *"run: a run with other settings or of another checkpoint"* ]]
    done
}

@test "linear: from stored features, and from random views embedded anew in every epoch" {
    sizes="--size=16 --resize=16 --epochs=4 --batch-size=8 -j1"
    "$PIPELINES/linear" "$DATA" "$WEIGHTS" -o stored $sizes --lr=0.01,0.001 --normalize > result
    grep -q '"rates": \[{"lr": 0.01, .*{"lr": 0.001, ' result
    [ -s stored/classifier.safetensors ] && [ -s stored/train.emb ]
    "$PIPELINES/linear" "$DATA" "$WEIGHTS" -o augmented $sizes --views augmented --lr=0.001 > result
    grep -q '"epochs": 4, "classes": 2, "val": 16}' result
    [ ! -e augmented/train.emb ]
    # the seed's command, word for word
    run "$PIPELINES/linear" "$DATA" "$WEIGHTS" --weight-decay 0 --checkpoint-dir out/ --batch-size 1024 --val_epoch 1 --lr-classifier 0.2 --views augmented --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == "twist-decode -q $DATA/val | twist-augment -q --aug=eval | twist-embed -q -o out//val.emb $WEIGHTS "$'\n'"twist-linear --train 'pipe:"*"--epochs=100 "*"--aug=linear"*"twist-embed"*" --val out//val.emb "*"--batch-size=1024 --lr-classifier=0.2"* ]]
    run "$PIPELINES/linear" "$DATA" "$WEIGHTS" --views none
    [ "$status" -eq 2 ]
    # the official scripts' other words say what holds here, or are refused before anything is embedded
    run "$PIPELINES/linear" "$DATA" "$WEIGHTS" -o out --workers 3 --key backbone --weights freeze --print-freq 9 --use_lmdb 0 --dataset imagenet \
        --backbone resnet50 --patch_size 16 --num_labels 1000 --train-percent 100 --lr-backbone 0.0 --dry-run
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "twist-decode -q -j3 $DATA/train | twist-augment -q --aug=eval -j3 | twist-embed -q -o out/train.emb $WEIGHTS "* ]]
    [ "${#lines[@]}" -eq 3 ]
    for word in --weights=finetune --key=ema_backbone --use_lmdb=1 --lr-backbone=0.1 --train-percent=10 --dataset=cifar --no-such=1; do
        run "$PIPELINES/linear" "$DATA" "$WEIGHTS" -o out "$word"
        [ "$status" -eq 2 ]
        name=${word%%=*}
        [[ "$output" == *"${name//_/-}"* ]]
        [ ! -e out ]
    done
    for word in --momentum=x --batch-size=0 --epochs=none --seed=-1 --lr=0.1,; do
        run "$PIPELINES/linear" "$DATA" "$WEIGHTS" -o out "$word"
        echo "$output"
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "twist-linear: ${word%%=*}: "* ]]
        [ ! -e out ]
    done
}

@test "vision transformers are evaluated on bicubic views; the linear one by the seed's words, with its blocks and rate" {
    twist-decode -q --shuffle "$DATA/train" | twist-augment -q --aug=barlow --size=16 |
        twist-train -q -o vit --backbone=vit_t --hid-dim=16 --dim=8 --batch-size=8 --epochs=1 --max-steps=1 -j1
    vit=vit/backbone.safetensors
    run "$PIPELINES/linear" --arch vit_t --pretrained_weights $vit --data_path "$DATA" --output_dir out --views augmented --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == *"--aug=linear --seed=0 --interpolation=bicubic "*"twist-embed -q --n-last-blocks=4 $vit "*" --lr=0.02 --scale-lr"* ]]
    run "$PIPELINES/linear" --arch vit_s --pretrained_weights $vit --data_path "$DATA" --output_dir out
    [ "$status" -eq 2 ]
    [[ "${lines[0]}" == "linear: --arch=vit_s: $vit has vit_t" ]]
    [ ! -e out ]
    run "$PIPELINES/linear" --pretrained_weights $vit "$DATA" --avgpool_patchtokens false --lr 0.5 --batch_size_per_gpu 64 --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == *"--lr=0.5 --batch-size=64 --scale-lr"* && "$output" != *"--lr=0.02"* ]]
    run "$PIPELINES/linear" "$DATA" $vit --avgpool-patchtokens=often
    [ "$status" -eq 2 ]
    [[ "$output" == *"--avgpool-patchtokens: 'often' is neither true nor false"* ]]
    for no in False 0 off; do
        run "$PIPELINES/linear" "$DATA" $vit --avgpool_patchtokens $no --dry-run
        [ "$status" -eq 0 ]
        [[ "$output" != *avgpool* ]]
    done
    run "$PIPELINES/linear" "$DATA" $vit --avgpool_patchtokens True --n_last_blocks 1 --dry-run
    [[ "$output" == *"--n-last-blocks=1 --avgpool-patchtokens"* ]]
    "$PIPELINES/linear" "$DATA" $vit -o token --avgpool-patchtokens --size=16 --resize=16 --epochs=1 --batch-size=8 -j1 -q > /dev/null
    [ "$(twist-cat --json token/val.emb | sed -n 2p | grep -o '"features": .*' | tr -cd , | wc -c)" -eq 959 ] # 4 blocks and the mean, of 192 each
    [ "$("$PIPELINES/semi" "$DATA" $vit --dry-run | grep -o 'interpolation=[a-z]*' | sort | uniq -c | tr -s ' ')" = " 2 interpolation=bicubic" ]
    run "$PIPELINES/semi" "$DATA" $vit --interpolation bilinear --dry-run
    [[ "$output" != *bicubic* ]]
    "$PIPELINES/embed" "$DATA/val" --weights $vit -o v --size=16 --resize=20 --keep -q
    "$PIPELINES/cluster" "$DATA" $vit -o c --size=16 --resize=20 -q --kmeans 2 > /dev/null
    for file in v.emb c/cluster.emb; do twist-cat --json $file | head -n 1 | grep -q 'aug=eval.*interpolation=bicubic'; done
}

@test "cluster: k-means wants no head, the classes of a head do" {
    run "$PIPELINES/cluster" "$DATA" "$WEIGHTS" -o out --size=16 --resize=16 -q --kmeans 2
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *'"clusters": 2, "inertia": '*'"samples": 16, "labelled": 16}' ]]
    [ "$(wc -l < out/assignments.tsv)" -eq 17 ]
    run "$PIPELINES/cluster" "$DATA" "$WEIGHTS" -o out2 --size=16 --resize=16 -q
    [ "$status" -eq 1 ]
    [[ "$output" == *"a backbone without a head has no logits or probs"* ]]
    run "$PIPELINES/cluster" "$DATA" "$BATS_FILE_TMPDIR/pre/checkpoint.safetensors" -o out3 --size=16 --resize=16 -q --top 2
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 16 ]
    for wrong in "--top 9x" "--bogus 3" "--spherical" "--kmeans 2 --match m.json"; do # before anything is embedded
        run "$PIPELINES/cluster" "$DATA" "$WEIGHTS" -o out4 $wrong
        echo "$output"
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "twist-cluster: ${wrong%% *}"* || "${lines[0]}" == "twist-cluster: --match and --kmeans"* || "${lines[0]}" == *"--bogus"* ]]
        [ ! -e out4 ]
    done
}

@test "linear and cluster: what an interrupted run has embedded is not embedded again; with other settings all is" {
    export LOG=$PWD/embedded
    mkdir bin # the programs, where twist-embed says how many samples it begins with
    ln -s "$BIN"/* bin/
    rm bin/twist-embed
    printf '#!/bin/sh\nshift # -q\nexec "%s/twist-embed" "$@" 2>> "$LOG"\n' "$BIN" > bin/twist-embed
    chmod +x bin/twist-embed
    export TWIST_BIN=$PWD/bin
    linear() { "$PIPELINES/linear" "$DATA" "$WEIGHTS" -o out --resize=16 --epochs=2 --batch-size=8 -j1 --lr=0.01 "$@"; }
    linear --size=16 > result
    cp out/train.emb whole.emb
    [ "$(ls out)" = "classifier.safetensors
train.emb
val.emb" ]
    run linear --size=16 --log=no/such/log # fails after the embedding
    [ "$status" -ne 0 ]
    : > embedded
    head -c 8000 out/train.emb > cut && mv cut out/train.emb
    linear --size=16 | cmp - result
    cmp out/train.emb whole.emb
    grep 'train.emb: continuing after 3 samples' embedded
    grep 'val.emb: complete: 16 samples' embedded
    run linear --size=16 --log=no/such/log
    : > embedded
    linear --size=12 > other
    ! grep -E 'continuing|complete' embedded || false
    [ ! -e out/train.emb.settings ]
    run "$PIPELINES/cluster" "$DATA" "$WEIGHTS" -o out --size=16 --resize=16 --kmeans 200
    [ "$status" -eq 1 ]
    : > embedded
    "$PIPELINES/cluster" "$DATA" "$WEIGHTS" -o out --size=16 --resize=16 --kmeans 2
    grep 'cluster.emb: complete: 16 samples' embedded
    [ ! -e out/cluster.emb.settings ]
}
