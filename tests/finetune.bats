# Goal: twist-finetune trains a pretrained network on labelled views, measures it and keeps the best; it goes on after any death at the
# very sample with the very weights, and refuses what it cannot train on in one message.

. "$BATS_TEST_DIRNAME/noise.sh"

setup_file() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    cd "$BATS_FILE_TMPDIR"
    mkdir -p photos/a photos/b
    for i in 0 1 2 3 4 5 6 7 8 9; do # noise, and black with a row of noise: told apart by a few steps
        noisy 16 $i > photos/a/$i.ppm
        { printf 'P6 16 16 255\n'; head -c 720 /dev/zero; noise 48 $((100 + i)); } > photos/b/$i.ppm
    done
    "$BIN/twist-decode" -q --shuffle --epochs=3 photos | "$BIN/twist-augment" -q --aug=linear --size=16 -o views.tws
    "$BIN/twist-decode" -q photos | "$BIN/twist-augment" -q --aug=eval --size=16 --resize=16 -o val.tws
    "$BIN/twist-decode" -q --shuffle photos | "$BIN/twist-augment" -q --aug=barlow --size=16 |
        "$BIN/twist-train" -q -o pre --backbone=resnet18 --small-stem --hid-dim=16 --dim=8 --batch-size=10 --epochs=1 --optim=sgd --lr=0.1 -j1
}

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    VIEWS=$BATS_FILE_TMPDIR/views.tws VAL=$BATS_FILE_TMPDIR/val.tws WEIGHTS=$BATS_FILE_TMPDIR/pre/checkpoint.safetensors
    SMALL="--weights=$WEIGHTS --batch-size=5 --epochs=3 --lr-backbone=0.001 --lr-classifier=0.01 -j1 --no-history"
    cd "$BATS_TEST_TMPDIR"
}

straight() {
    mkdir -p straight && (cd straight && twist-finetune -q -i "$VIEWS" -o run $SMALL --val="$VAL" --resume "$@" > result)
}

@test "bad pictures leave each epoch a batch short: the run is complete, and measured" {
    cp -r "$BATS_FILE_TMPDIR/photos" some && for i in 0 1 2; do head -c 100 /dev/urandom > some/a/$i.ppm; done
    twist-decode -q --epochs=3 some 2> bad | twist-augment -q --aug=linear --size=16 | twist-finetune -q -o run $SMALL --val="$VAL" > result
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 9 ]
    [ "$(grep -c '"end_of_epoch":.*"val_samples":20' run/log.jsonl)" -eq 3 ]
    grep -q '"epochs": 3, "steps": 9}' result
}

@test "a run learns, measures every epoch, keeps the best as a network with a classifier, and logs" {
    twist-decode -q --shuffle --epochs=9 "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=linear --size=16 |
        twist-finetune -q -o run $SMALL --batch-size=10 --epochs=9 --lr-backbone=0.004 --lr-classifier=0.008 --val="$VAL" > result
    cat result run/log.jsonl
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 18 ]
    [ "$(grep -c '"end_of_epoch":.*"val_acc1":.*"val_samples":20' run/log.jsonl)" -eq 9 ]
    grep '"step":7,' run/log.jsonl | grep -q '"lr_backbone":0.003,"lr_classifier":0.006,' # cosine: epoch 3 of 9 is at three quarters
    grep -q '"epochs": 9, "steps": 18}' result
    awk -F'[:,]' '{ exit !($2 >= 0.8) }' result # chance is 0.5
    grep -q '"batch_size":10' run/args.json
    twist-ckpt run/best.safetensors > list
    grep -q '^fc.weight	f32 \[2, 512\]' list
    grep -q '^conv1.weight	f32 \[64, 3, 3, 3\]' list
    grep -q '^classes = \["a","b"\]' list
    # the best of the log is what is said and written
    best=$(grep -oE '"val_acc1":[0-9.]+' run/log.jsonl | cut -d: -f2 | sort -n | tail -n 1)
    grep -q "^acc1 = $best\$" list
    grep -q "{\"acc1\": $best," result
}

@test "killed at any step and started again: byte for byte the files of a run never stopped" {
    straight --save-every=1
    mkdir killed && cd killed
    for step in 2 5 9; do
        twist-finetune -q -i "$VIEWS" -o run $SMALL --val="$VAL" --resume --save-every=1 > result &
        for _ in $(seq 600); do
            n=$(grep -c '"step":' run/log.jsonl 2> /dev/null) || true; [ "${n:-0}" -ge $step ] && break
            sleep 0.05
        done
        kill -9 $! 2> /dev/null || true
        wait $! || true
    done
    twist-finetune -q -i "$VIEWS" -o run $SMALL --val="$VAL" --resume --save-every=1 > result
    cmp run/checkpoint.safetensors ../straight/run/checkpoint.safetensors
    cmp run/best.safetensors ../straight/run/best.safetensors
    cmp result ../straight/result
    # complete: nothing is read, the result is said again
    twist-finetune -q -i nowhere -o run $SMALL --val=nowhere --resume | cmp - result
}

# stop_when COMMAND...: once that is true, SIGTERM to the program in the background, which says something (in the file said) and exits 75.
stop_when() {
    local rc=0
    for _ in $(seq 600); do "$@" && break; sleep 0.05; done
    kill -TERM $!
    wait $! || rc=$?
    cat said
    [ $rc -eq 75 ]
}
steps() { [ "$(grep -c '"step":' run/log.jsonl 2> /dev/null)" -ge "$1" ]; }
reading() { [ -e "$1" ] && sleep 0.5; } # the pipe's command has begun, and the program waits for it

@test "stopped in and between epochs, typed again when complete: the best is the first of equals, the last one's accuracies and every epoch's line stay" {
    tune() { twist-finetune -q -i "$VIEWS" -o "$1" $SMALL --lr-backbone=0 --lr-classifier=1e-9 --val=three.tws --resume "${@:2}"; }
    for few in a b; do # of three pictures an untrained classifier has one or two right, in every epoch
        mkdir -p three-$few/a three-$few/b
        for name in $few/0.ppm a/1.ppm b/1.ppm; do cp "$BATS_FILE_TMPDIR/photos/$name" three-$few/$name; done
        twist-decode -q three-$few | twist-augment -q --aug=eval --size=16 --resize=16 -o three.tws
        tune straight-$few > straight.json
        for n in 3 5 9; do tune stopped-$few --max-steps=$n --save-every=1 > part.json; done
        tune stopped-$few --save-every=1 > stopped.json
        cat straight.json
        cmp straight.json stopped.json
        tune stopped-$few > again.json
        cmp straight.json again.json
        cmp straight-$few/best.safetensors stopped-$few/best.safetensors
        diff <(grep end_of_epoch straight-$few/log.jsonl) <(grep end_of_epoch stopped-$few/log.jsonl)
    done
    # a process that is killed behind an epoch's line, with the checkpoint from before it
    twist-finetune -q -i "$VIEWS" -o killed $SMALL --save-every=4 --max-steps=4
    cp killed/checkpoint.safetensors at4
    twist-finetune -q -i "$VIEWS" -o killed $SMALL --save-every=4 --resume
    cp at4 killed/checkpoint.safetensors
    twist-finetune -q -i "$VIEWS" -o killed $SMALL --save-every=4 --resume
    [ "$(grep -c end_of_epoch killed/log.jsonl)" -eq 3 ]
    ! grep -q null killed/log.jsonl || false
}

@test "SIGTERM: a checkpoint after the step in hand, exit 75; the data follows by %e and %s" {
    straight
    mkdir stopped && cd stopped
    local input="pipe:twist-decode -q --shuffle --epochs=3 --start-epoch=%e --skip=%s $BATS_FILE_TMPDIR/photos | twist-augment -q --aug=linear --size=16"
    twist-finetune -i "$input" -o run $SMALL --val="$VAL" --resume > result 2> said &
    stop_when steps 3
    grep -q 'stopped by signal 15' said
    twist-finetune -q -i "$input" -o run $SMALL --val="$VAL" --resume > result
    cmp run/best.safetensors ../straight/run/best.safetensors
    cmp result ../straight/result
}

@test "SIGTERM while it waits for the views to measure on, the first one or another: exit 75, and the same command goes on" {
    straight
    for come in 0 5000; do
        mkdir stopped$come && cd stopped$come
        twist-finetune -i "$VIEWS" -o run $SMALL --resume > result 2> said \
            --val="pipe:[ ! -e looked ] || { head -c $come $VAL; touch measuring; sleep 300; }; touch looked; cat $VAL" &
        stop_when reading measuring
        grep -q 'stopped by signal 15 after step 4' said
        twist-finetune -q -i "$VIEWS" -o run $SMALL --val="$VAL" --resume > result
        cmp run/best.safetensors ../straight/run/best.safetensors
        cmp result ../straight/result
        cd ..
    done
}

@test "stopped where all steps are done, but not measured: it is measured when it is typed again" {
    straight --max-steps=4
    for save in 0 4; do
        rm -rf run looked measuring
        twist-finetune -i "$VIEWS" -o run $SMALL --max-steps=4 --save-every=$save --resume > result 2> said \
            --val="pipe:[ ! -e looked ] || { touch measuring; sleep 300; }; touch looked; cat $VAL" &
        stop_when reading measuring
        twist-finetune -q -i "$VIEWS" -o run $SMALL --max-steps=4 --save-every=$save --val="$VAL" --resume > result
        cat result
        cmp result straight/result
        cmp run/best.safetensors straight/run/best.safetensors
        twist-finetune -q -i nowhere -o run $SMALL --max-steps=4 --save-every=$save --val="$VAL" --resume > result # complete
        cmp result straight/result
    done
}

@test "what is to be measured on is looked at before the first step" {
    twist-decode -q "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=barlow --size=16 -o pairs.tws
    twist-cat -q --head=0 "$VAL" -o none.tws
    for val in nosuch pairs.tws none.tws pipe:false; do
        run twist-finetune -i "$VIEWS" -o run $SMALL --val=$val
        [ "$status" -eq 1 ]
        [[ "$output" == *"${val#pipe:}"* ]]
        [ ! -e run/checkpoint.safetensors ]
    done
}

@test "SIGTERM before the first view has come: exit 75" {
    twist-finetune -i "pipe:touch waiting; sleep 300; cat $VIEWS" -o run $SMALL --val="$VAL" --resume > result 2> said &
    stop_when reading waiting
    grep -q 'stopped by signal 15 before the views came; nothing was learned; the same command starts over' said
    [ ! -e run/checkpoint.safetensors ]
}

@test "the rates are the tensors' own: 0 for the backbone leaves its weights, the classifier moves" {
    twist-finetune -q -i "$VIEWS" -o run $SMALL --lr-backbone=0 --precision=fp32 > result
    grep -q '{"acc1": null,' result
    [ ! -e run/best.safetensors ]
    twist-ckpt --part=backbone --to backbone.npz "$WEIGHTS"
    twist-ckpt --part=backbone --to after.npz run/checkpoint.safetensors
    for f in backbone after; do twist-ckpt --stats $f.npz | grep -v running_ | grep -v num_batches > $f; done
    [ "$(tail -n +3 backbone | wc -l)" -ge 60 ]
    diff <(tail -n +3 backbone) <(tail -n +3 after)
    twist-ckpt --stats run/checkpoint.safetensors | grep '^fc.bias' | grep -qv 'max 0 '
}

@test "an untrained network by --backbone; --max-steps stops there" {
    twist-finetune -q -i "$VIEWS" -o run --backbone=resnet18 --small-stem --batch-size=5 --epochs=3 --max-steps=2 -j1 > result
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 2 ]
    grep -q '"steps": 2}' result
}

@test "another --epoch-samples than the stream's is refused" {
    run twist-finetune -q -i "$VIEWS" -o run $SMALL --epoch-samples=10
    [ "$status" -eq 1 ]
    [[ "$output" == *"--epoch-samples=10: $VIEWS has epochs of 20"* ]]
    # of a share: its own number, or the data set's
    twist-decode -q --epochs=3 --shard=0/2 "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=linear --size=16 -o share.tws
    for n in 10 20; do twist-finetune -q -i share.tws -o run$n $SMALL --epoch-samples=$n --max-steps=1 > result; done
    run twist-finetune -q -i share.tws -o run15 $SMALL --epoch-samples=15 --max-steps=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"--epoch-samples=15: share.tws has epochs of 10"* ]]
}

@test "what it cannot train on is refused in one message: two views, no labels, other classes, no weights, standard input for --val" {
    twist-decode -q "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=barlow --size=16 -o two.tws
    run twist-finetune -i two.tws -o run $SMALL --epochs=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"two.tws"*"2 views"* ]]
    twist-decode -q "$BATS_FILE_TMPDIR/photos/a" | twist-augment -q --aug=linear --size=16 -o plain.tws
    run twist-finetune -i plain.tws -o plain $SMALL --epochs=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"plain.tws"*"--classes"* ]]
    run twist-finetune -i plain.tws -o plain $SMALL --epochs=1 --classes=2
    [ "$status" -eq 1 ]
    [[ "$output" == *"plain.tws"*"no label"* ]]
    mkdir -p other/a other/c && cp "$BATS_FILE_TMPDIR"/photos/a/*.ppm other/a && cp "$BATS_FILE_TMPDIR"/photos/b/*.ppm other/c
    twist-decode -q other | twist-augment -q --aug=eval --size=16 -o other.tws
    run twist-finetune -i "$VIEWS" -o run2 $SMALL --val=other.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"other.tws"*"class 1 is c"*" has b"* ]]
    [ ! -e run2/checkpoint.safetensors ] # before an epoch is spent
    run twist-finetune -i "$VIEWS" -o run3
    [ "$status" -eq 2 ]
    [[ "$output" == *"--weights"* ]]
    run twist-finetune -i "$VIEWS" -o run3 --backbone=resnet19
    [ "$status" -eq 2 ]
    [[ "$output" == "twist-finetune: --backbone=resnet19: unknown backbone"* ]]
    mkfifo once
    for val in - tcp://127.0.0.1:1 ipc://there @tcp://127.0.0.1:1 once <(true); do # wanted after every epoch
        run twist-finetune -i "$VIEWS" -o run3 $SMALL --val="$val"
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "twist-finetune: --val: ${val/#-/standard input} can be read only once, but is read after every epoch: "* ]]
    done
    run twist-finetune -i "$VIEWS" -o run3 $SMALL --weights=nowhere.pth
    [ "$status" -eq 1 ]
    [[ "$output" == *"nowhere.pth"* ]]
}
