# Goal: twist-linear trains and measures as the official evaluation, the same for any -j, and refuses what it cannot measure.

. "$BATS_TEST_DIRNAME/noise.sh"

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    EVAL=$(cd "$BATS_TEST_DIRNAME/golden/eval" && pwd)
    cd "$BATS_TEST_TMPDIR"
}

number() { sed -n "s/.*\"$1\": *\([0-9.e-]*\).*/\1/p" <<< "$output"; }

@test "it learns; one line of JSON; classifier and log, with the same bytes for any -j" {
    run twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs 20 --batch-size 16 -o c.safetensors --log log.jsonl -j 1
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == '{"acc1": '*', "acc5": 1, "epoch": '*', "lr": 0.2, "acc1_last": '*', "acc5_last": 1, "loss_last": '*', "epochs": 20, "classes": 4, "val": 40}' ]]
    awk -v a="$(number acc1)" -v l="$(number acc1_last)" 'BEGIN {exit !(a > 0.9 && a <= 1 && l > 0.9 && l <= a)}' # 4 classes, far apart
    [ "$(wc -l < log.jsonl)" -eq 20 ]
    head -n 1 log.jsonl | grep -E '^\{"epoch": 1, "lr": 0.2, "loss": [0-9.]+, "acc1": [0-9.]+, "acc5": 1, "seconds": [0-9.]+\}$'
    # the best epoch of the log is the one reported, the first of equals
    best=$(sed 's/.*"epoch": \([0-9]*\),.*"acc1": \([0-9.]*\),.*/\2 \1/' log.jsonl | sort -k1,1gr -k2,2n | head -n 1)
    [ "$best" = "$(number acc1) $(number epoch)" ]
    # lr halves in the middle of the cosine
    sed -n 11p log.jsonl | grep -F '"lr": 0.1,'
    grep -aq '"fc.weight":{[^}]*"shape":\[4,8\]' c.safetensors
    grep -aqF 'class 3' c.safetensors
    first=$output
    for j in 2 5; do
        run twist-linear --train "pipe:cat $EVAL/train.tws" --val - --epochs 20 --batch-size 16 -o d.safetensors --no-history -j $j < "$EVAL/val.tws"
        [ "$output" = "$first" ]
        cmp <(tail -c 144 c.safetensors) <(tail -c 144 d.safetensors) # (4 x 8 + 4) numbers
    done
    run twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs 20 --batch-size 16 --seed 1
    [ "$output" != "$first" ]
}

@test "the seed's spelling works, --normalize copes with badly scaled features" {
    run twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --lr_classifier 0.1 --weight-decay 0.001 --batch_size 32 --epochs 5 --log log --momentum 0
    [ "$status" -eq 0 ]
    head -n 1 log | grep -F '"lr": 0.1,'
    run twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --normalize --epochs 30 -o n.safetensors
    [ "$status" -eq 0 ]
    awk -v a="$(number acc1)" 'BEGIN {exit !(a > 0.9)}'
}

@test "a stream that begins with a later epoch has as many epochs as follow" {
    mkdir -p photos/a photos/b
    for i in 1 2 3; do noisy 16 $i > photos/a/$i.ppm; noisy 16 $((100 + i)) > photos/b/$i.ppm; done
    twist-decode -q --epochs=3 --start-epoch=1 photos | twist-augment -q --aug=linear --size=16 |
        twist-embed -q --random-init=resnet18 --precision=fp32 -o some.emb
    twist-linear --train some.emb --val some.emb --batch-size 2 --lr 0.1 | grep -F '"epochs": 2,'
}

@test "a training stream of several epochs is taken as it comes, one epoch after another" {
    # full batches, so that the order plays no part: the same epochs from a kept stream differ only by rounding
    twist-linear --train "$EVAL/epochs.tws" --val "$EVAL/val.tws" --log a > out
    grep -F '"epochs": 3,' out
    twist-linear --train "$EVAL/epoch.tws" --val "$EVAL/val.tws" --log b --epochs 3
    for e in 1 2 3; do
        awk -v a="$(sed -n "${e}s/.*\"loss\": \([0-9.]*\).*/\1/p" a)" -v b="$(sed -n "${e}s/.*\"loss\": \([0-9.]*\).*/\1/p" b)" \
            'BEGIN {exit !(a > 0 && a - b < 1e-5 && b - a < 1e-5)}'
    done
    # batches of 8, 8, 4: an epoch ends within the stream
    run twist-linear --train "$EVAL/epochs.tws" --val "$EVAL/val.tws" --batch-size 8 -j 3
    [ "$status" -eq 0 ]
    unnamed 2 0 1 0 1 | LC_ALL=C sed 's/epochs\x02/epochs\x03/' > short.tws # its header says more than come
    unnamed 1 0 1 > two.tws
    run twist-linear --train short.tws --val two.tws --batch-size 2
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-linear: short.tws: ends after 2 of its 3 epochs" ]]
    # what twist-cat has cut out of it is one set
    twist-cat --head 25 "$EVAL/epochs.tws" -o cut.tws
    twist-linear --train cut.tws --val "$EVAL/val.tws" --epochs=1 | grep -F '"epochs": 1,'
    # of more epochs than are wanted the first ones are taken
    twist-linear --train "$EVAL/epochs.tws" --val "$EVAL/val.tws" --epochs 2 --log c > out
    grep -F '"epochs": 2,' out
    [ "$(wc -l < c)" -eq 2 ]
    for args in "--epochs 4" "--normalize"; do
        run twist-linear --train "$EVAL/epochs.tws" --val "$EVAL/val.tws" $args
        [ "$status" -eq 1 ]
        [[ "$output" == *"epochs.tws"*"epochs"* ]]
    done
}

unnamed() { # EPOCHS LABEL...: a stream that names no classes; one feature
    local epochs=$1 e label
    shift
    printf '\x83\xa5twist\x01\xa4kind\xa8features\xa6epochs%b' "\\x0$epochs"
    for ((e = 0; e < epochs; e++)); do
        for label; do
            printf '\x85\xa3key\xa1k\xa5index\x00\xa5epoch%b\xa5label%b\xa8features' "\\x0$e" "\\x0$label"
            printf '\x85\xc4\x02nd\xc3\xc4\x04type\xa3<f4\xc4\x04kind\xc4\x00\xc4\x05shape\x91\x01\xc4\x04data\xc4\x04\x00\x00\x00%b' "\\x4$label"
        done
    done
    printf '\x82\xa3end\xc3\xa7samples%b' "\\x0$((epochs * $#))"
}

@test "--classes: how many there are, where the streams do not name them and --val lacks the highest label" {
    unnamed 3 0 1 2 > train.emb
    unnamed 1 0 1 > val.emb
    run twist-linear -q --train train.emb --val val.emb
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-linear: train.emb: sample 2 (k): label 2: there are 2 classes (--classes tells how many)" ]]
    twist-linear --train train.emb --val val.emb --classes=3 | grep -F '"classes": 3,'
    twist-linear --train val.emb --val val.emb --classes=5 --epochs=1 | grep -F '"classes": 5,'
    run twist-linear --train train.emb --val val.emb --classes=1
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-linear: --classes=1: val.emb has label 1" ]]
    run twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --classes=3
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-linear: --classes=3: "*"/train.tws has 4" ]]
    twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --classes=4 --epochs=1 | grep -F '"classes": 4,'
}

@test "bad streams exit 1 with one line that names file and cause, and leave no classifier" {
    good=$EVAL/train.tws
    for bad in "nan.tws=NaN" "odd.tws=7 features, where the first sample has 8" "cut.tws=end" "unlabelled.tws=no label" "wide.tws=9"; do
        file=$EVAL/${bad%%=*}
        for pair in "$file $good" "$good $file"; do
            set -- $pair
            run twist-linear --train "$1" --val "$2" --epochs 2 -o c.safetensors
            echo "$output"
            [ "$status" -eq 1 ]
            [ "${#lines[@]}" -eq 1 ]
            [[ "$output" == "twist-linear: "*"${bad%%=*}"*"${bad#*=}"* ]]
            [ ! -e c.safetensors ]
        done
    done
    run twist-linear --train "$EVAL/../../../formats/images.tws" --val "$good"
    [ "$status" -eq 1 ]
    [[ "$output" == *"images.tws: a stream of images: want features"* ]]
    run twist-linear --train "pipe:cat $good; exit 3" --val "$good"
    [ "$status" -eq 1 ]
    twist-cat --head 0 "$good" -o empty.tws
    run twist-linear --train empty.tws --val "$good"
    [ "$status" -eq 1 ]
    [[ "$output" == *"empty.tws: no samples"* ]]
    [ -z "$(ls -A | grep tmp)" ]
}

@test "a loss that explodes is said, not reported as a result" {
    run twist-linear --train "$EVAL/train.tws" --val "$EVAL/val.tws" --lr 1e6 --weight-decay 1e6 -o c.safetensors
    [ "$status" -eq 1 ]
    [[ "$output" == *"epoch "*": the loss is not finite"* ]]
    [ ! -e c.safetensors ]
}

@test "full disks and missing folders are found out before the work, wrong command lines exit 2" {
    in="--train $EVAL/train.tws --val $EVAL/val.tws --epochs 1"
    run twist-linear $in --log /dev/full
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full"* ]]
    run twist-linear $in -o /dev/full
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full"* ]]
    run bash -c "twist-linear $in > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"standard output"* ]]
    run twist-linear $in -o nowhere/c.safetensors
    [ "$status" -eq 1 ]
    [[ "$output" == *"nowhere"* && "$output" != *acc1* ]]
    for args in "" "--train a" "--train - --val -" "--train a --val b --epochs 0" "--train a --val b --lr -1" "--train a --val b --lr nan" \
        "--train a --val b --batch-size 0" "--train a --val b c"; do
        run twist-linear $args
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-linear -h'"* ]]
    done
    for option in "--output" "--log"; do
        run twist-linear $in $option -
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "twist-linear: $option: '-': give a file"* ]]
        [ ! -e ./- ]
    done
}

@test "several learning rates in one pass are what each gives alone; the best one is reported and written" {
    in="--train $EVAL/train.tws --val $EVAL/val.tws --epochs 6 --batch-size 16 --no-history"
    run twist-linear $in --lr 0.0001,0.3,0.02 -o c.safetensors --log log
    [ "$status" -eq 0 ]
    all=$output
    [ "$(wc -l < log)" -eq 18 ]
    for lr in 0.0001 0.3 0.02; do
        run twist-linear $in --lr $lr -o alone-$lr.safetensors --log alone
        [[ "$all" == *"{\"lr\": $lr, \"acc1\": $(number acc1), "*"\"acc1_last\": $(number acc1_last)}"* ]]
        cmp <(grep "\"of\": $lr," log | cut -d, -f1,4,5) <(cut -d, -f1,3,4 alone)
    done
    best=$(grep -oE '"lr": [0-9.]+, "acc1": [0-9.]+' <<< "${all#*rates}" | sort -t: -k3,3gr -s | head -n 1 | sed 's/"lr": \([0-9.]*\),.*/\1/')
    [[ "$all" == *"\"lr\": $best, \"acc1_last\""* ]]
    cmp c.safetensors alone-$best.safetensors
    # one that explodes is told and left out; only where all do is it a failure
    run twist-linear $in --lr 1e6,0.001 --weight-decay 100
    [ "$status" -eq 0 ]
    [[ "$output" == *"--lr=1e+06: epoch "*"not finite"*'"acc1_last": null'* ]]
    # the best one too: it has no last epoch
    run twist-linear -q $in --lr 10,0 --weight-decay 10 --momentum 0 --seed 1
    [[ "$output" == *'"lr": 10, "acc1_last": null, "acc5_last": null, "loss_last": null, "rates": '*'"acc1_last": null}'* ]]
    # of equal ones that which has
    unnamed 1 0 0 > one.emb
    run twist-linear -q --train one.emb --val one.emb --epochs 20 --lr 10,0 --weight-decay 1e6
    [[ "$output" == '{"acc1": 1, "acc5": 1, "epoch": 1, "lr": 0, "acc1_last": 1, '*'{"lr": 10, "acc1": 1, '*'"acc1_last": null}'* ]]
    run twist-linear $in --lr 0.1,x
    [ "$status" -eq 2 ]
    # the protocol of vision transformers: times batch / 256
    twist-linear $in --lr 1.6 --scale-lr --log scaled
    head -n 1 scaled | grep -qF '"lr": 0.1,'
}
