# Goal: ranks with a GPU each train as one (on the emulation, two of them on this host): the steps of one rank with the batch of both, a
# resumed run to the same bytes; what is not finite is so for all; a rank killed, or one that does not come to a sum, ends the run within
# seconds and it is told where; too few devices and a missing NCCL are said, and one rank does without it.

. "$BATS_TEST_DIRNAME/noise.sh"
. "$BATS_TEST_DIRNAME/mpi.sh"

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    mkdir photos
    for i in 0 1 2 3 4 5 6 7; do
        noisy 40 $i > photos/$i.ppm
    done
}

setup() {
    mpi_setup
    unit=$BATS_TEST_DIRNAME/../${B:-build}/unit
    [ -f "$unit/libtwist-cuda.so" ] || skip "no emulation of CUDA: g++ and CUDA's headers make it"
    mkdir bin lib
    cp "$BIN"/twist-train "$BIN"/twist-finetune bin
    cp "$BIN"/libtwist-mpi.so "$unit"/libtwist-cuda.so "$unit"/libnccl.so.2 lib # found in ../lib
    PATH=$PWD/bin:$PATH
    PHOTOS=$BATS_FILE_TMPDIR/photos
    export EMULATE_DEVICES=2 EMULATE_UNGUARDED=1 XDG_CACHE_HOME=$PWD/cache
    export LD_LIBRARY_PATH=$PWD/lib # under sanitizers, whose dlopen does not look beside who calls
}

# ranks N DIR [OPTION...]: 2 steps an epoch with 4 samples in all, labels from the second epoch on.
ranks() {
    local n=$1 dir=$2 views
    shift 2
    views="pipe:twist-decode -q -j1 --shuffle --epochs=3 --start-epoch=%e --skip=%s --shard=%r/%n/$((4 / n)) $PHOTOS | twist-augment -q -j1 --aug=barlow --size=32"
    $MPIRUN -n "$n" twist-train --device=cuda -i "$views" -o "$dir" --backbone=resnet18 --hid-dim=16 --dim=8 --epochs=3 \
        --mme-epochs=1 --use-momentum-encoder=1 --optim=sgd --lr=0.05 --lr-sl=0.05 --warmup-epochs=0 --precision=fp32 --bunch-size=4 --threads=1 --batch-size=$((4 / n)) "$@"
}

@test "two ranks take the steps of one; resumed, they end with the same bytes" {
    ranks 1 one -q --max-steps=2
    ranks 2 two -q --max-steps=4
    [ "$(losses two | wc -l)" -eq 4 ]
    close_to one two 2
    ranks 2 again -q --max-steps=3
    ranks 2 again -q --max-steps=4 --resume
    twist-ckpt --diff again/checkpoint.safetensors two/checkpoint.safetensors
}

@test "fine-tuning: each rank's norms take its own samples; two that have the same pictures are one that has them" {
    mkdir -p photos/a photos/b twice/a twice/b
    for i in 0 1 2 3 4 5 6 7; do
        cp "$PHOTOS/$i.ppm" photos/$([ $i -lt 4 ] && echo a || echo b)
        for copy in $i $i.same; do cp "$PHOTOS/$i.ppm" twice/$([ $i -lt 4 ] && echo a || echo b)/$copy.ppm; done
    done
    tune() { # RANKS PICTURES DIR [OPTION...]
        local views="twist-augment -q --aug=eval --resize=16 --size=16"
        $MPIRUN -n "$1" twist-finetune -q --device=cuda -o "$3" --backbone=resnet18 --small-stem --epochs=2 --batch-size=4 --lr-backbone=0.001 \
            --precision=fp32 --threads=1 --no-history -i "pipe:twist-decode -q --epochs=2 --shard=%r/%n $2 | $views" \
            --val="pipe:twist-decode -q photos | $views" "${@:4}"
    }
    tune 1 photos one > one.json
    tune 2 twice two > two.json
    cmp one.json two.json
    cmp one/best.safetensors two/best.safetensors
    diff <(losses one) <(losses two)
    [ "$(losses two | wc -l)" -eq 4 ]
    EMULATE_NCCL_HANG=1:130 run tune 2 twice hung --sync-bn --patience=5
    [ "$status" -eq 1 ]
    echo "$output"
    [[ "$output" == *"twist-finetune: rank 0: cuda: the step's "*" pass: not finished after 5 s: the device of another rank does not respond"* ]]
}

@test "a rank killed in the middle of its sums: all end, it is named" {
    EMULATE_NCCL_DIE=1:130 run ranks 2 run -q --save-every=1
    echo "$output"
    [ "$status" -ne 0 ]
    [[ "$output" == *"rank 1"* ]]
    [ $(($(date +%s) - $(stat -c %Y run/log.jsonl))) -le 60 ]
    twist-ckpt run/checkpoint.safetensors > /dev/null
}

@test "a rank that does not come to a sum: the others have patience with it, then say where they are" {
    EMULATE_NCCL_HANG=1:130 run ranks 2 run -q --save-every=1 --patience=5
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-train: rank 0: cuda: the step's "*": not finished after 5 s: the device of another rank does not respond"* ]]
    [ $(($(date +%s) - $(stat -c %Y run/log.jsonl))) -le 60 ]
    twist-ckpt run/checkpoint.safetensors > /dev/null
}

@test "numbers that are not finite are everybody's: one message, every rank's batch is kept" {
    run ranks 2 run -q --lr=1e40 --save-every=1000
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(grep -c 'the step was not taken' <<< "$output")" -eq 1 ]
    [ -s run/checkpoint.safetensors ] && [ -s run/bad-batch.tws ] && [ -s run/bad-batch.1.tws ]
}

@test "one device for two ranks, a rank without one, no NCCL: refused, and why; one rank needs no NCCL" {
    EMULATE_DEVICES=1 run ranks 2 run -q
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"ranks 0 and 1 have the same device: each rank needs its own (1 are visible here)"* ]]
    mv bin/twist-train bin/true-train
    printf '#!/bin/sh\nEMULATE_DEVICES=$OMPI_COMM_WORLD_RANK exec true-train "$@"\n' > bin/twist-train
    chmod +x bin/twist-train
    run ranks 2 run -q --device=auto
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"the device is "*" here, but "*" on rank "* ]]
    mv bin/true-train bin/twist-train
    echo nothing > lib/libnccl.so.2
    run ranks 2 run -q
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cuda: several ranks on GPUs need NCCL: "*"libnccl.so.2"* ]]
    ranks 1 run -q --max-steps=1
}
