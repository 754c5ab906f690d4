# Goal: a run killed without warning at every single step, and gone on with each time, ends in the checkpoint of a run never
# stopped, byte for byte: multi-crop, AdamW, dropout, a teacher, self-labeling in the last epoch, data by %e and %s.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../../bin}
    PATH=$BIN:$PATH
    cd "$BATS_TEST_TMPDIR"
}

run_on() { # DIR
    (cd "$1" && exec twist-train -q -o run --resume --save-every=1 --backbone=resnet18 --hid-dim=16 --dim=8 --batch-size=4 --epochs=3 \
        --mme-epochs=2 --optim=admw --lr=0.05 --drop=0.1 --clip-norm=3 --use-momentum-encoder=1 --momentum-start=0.5 -j2 \
        -i "pipe:twist-decode -q --shuffle --seed=3 --epochs=3 --start-epoch=%e --skip=%s ../pictures/train |
            twist-augment -q --aug=multicrop --size=32 --local-size=24 --local-crops-number=2 --mme-epochs=2")
}

@test "killed at every step" {
    twist-synth -q -o pictures --count=22 --val-count=10 --size=40
    mkdir straight killed
    run_on straight
    for step in $(seq 15); do
        run_on killed &
        for _ in $(seq 1200); do
            [ "$(grep -c '"step":' killed/run/log.jsonl 2> /dev/null)" -ge "$step" ] && break
            sleep 0.02
        done
        kill -9 $! 2> /dev/null || true
        wait $! || true
    done
    run_on killed
    cmp straight/run/checkpoint.safetensors killed/run/checkpoint.safetensors
    diff <(grep end_of_epoch straight/run/log.jsonl) <(grep end_of_epoch killed/run/log.jsonl)
    cmp straight/run/mme_ckpt.safetensors killed/run/mme_ckpt.safetensors
}
