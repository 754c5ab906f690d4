# Promise: --device=cuda says what is missing and exits 1; --device=auto trains and embeds on the CPU then.

bats_load_library bats-support
bats_load_library bats-assert

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    root=$BATS_TEST_DIRNAME/..
    emulated=$root/${B:-build}/unit/libtwist-cuda.so
    views=$root/tests/golden/checkpoint/views.tws
    mkdir bin lib
    cp "$BIN"/twist-embed "$BIN"/twist-train "$BIN"/twist-finetune "$BIN"/twist-knn "$BIN"/twist-cluster "$BIN"/twist-linear bin
    cp "$BIN"/libtwist-cpu.so lib # found in ../lib; no libtwist-cuda.so
    export LD_LIBRARY_PATH=
}

# Both streams have the same samples, with features that differ by no more than 1e-4 of the largest number.
near() {
    local f
    for f in "$1" "$2"; do
        "$BIN"/twist-cat -q --npy features="$f.npy" "$f"
        od -An -v -tf4 -w4 -j128 "$f.npy" > "$f.numbers"
        "$BIN"/twist-cat --json "$f" | tail -n +2 | cut -d , -f 1-4 > "$f.keys"
    done
    cmp "$1.keys" "$2.keys" && [ -s "$1.numbers" ] && [ "$(wc -l < "$1.numbers")" -eq "$(wc -l < "$2.numbers")" ] &&
        paste "$1.numbers" "$2.numbers" | awk '{d = $1 - $2; d = d < 0 ? -d : d; m = d > m ? d : m; l = $2 > l ? $2 : l} END {exit !(m <= 1e-4 * l)}'
}

# The emulation of a device found beside the programs.
emulate() {
    [ -f "$emulated" ] || skip "no emulation of CUDA: g++ and CUDA's headers make it"
    cp "$emulated" lib
    export XDG_CACHE_HOME=$PWD/cache
}

@test "without libtwist-cuda.so: exit 1 and the name of what is missing" {
    run bin/twist-embed --device=cuda --random-init=resnet18 -i "$views" -o out
    assert_failure 1
    assert_output --partial "--device=cuda: "
    assert_output --partial "libtwist-cuda.so"
    run bin/twist-train --device=cuda -i "$views" -o run
    assert_failure 1
    assert_output --partial "--device=cuda: "
    run bin/twist-finetune --device=cuda --random-init=resnet18 -i "$views" -o tuned
    assert_failure
}

@test "a libtwist-cuda.so that does not load, or is another thing: the reason" {
    echo nothing > lib/libtwist-cuda.so
    run bin/twist-embed --device=cuda --random-init=resnet18 -i "$views" -o out
    assert_failure 1
    assert_output --partial "libtwist-cuda.so"
    cp lib/libtwist-cpu.so lib/libtwist-cuda.so
    run bin/twist-embed --device=cuda --random-init=resnet18 -i "$views" -o out
    assert_failure 1
    assert_output --partial "another version"
}

@test "without a device: exit 1; auto is the CPU, with the same bytes" {
    emulate
    export EMULATE_DEVICES=0
    run bin/twist-embed --device=cuda --random-init=resnet18 -i "$views" -o out
    assert_failure 1
    assert_output --partial "no working NVIDIA device"
    bin/twist-embed --no-history --device=auto --precision=fp32 --random-init=resnet18 --seed=1 -i "$views" -o auto
    bin/twist-embed --no-history --device=cpu --precision=fp32 --random-init=resnet18 --seed=1 -i "$views" -o cpu
    cmp auto cpu
}

@test "the emulated device embeds every sample and keeps its plans; vision transformers too" {
    emulate
    bin/twist-embed --no-history --device=cuda --precision=fp32 --random-init=resnet18 --seed=1 -i "$views" -o gpu
    bin/twist-embed --no-history --device=cpu --precision=fp32 --random-init=resnet18 --seed=1 -i "$views" -o cpu
    near gpu cpu
    bin/twist-embed --no-history --device=cuda --precision=fp32 --random-init=resnet18 --seed=1 --batch-size=2 -i "$views" -o pairs
    near pairs cpu
    ls cache/twist/plans-*
    for device in cuda cpu; do
        bin/twist-embed --no-history --device=$device --precision=fp32 --random-init=vit_t --seed=1 -i "$views" -o vit
        "$BIN"/twist-cat --json vit | sed -n 's/.*"features": \[\([^]]*\)\].*/\1/p' | tr -d ' ' | tr , '\n' > $device
    done
    paste cuda cpu | awk '{d = $1 - $2; if (d < -1e-4 || d > 1e-4) exit 1} END {exit NR != 5 * 192}'
}

@test "neighbours, k-means and the linear classifier are the CPU's on the emulated device; without a device they are refused" {
    emulate
    export EVAL=$root/tests/golden/eval
    for d in cpu cuda; do
        bin/twist-knn --device=$d --train "$EVAL/train.tws" --val "$EVAL/val.tws" -k 1,10,50 > knn.$d
        bin/twist-knn --device=$d --train "$EVAL/train.tws" --val "$EVAL/val.tws" --neighbours 9 > near.$d
        bin/twist-cluster --device=$d --kmeans 4 --assignments map.$d "$EVAL/train.tws" | sed 's/"inertia": [0-9.]*//' > clusters.$d
        bin/twist-linear --device=$d --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs 5 --batch-size 16 --lr 0.1,0.2 --normalize -o $d.safetensors > learned.$d
        bin/twist-linear --device=$d --train "$EVAL/epochs.tws" --val "$EVAL/val.tws" --batch-size 8 >> learned.$d # as they come
        grep -oE '[0-9.]+' learned.$d > linear.$d
    done
    cmp knn.cpu knn.cuda
    cmp near.cpu near.cuda
    cmp clusters.cpu clusters.cuda
    cmp map.cpu map.cuda
    [ "$(wc -l < linear.cuda)" -gt 20 ]
    paste linear.cpu linear.cuda | awk '{d = $1 - $2; if (d > 1e-4 || d < -1e-4) exit 1}'
    for d in cpu cuda; do
        "$BIN"/twist-ckpt $d.safetensors | grep -P '\t' > tensors.$d
    done
    cmp tensors.cpu tensors.cuda
    export EMULATE_DEVICES=0
    for program in "twist-knn --train $EVAL/train.tws --val $EVAL/val.tws" "twist-cluster --kmeans 4 $EVAL/train.tws" \
        "twist-linear --train $EVAL/train.tws --val $EVAL/val.tws"; do
        run bin/$program --device=cuda
        assert_failure 1
        assert_output --partial "no working NVIDIA device"
    done
}

@test "fine-tuning on the emulated device: the losses, checkpoints and accuracies of the CPU" {
    emulate
    export EMULATE_UNGUARDED=1
    mkdir -p photos/a photos/b
    for i in 1 2 3; do
        { printf 'P6 16 16 255\n'; yes "$i and so on" | head -c 768; } > photos/a/$i.ppm
        { printf 'P6 16 16 255\n'; head -c $((700 - i)) /dev/zero; yes $i | head -c $((68 + i)); } > photos/b/$i.ppm
    done
    "$BIN"/twist-decode -q --shuffle photos | "$BIN"/twist-augment -q --aug=eval --size=16 --resize=16 -o small.tws
    for d in cpu cuda; do
        bin/twist-finetune -q --device=$d --precision=fp32 --backbone=resnet18 --small-stem --batch-size=3 --val-batch-size=3 --epochs=1 -j1 \
            --lr-backbone=0.001 --lr-classifier=0.01 -i small.tws --val small.tws -o tuned.$d > $d.json
        grep -oE '"(loss|grad_norm|val_acc1)":[0-9.e-]+' tuned.$d/log.jsonl | cut -d : -f 2 > $d.numbers
    done
    [ "$(wc -l < cuda.numbers)" -ge 5 ] # two steps, an epoch
    paste cpu.numbers cuda.numbers | awk '{d = ($1 - $2) / ($1 > 1 ? $1 : 1); if (NF != 2 || d > 1e-3 || d < -1e-3) exit 1}'
    cmp cpu.json cuda.json
    [ "$("$BIN"/twist-ckpt tuned.cuda/best.safetensors | grep -c '\[')" -eq "$("$BIN"/twist-ckpt tuned.cpu/best.safetensors | grep -c '\[')" ]
}

@test "training in fp16 on the emulated device, stopped and gone on with: the checkpoint of a run never stopped, its loss scale too" {
    emulate
    export EMULATE_UNGUARDED=1
    mkdir -p photos/a
    for i in 1 2 3 4 5 6 7 8; do { printf 'P6 16 16 255\n'; yes "$i and so on" | head -c 768; } > photos/a/$i.ppm; done
    "$BIN"/twist-decode -q --shuffle photos | "$BIN"/twist-augment -q --aug=barlow --size=16 -o some.tws
    train="twist-train -q --device=cuda --precision=fp16 --backbone=resnet18 --small-stem --hid-dim=16 --dim=8 --batch-size=2 --optim=sgd --lr=0.1
        --epochs=1 -j1 -i $PWD/some.tws -o run"
    mkdir straight stopped
    (cd straight && ../bin/$train)
    for steps in 2 100; do (cd stopped && ../bin/$train --resume --max-steps=$steps 2> said); done
    "$BIN"/twist-ckpt straight/run/checkpoint.safetensors | grep '^loss_scale'
    ! "$BIN"/twist-ckpt straight/run/checkpoint.safetensors | grep '^loss_scale = 65536$' || false # the first is too much for this network
    for run in straight stopped; do "$BIN"/twist-ckpt $run/run/checkpoint.safetensors | grep -v '^args\|^straight\|^stopped' > $run.listed; done
    cmp straight.listed stopped.listed
    cmp straight/run/backbone.safetensors stopped/run/backbone.safetensors
}

@test "fine-tuning in fp16 on the emulated device, measured after each epoch: stopped and gone on with, the checkpoint of a run never stopped" {
    emulate
    export EMULATE_UNGUARDED=1
    mkdir -p photos/a photos/b
    for i in 1 2 3; do
        { printf 'P6 16 16 255\n'; yes "$i and so on" | head -c 768; } > photos/a/$i.ppm
        { printf 'P6 16 16 255\n'; yes "$((i * 7)) or so" | head -c 768; } > photos/b/$i.ppm
    done
    views="$BIN/twist-augment -q --aug=eval --size=16 --resize=16"
    tune="twist-finetune -q --device=cuda --precision=fp16 --backbone=resnet18 --small-stem --batch-size=2 --val-batch-size=3 --epochs=2 -j1
        --lr-backbone=0.001 --lr-classifier=0.01 -o run"
    mkdir straight stopped
    for run in straight:100 stopped:2 stopped:4 stopped:100; do
        (cd ${run%:*} && ../bin/$tune --resume --max-steps=${run#*:} --val="pipe:$BIN/twist-decode -q ../photos | $views" \
            -i "pipe:$BIN/twist-decode -q --shuffle --epochs=2 --start-epoch=%e --skip=%s ../photos | $views" > json 2> said)
    done
    "$BIN"/twist-ckpt straight/run/checkpoint.safetensors | grep "^loss_scale_steps"
    for run in straight stopped; do "$BIN"/twist-ckpt $run/run/checkpoint.safetensors | grep -v '^args\|^straight\|^stopped' > $run.listed; done
    cmp straight.listed stopped.listed
    "$BIN"/twist-ckpt --diff straight/run/checkpoint.safetensors stopped/run/checkpoint.safetensors
    cmp straight/json stopped/json
}
