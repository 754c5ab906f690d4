# Goal: twist-train learns from any views stream, goes on after any death at the very sample with the very weights, and refuses
# what it cannot train on in one message.

. "$BATS_TEST_DIRNAME/noise.sh"

setup_file() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    cd "$BATS_FILE_TMPDIR"
    two_kinds 10
    "$BIN/twist-decode" -q --shuffle --epochs=3 photos | "$BIN/twist-augment" -q --aug=barlow --size=32 -o views.tws
}

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    SMALL="--backbone=resnet18 --hid-dim=16 --dim=8 --batch-size=4 --epochs=3 --optim=sgd --lr=0.5 -j1"
    VIEWS=$BATS_FILE_TMPDIR/views.tws
    cd "$BATS_TEST_TMPDIR"
}

# The run by which others are judged: 15 steps from a file.
straight() {
    mkdir -p straight && (cd straight && twist-train -q -i "$VIEWS" -o run $SMALL --resume "$@")
}

@test "a run writes its checkpoint, backbone, options and a log of every step and epoch" {
    twist-train -q -i "$VIEWS" -o run $SMALL
    [ -s run/checkpoint.safetensors ] && [ -s run/backbone.safetensors ]
    grep -q '"batch_size":4' run/args.json
    grep -q '"mme_epochs":800,' run/args.json # as it was said, not what came of it
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 15 ]
    [ "$(grep -c '"end_of_epoch":' run/log.jsonl)" -eq 3 ]
    grep '"step":7,' run/log.jsonl | grep -q '"loss":-\{0,1\}[0-9].*"kl":.*"eh":.*"he":.*"lr":.*"grad_norm":.*"views_per_second":'
    grep '"end_of_epoch":2,' run/log.jsonl | grep -q '"agreement":.*"nmi":[0-9]'
    [ ! -e run/mme_ckpt.safetensors ]
}

@test "killed at any step and started again: byte for byte the checkpoint and the log of a run never stopped" {
    straight --save-every=1
    mkdir killed && cd killed
    for step in 1 5 8; do
        twist-train -q -i "$VIEWS" -o run $SMALL --resume --save-every=1 &
        for _ in $(seq 600); do
            [ "$(grep -c '"step":' run/log.jsonl 2> /dev/null)" -ge $step ] && break
            sleep 0.05
        done
        kill -9 $! 2> /dev/null || true
        wait $! || true
    done
    twist-train -q -i "$VIEWS" -o run $SMALL --resume --save-every=1
    cmp run/checkpoint.safetensors ../straight/run/checkpoint.safetensors
    cut -d, -f1-9 run/log.jsonl | grep '"step"' > steps
    cut -d, -f1-9 ../straight/run/log.jsonl | grep '"step"' | cmp - steps
    diff <(grep end_of_epoch run/log.jsonl) <(grep end_of_epoch ../straight/run/log.jsonl)
}

@test "SIGTERM: a checkpoint after the step in hand, exit 75; the data follows by %e and %s" {
    straight
    mkdir stopped && cd stopped
    local input="pipe:twist-decode -q --shuffle --epochs=3 --start-epoch=%e --skip=%s $BATS_FILE_TMPDIR/photos | twist-augment -q --aug=barlow --size=32"
    twist-train -i "$input" -o run $SMALL --resume 2> said &
    for _ in $(seq 600); do
        [ "$(grep -c '"step":' run/log.jsonl 2> /dev/null)" -ge 3 ] && break
        sleep 0.05
    done
    kill -TERM $!
    rc=0; wait $! || rc=$?
    cat said
    [ $rc -eq 75 ]
    grep -q 'stopped by signal 15' said
    run twist-train -i "$input" -o run $SMALL --resume
    [ "$status" -eq 0 ]
    [[ "$output" == *"continuing from run/checkpoint.safetensors: epoch"* ]]
    [[ "$output" != *"was written with"* ]]
    cmp run/backbone.safetensors ../straight/run/backbone.safetensors
    diff <(grep end_of_epoch run/log.jsonl) <(grep end_of_epoch ../straight/run/log.jsonl)
    # complete: nothing is read, nothing is done
    rm run/backbone.safetensors # as where the process was killed behind its checkpoint
    run twist-train -i nowhere -o run $SMALL --resume
    [ "$status" -eq 0 ]
    [[ "$output" == *"the run is complete"* ]]
    cmp run/backbone.safetensors ../straight/run/backbone.safetensors
}

@test "a stream that begins earlier is read up to the place, one that begins later is refused" {
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=7
    twist-cat -q --skip=36 "$VIEWS" -o late.tws
    run twist-train -i late.tws -o run $SMALL --resume --epoch-samples=20
    [ "$status" -eq 1 ]
    [[ "$output" == *"late.tws"*"epoch 1, sample 8"* ]]
    run twist-train -i "$VIEWS" -o run $SMALL --resume --max-steps=8
    [ "$status" -eq 0 ]
    [[ "$output" == *"28 samples read"* ]]
}

@test "a run that goes on with other options: they are named, but for those that change no byte" {
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=7
    run twist-train -i "pipe:cat $VIEWS" -o run $SMALL --resume --max-steps=8 --save-every=1 --threads=2 --lr-sl=0.25
    [ "$status" -eq 0 ]
    [ "$(grep -c 'was written with' <<< "$output")" -eq 2 ]
    [[ "$output" != *"the seed of its order"* ]]
    [[ "$output" == *'--lr-sl is 0.25; run/checkpoint.safetensors was written with 0.05'* ]]
    [[ "$output" == *"--input is \"pipe:cat $VIEWS\"; run/checkpoint.safetensors was written with \"$VIEWS\""* ]]
    run twist-train -i "pipe:twist-decode -q --shuffle --seed=5 --epochs=3 $BATS_FILE_TMPDIR/photos | twist-augment -q --aug=barlow --size=32" -o run $SMALL --resume \
        --max-steps=9
    [ "$status" -eq 0 ]
    [[ "$output" == *": the seed of its order is 5, that of the run so far was 0: "* ]]
    [[ "$output" != *"the checksum of its data set"* ]]
    cp -r "$BATS_FILE_TMPDIR/photos" photos
    mv photos/a/0.ppm photos/b/zero.ppm
    run twist-train -i "pipe:twist-decode -q --shuffle --epochs=3 photos | twist-augment -q --aug=barlow --size=32" -o run $SMALL --resume --max-steps=10
    [ "$status" -eq 0 ]
    [[ "$output" == *": the checksum of its data set is "*", that of the run so far was "*": in this epoch some samples may come twice"* ]]
}

@test "bad pictures, the first one among them, leave each epoch a batch short: the run is complete; one that ends early is not" {
    cp -r "$BATS_FILE_TMPDIR/photos" some && for i in 0 1 2; do head -c 100 /dev/urandom > some/a/$i.ppm; done
    twist-decode -q --epochs=3 some 2> bad | twist-augment -q --aug=barlow --size=32 -o some.tws
    [ "$(wc -l < bad)" -eq 9 ]
    twist-train -i some.tws -o run $SMALL 2> said
    grep -q 'some.tws: begins at epoch 0, sample 3: the samples before it are not trained on' said
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 12 ]
    [ "$(grep -c '"end_of_epoch":' run/log.jsonl)" -eq 3 ]
    run twist-train -q -i some.tws -o run $SMALL --resume
    [ "$status" -eq 0 ]
    twist-cat -q --head=44 some.tws -o less.tws # that those who cut it off left out is not the pictures' fault
    run twist-train -i less.tws -o less $SMALL --epoch-samples=20
    [ "$status" -eq 1 ]
    [[ "$output" == *"less.tws: ended after 2 of 3 epochs"* ]]
    for i in 3 4 5 6 7 8 9; do : > some/a/$i.ppm; done
    twist-decode -q --epochs=3 some 2> bad | twist-augment -q --aug=barlow --size=32 -o many.tws # as many left out as an epoch has, and more
    run twist-train -q -i many.tws -o many $SMALL --epochs=5
    [ "$status" -eq 1 ]
    [[ "$output" == *"many.tws: ended after 2 of 5 epochs"* ]]
    twist-train -q -i many.tws -o all $SMALL --save-every=1
    run twist-train -i nowhere -o all $SMALL --resume
    [ "$status" -eq 0 ]
}

@test "a bad picture before a stop, or before the head of a farm was killed, in the last epoch: the run is complete, with the weights of a run never stopped" {
    cp -r "$BATS_FILE_TMPDIR/photos" some && head -c 100 /dev/urandom > some/a/0.ppm
    local views='twist-decode -q --epochs=1 --start-epoch=%e --skip=%s some 2> /dev/null | twist-augment -q --aug=barlow --size=32'
    twist-train -q -i "pipe:$views" -o straight $SMALL --epochs=1
    twist-train -q -i "pipe:$views" -o stopped $SMALL --epochs=1 --max-steps=1
    twist-train -q -i "pipe:$views" -o stopped $SMALL --epochs=1 --resume
    cmp stopped/backbone.safetensors straight/backbone.safetensors
    twist-decode -q --epochs=1 some 2> /dev/null | twist-augment -q --aug=barlow --size=32 -o whole.tws
    cat > twist-feed <<'END'
#!/bin/sh
[ -e died ] || { touch died; head -c 60000 whole.tws; kill -9 $$; }
echo "$2 $3" > again
twist-decode -q --epochs=1 --start-epoch=$2 --skip=$3 some 2> /dev/null | twist-augment -q --aug=barlow --size=32
END
    chmod +x twist-feed
    twist-train -q -i "pipe:./twist-feed head %e %s" -o farm $SMALL --epochs=1
    [ "$(cut -d' ' -f2 again)" -ge 5 ]
    cmp farm/backbone.safetensors straight/backbone.safetensors
}

@test "stopped where nothing good is left of an epoch: the run goes on, and is complete" {
    twist-synth -q -o s --count=10 --val-count=0 --classes=2 --size=32
    mkdir p
    local i=0 f
    for f in $(find s/train -name '*.jpg' | sort | head -n 4); do mv "$f" p/$((i++)).jpg; done
    for ((; i < 10; i++)); do echo bad > p/$i.jpg; done
    local views='twist-decode -q --epochs=3 --start-epoch=%e --skip=%s p 2> /dev/null | twist-augment -q --aug=barlow --size=32'
    set -- -q -i "pipe:$views" $SMALL --batch-size=4 --epochs=3 --resume
    twist-train -o straight "$@"
    twist-train -o stopped "$@" --max-steps=1
    twist-train -o stopped "$@"
    cmp stopped/backbone.safetensors straight/backbone.safetensors
}

@test "a writer that keeps the pipe open behind the end record: --max-steps does not wait for it, a signal ends the wait" {
    # --foreground: the command behind < <( is timeout's child; in another process group than that, its parent's end would be the kernel's reason to
    # send SIGHUP to all the tests, if another test has a process stopped at the time
    timeout --foreground 60 twist-train -q -o few $SMALL --max-steps=15 -i - < <(cat "$VIEWS"; exec sleep 100.25) # which the shell does not wait for
    timeout --foreground --preserve-status 60 twist-train -q -o all $SMALL -i - < <(cat "$VIEWS"; exec sleep 100.25) 3>&- &
    until [ -e all/checkpoint.safetensors ] && [ "$(grep -c '"end_of_epoch":' all/log.jsonl)" -eq 3 ]; do sleep 0.1; done
    sleep 0.5
    pkill -TERM -fx "twist-train -q -o all $SMALL -i -"
    wait $!
    pkill -f '^sleep 100.25$' || true
    cmp all/backbone.safetensors few/backbone.safetensors
}

@test "self-labeling begins at --mme-epochs and keeps the checkpoint it began with" {
    twist-train -q -i "$VIEWS" -o run $SMALL --mme-epochs=1 --quantile=0.5
    [ -s run/mme_ckpt.safetensors ]
    [ "$(grep -c '"threshold":' run/log.jsonl)" -eq 10 ]
    grep '"step":6,' run/log.jsonl | grep -q '"selected":2,'
}

@test "multi-crop and every optimizer" {
    twist-decode -q --epochs=1 "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=multicrop --size=32 --local-size=24 --local-crops-number=2 -o crops.tws
    for optim in lars sgd admw; do
        twist-train -q -i crops.tws -o $optim $SMALL --epochs=1 --optim=$optim --lr=0.1 --clip-norm=1 --act=gelu --drop=0.1
        [ "$(grep -c '"step":' $optim/log.jsonl)" -eq 5 ]
    done
}

@test "a teacher: in the checkpoint, through a stop byte for byte, refused where the run began without, opened by twist-ckpt and twist-embed" {
    straight --use_momentum_encoder=1 --momentum_start=0.5 --mme-epochs=2 --act=gelu --drop=0.2
    twist-train -q -i "$VIEWS" -o run $SMALL --use_momentum_encoder 1 --momentum_start=0.5 --mme-epochs=2 --act=gelu --drop=0.2 --max-steps=7
    twist-train -q -i "$VIEWS" -o run $SMALL --use_momentum_encoder 1 --momentum_start=0.5 --mme-epochs=2 --act=gelu --drop=0.2 --resume
    # all but the args, which have --resume
    twist-ckpt --to=a.npz run/checkpoint.safetensors && twist-ckpt --to=b.npz straight/run/checkpoint.safetensors
    cmp a.npz b.npz
    [ "$(grep -c '"threshold":' run/log.jsonl)" -eq 5 ]
    twist-ckpt --part=teacher --to=teacher.safetensors run/checkpoint.safetensors
    twist-ckpt --part=model --to=model.safetensors run/checkpoint.safetensors
    ! cmp -s teacher.safetensors model.safetensors || false
    twist-decode -q "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=eval --size=32 | twist-embed -q --no-history teacher.safetensors > features
    twist-decode -q "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=eval --size=32 | twist-embed -q --no-history --part=teacher run/checkpoint.safetensors | cmp - features
    ! twist-decode -q "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=eval --size=32 | twist-embed -q --no-history run/checkpoint.safetensors | cmp -s - features || false
    run twist-train -i "$VIEWS" -o run $SMALL --resume --epochs=4
    [ "$status" -eq 1 ]
    [[ "$output" == *"run/checkpoint.safetensors: was trained with a momentum encoder"* ]]
    run twist-train -i "$VIEWS" -o none $SMALL --max-steps=1
    run twist-train -i "$VIEWS" -o none $SMALL --resume --use-momentum-encoder=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"was trained without a momentum encoder"* ]]
}

@test "bf16: the same weights for any -j and through a stop, not those of fp32; refused where oneDNN is held back from it" {
    ONEDNN_MAX_CPU_ISA=AVX2 run twist-train -q -i "$VIEWS" -o held $SMALL --precision=bf16
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-train: "*"no bf16"*"--precision=fp32"* ]]
    ONEDNN_MAX_CPU_ISA=AVX2 twist-train -q -i "$VIEWS" -o held $SMALL --max-steps=1 # auto: fp32
    twist-train -q -i "$VIEWS" -o run $SMALL --precision=bf16 2> said || { grep 'no bf16' said; skip "this processor has no bf16"; }
    twist-train -q -i "$VIEWS" -o two $SMALL -j2 --precision=bf16
    twist-train -q -i "$VIEWS" -o cut $SMALL --precision=bf16 --max-steps=7
    twist-train -q -i "$VIEWS" -o cut $SMALL --precision=bf16 --resume
    twist-ckpt --diff run/checkpoint.safetensors two/checkpoint.safetensors
    twist-ckpt --diff run/checkpoint.safetensors cut/checkpoint.safetensors
    twist-train -q -i "$VIEWS" -o exact $SMALL --precision=fp32
    run twist-ckpt --diff run/checkpoint.safetensors exact/checkpoint.safetensors
    [ "$status" -eq 1 ]
}

@test "--init begins with the weights of a checkpoint or of a backbone alone" {
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=2
    for file in checkpoint backbone; do
        twist-train -q -i "$VIEWS" -o $file $SMALL --init=run/$file.safetensors --lr=0 --max-steps=1
    done
    # a step at rate 0 changes running statistics only, those of the same weights alike
    cmp checkpoint/backbone.safetensors backbone/backbone.safetensors
    run twist-train -i "$VIEWS" -o other --init=run/checkpoint.safetensors $SMALL --dim=9
    [ "$status" -eq 1 ]
    [[ "$output" == *"run/checkpoint.safetensors"* ]]
    run twist-train -i "$VIEWS" -o gelu --init=run/checkpoint.safetensors $SMALL --act=gelu --max-steps=1
    [ "$status" -eq 0 ]
    [[ "$output" == *"run/checkpoint.safetensors: its head was trained with --act=relu"* ]]
}

@test "--max-steps: a stream that stalls behind the last batch is not waited for" {
    size=$(stat -c %s "$VIEWS")
    timeout --foreground 60 twist-train -q -o run $SMALL --max-steps=3 < <(head -c $((size / 2)) "$VIEWS"; exec sleep 100 3>&-)
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 3 ]
}

@test "--max-steps beyond the run: the progress line tells of the steps that there are" {
    twist-train --progress -i "$VIEWS" -o run $SMALL --max-steps=100 2> said
    grep -q 'step [0-9]*/15,' said
    ! grep -q '/100,' said
}

@test "one process trains in a folder: another is refused; what a killed one had half written is gone" {
    mkdir run && touch -d '1 hour ago' run/.checkpoint.safetensors.1234.tmp run/.notes.1.tmp && touch run/.checkpoint.safetensors.7.tmp
    (sleep 30 | twist-train -q -o run $SMALL > /dev/null 2>&1 & echo $! > pid) 3>&-
    for _ in $(seq 200); do [ -e run/args.json ] && break; sleep 0.05; done
    [ ! -e run/.checkpoint.safetensors.1234.tmp ] && [ -e run/.notes.1.tmp ] && [ -e run/.checkpoint.safetensors.7.tmp ]
    run twist-train -i "$VIEWS" -o run $SMALL
    kill -9 "$(cat pid)"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-train: run: another process is training there" ]]
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=1
}

@test "a folder with a run is not overwritten; another batch size, optimizer or network is refused by name" {
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=1
    sum=$(cksum < run/checkpoint.safetensors)
    run twist-train -i "$VIEWS" -o run $SMALL
    [ "$status" -eq 1 ]
    [[ "$output" == *"run/checkpoint.safetensors"*"--resume"* ]]
    run twist-train -i "$VIEWS" -o run $SMALL --resume --batch-size=5
    [ "$status" -eq 1 ]
    [[ "$output" == *"--batch-size=5"* ]]
    run twist-train -i "$VIEWS" -o run $SMALL --resume --optim=lars
    [ "$status" -eq 1 ]
    [[ "$output" == *"--optim=lars"*"sgd"* ]]
    run twist-train -i "$VIEWS" -o run $SMALL --resume --hid-dim=17
    [ "$status" -eq 1 ]
    run twist-train -i "$VIEWS" -o run $SMALL --resume --act=gelu
    [ "$status" -eq 1 ]
    [[ "$output" == *"--act=gelu: run/checkpoint.safetensors was trained with relu"* ]]
    [[ "$output" == *"run/checkpoint.safetensors"* ]]
    [ "$(cksum < run/checkpoint.safetensors)" = "$sum" ]
}

@test "a cut stream: what was learned is saved, exit 1 with the reason" {
    head -c $(($(stat -c %s "$VIEWS") / 2)) "$VIEWS" > cut.tws
    run twist-train -i cut.tws -o run $SMALL --save-every=1000
    [ "$status" -eq 1 ]
    [[ "$output" == *"cut.tws"* ]]
    [ -s run/checkpoint.safetensors ]
    run twist-train -q -i "$VIEWS" -o run $SMALL --resume
    [ "$status" -eq 0 ]
    straight
    cmp run/backbone.safetensors straight/run/backbone.safetensors
}

@test "a stream that ends before the last epoch is a failure, and nothing is lost" {
    run twist-train -i "$VIEWS" -o run $SMALL --epochs=5
    [ "$status" -eq 1 ]
    [[ "$output" == *"ended after 3 of 5 epochs"* ]]
    [ -s run/checkpoint.safetensors ]
}

@test "a first run that fails before its first step leaves no checkpoint: the command put right is taken" {
    twist-decode -q --shuffle --epochs=3 --start-epoch=2 "$BATS_FILE_TMPDIR/photos" | twist-augment -q --aug=barlow --size=32 -o late.tws
    twist-cat -q --head=0 "$VIEWS" -o none.tws
    run twist-train -q -i late.tws -o run $SMALL
    [ "$status" -eq 1 ]
    [[ "$output" == *"begins at epoch 2"* ]]
    run twist-train -q -i none.tws -o run $SMALL --epoch-samples=20
    [ "$status" -eq 1 ]
    [[ "$output" == *"none.tws: ended after 0 of 3 epochs" ]]
    [ ! -e run/checkpoint.safetensors ]
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=1
    # one that is stopped by then has one
    run timeout --preserve-status -s TERM 2 twist-train -i "pipe:head -c 3000 $VIEWS; sleep 30" -o slow $SMALL
    [ "$status" -eq 75 ]
    [ -s slow/checkpoint.safetensors ]
}

@test "streams that cannot be trained on: another kind, one view, views of other sizes, too few samples, broken records" {
    twist-decode -q "$BATS_FILE_TMPDIR/photos" -o images.tws
    run twist-train -i images.tws -o run $SMALL
    [ "$status" -eq 1 ] && [[ "$output" == *"images.tws"*"stream of images"* ]]
    twist-augment -q -i images.tws --aug=eval --size=32 -o one.tws
    run twist-train -i one.tws -o run $SMALL
    [ "$status" -eq 1 ] && [[ "$output" == *"one view"* ]]
    twist-augment -q -i images.tws --aug=barlow --size=24 -o small.tws
    twist-cat -q --head=6 "$VIEWS" -o a.tws && twist-cat -q --skip=6 small.tws -o b.tws
    twist-cat -q a.tws b.tws -o mixed.tws
    run twist-train -i mixed.tws -o run $SMALL
    [ "$status" -eq 1 ] && [[ "$output" == *"mixed.tws"*"--epoch-samples"* ]]
    run twist-train -i mixed.tws -o mixed $SMALL --epoch-samples=20
    [ "$status" -eq 1 ] && [[ "$output" == *"24 x 24, where the first sample's is 32 x 32"* ]]
    for i in 1 0 0; do twist-cat -q --skip=$i --head=1 "$VIEWS" -o $((++n)).tws; done
    twist-cat -q 2.tws 3.tws -o same.tws # as of a writer that leaves pos out
    run twist-train -i same.tws -o same $SMALL --epoch-samples=20
    [ "$status" -eq 1 ] && [[ "$output" == *"same.tws"*": epoch 0, pos 0 is that of the sample before it too; training needs positions in "* ]]
    twist-cat -q 1.tws 2.tws -o falls.tws
    run twist-train -i falls.tws -o falls $SMALL --epoch-samples=20
    [ "$status" -eq 1 ] && [[ "$output" == *"falls.tws"*": epoch 0, pos 0 comes after a later one; training needs positions in ascending order"* ]]
    run twist-train -i "$VIEWS" -o run $SMALL --batch-size=21
    [ "$status" -eq 1 ] && [[ "$output" == *"20 samples is less than one batch of 21"* ]]
    { head -c 20000 "$VIEWS"; printf xxxxxxxx; tail -c +20009 "$VIEWS"; } > broken.tws
    run twist-train -i broken.tws -o run $SMALL
    [ "$status" -eq 1 ] && [[ "$output" == *"broken.tws"*"record"* ]]
    run twist-train -i nowhere.tws -o none $SMALL
    [ "$status" -eq 1 ] && [[ "$output" == *"nowhere.tws"* ]]
}

@test "another --epoch-samples than the stream's is refused; a signal while it opens is named" {
    run twist-train -q -i "$VIEWS" -o run $SMALL --epoch-samples=10
    [ "$status" -eq 1 ]
    [[ "$output" == *"--epoch-samples=10: $VIEWS has epochs of 20"* ]]
    twist-train -q -i "$VIEWS" -o run $SMALL --epoch-samples=20 --max-steps=1
    run timeout --preserve-status -s TERM 1 twist-train -i "pipe:sleep 30" -o slow $SMALL
    [ "$status" -eq 75 ]
    [[ "$output" == *"stopped by signal 15 before the views came"* ]]
}

@test "what this build cannot do is said: cuda, fp16, an unknown backbone; a folder that cannot be made" {
    run twist-train -i "$VIEWS" -o run $SMALL --device=cuda
    [ "$status" -eq 1 ] && [[ "$output" == *"--device=cuda"* ]]
    run twist-train -i "$VIEWS" -o run $SMALL --precision=fp16
    [ "$status" -eq 1 ] && [[ "$output" == *"fp16"* ]]
    run twist-train -i "$VIEWS" -o run --backbone=resnet19
    [ "$status" -eq 2 ] && [[ "$output" == "twist-train: --backbone=resnet19: unknown backbone: there are resnet18, "* ]]
    run twist-train -i "$VIEWS" -o run --backbone=vit_t --small-stem
    [ "$status" -eq 2 ] && [[ "$output" == "twist-train: --backbone=vit_t: the small stem is for ResNets"* ]]
    run twist-train -i /dev/null -o run --backbone=resnet18 --patch-size=8 --drop_path 0.1
    [ "$status" -eq 1 ]
    [[ "${lines[0]}" == "twist-train: --patch-size: for vision transformers only; resnet18 ignores it" ]]
    [[ "${lines[1]}" == "twist-train: --drop-path: for vision transformers only; resnet18 ignores it" ]]
    run twist-train -i /dev/null -o run --backbone=vit_t --momentum-start=0.99
    [[ "${lines[0]}" == "twist-train: --momentum-start: ignored without --use-momentum-encoder=1" ]]
    run twist-train -i "$VIEWS" -o /dev/full $SMALL
    [ "$status" -eq 1 ] && [[ "$output" == *"/dev/full"* ]]
    run twist-train -i "$VIEWS"
    [ "$status" -eq 2 ]
}
