# Goal: what a run says of itself: curves that TensorBoard reads, through a resume too; a batch whose numbers are not finite is kept and
# told; collapse is called out; the step does not wait for a stream that is there.

. "$BATS_TEST_DIRNAME/noise.sh"

setup_file() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    cd "$BATS_FILE_TMPDIR"
    two_kinds 10
    mkdir -p grey/a
    for i in 0 1 2 3 4 5 6 7 8 9; do # one grey for all
        { printf 'P6 40 40 255\n'; head -c 4800 /dev/zero | tr '\0' '\200'; } > grey/a/$i.ppm
    done
    "$BIN/twist-decode" -q --shuffle --epochs=3 photos | "$BIN/twist-augment" -q --aug=barlow --size=32 -o views.tws
    "$BIN/twist-decode" -q --epochs=2 grey |
        "$BIN/twist-augment" -q --aug=barlow --size=32 --jitter-p=0 --grey-p=0 --solarize-p=0 -o grey.tws
}

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    PYTHON=${PYTHON:-python3}
    SMALL="--backbone=resnet18 --hid-dim=16 --dim=8 --batch-size=4 --epochs=3 --optim=sgd --lr=0.05 -j1"
    VIEWS=$BATS_FILE_TMPDIR/views.tws
    cd "$BATS_TEST_TMPDIR"
}

# What TensorBoard finds in the folder: TAG STEP VALUE lines.
curves() {
    "$PYTHON" - "$1" 2> /dev/null <<'EOT'
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
a.Reload()
for tag in sorted(a.Tags()["scalars"]):
    for e in a.Scalars(tag):
        print(tag, e.step, f"{e.value:.6g}")
EOT
}

@test "TensorBoard reads the curves; those of a resumed run go on, steps that were done again are not told twice" {
    "$PYTHON" -c 'import tensorboard' 2> /dev/null || skip "no Python with tensorboard (PYTHON=...)"
    twist-train -q -i "$VIEWS" -o run $SMALL --save-every=4 --max-steps=4
    cp run/checkpoint.safetensors four
    twist-train -q -i "$VIEWS" -o run $SMALL --resume --save-every=4 --max-steps=7
    cp four run/checkpoint.safetensors # as if it had been killed after step 7
    twist-train -q -i "$VIEWS" -o run $SMALL --resume
    [ "$(ls run/events.out.tfevents.* | wc -l)" -eq 3 ]
    curves run > curves
    [ "$(grep -c '^step/loss ' curves)" -eq 15 ]
    [ "$(grep '^step/loss ' curves | cut -d' ' -f2 | sort -un | wc -l)" -eq 15 ]
    [ "$(grep -c '^epoch/nmi ' curves)" -eq 3 ]
    # the numbers are those of the log
    for key in loss lr grad_norm; do
        sed -nE "s/.*\"step\":([0-9]+),.*\"$key\":([-0-9.e+]+).*/\1 \2/p" run/log.jsonl | sort -n > log
        grep "^step/$key " curves | cut -d' ' -f2- | sort -n | paste -d' ' log - |
            awk '{d = $2 - $4; if ($1 != $3 || d * d > 1e-6 * $2 * $2) exit 1} END {exit NR != 15}'
    done
}

@test "an event file's records: length, masked checksums, first the version" {
    twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=1
    # 9 bytes of wall time, then field 3, 13 bytes: "brain.Event:2"
    od -A n -t x1 -v -N 36 run/events.out.tfevents.* | tr -d ' \n' > bytes
    grep -q '^1800000000000000a37f4b2209.\{16\}1a0d627261696e2e4576656e743a32' bytes
}

@test "an event file that cannot be begun is an error, of a new run too" {
    run prlimit --fsize=20 twist-train -q -i "$VIEWS" -o run $SMALL --max-steps=1
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-train: run/events.out.tfevents."*": File too large" ]]
}

@test "a batch whose numbers are not finite: kept as a stream, named, the run ends; --stop-on-nan=0 passes over ten of them" {
    run twist-train -i "$VIEWS" -o run $SMALL --lr=1e40 --warmup-epochs=0 --save-every=1000
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"views.tws: step 2, epoch 0: the loss is "*"run/bad-batch.tws has the batch"*"--stop-on-nan=0"* ]]
    twist-cat --check run/bad-batch.tws
    twist-cat --json "$VIEWS" | sed -n 6,9p | diff - <(twist-cat --json run/bad-batch.tws | sed -n 2,5p)
    twist-cat -q --skip=4 --head=4 "$VIEWS" | twist-cat --sheet want.png && twist-cat --sheet got.png run/bad-batch.tws
    cmp want.png got.png
    [[ "$(twist-cat --header run/bad-batch.tws)" == *"twist-augment"*"twist-train"* ]]
    run twist-train -i "$VIEWS" -o on $SMALL --lr=1e40 --warmup-epochs=0 --stop-on-nan=0
    [ "$status" -eq 1 ]
    [[ "$output" == *"10 batches in a row"* ]]
    [ "$(grep -c '"skipped":1' on/log.jsonl)" -eq 9 ]
    [ -s on/checkpoint.safetensors ]
}

@test "collapse is called out, in the log too; a sound run is not" {
    run twist-train -i "$BATS_FILE_TMPDIR/grey.tws" -o grey $SMALL --epochs=2
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"epoch 0: collapse: "* ]]
    grep '"end_of_epoch":0,' grey/log.jsonl | grep -q '"warning":"collapse: '
    run twist-train -i "$VIEWS" -o sound $SMALL
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    ! grep -q warning sound/log.jsonl || false
}

@test "labels from the first epoch on: --crops-interact-style=self_label; label and class are refused" {
    twist-train -q -i "$VIEWS" -o run $SMALL --crops_interact_style self_label --quantile=0.5 --quantile-end=0.5 --max-steps=6
    [ "$(grep -c '"kl":null,"eh":[0-9.]*,"he":[0-9.]*,"threshold":.*"selected":2,' run/log.jsonl)" -eq 6 ]
    # a fixed threshold is kept to the end, unless a quantile is asked for there
    twist-train -q -i "$VIEWS" -o fixed $SMALL --crops_interact_style self_label --quantile=0 --threshold=0.125
    [ "$(grep -c '"threshold":0.125,' fixed/log.jsonl)" -eq 15 ]
    grep -q '"quantile":0,"quantile_end":0,' fixed/args.json
    twist-train -q -i "$VIEWS" -o open $SMALL --crops_interact_style self_label --quantile=0 --quantile-end=0.6 --threshold=0.125
    [ "$(grep -c '"threshold":0.125,' open/log.jsonl)" -lt 15 ]
    run twist-train -i "$VIEWS" -o run2 $SMALL --crops-interact-style=class
    [ "$status" -eq 2 ]
    [[ "$output" == *"--crops-interact-style=class"* ]]
    run twist-train -i "$VIEWS" -o run2 $SMALL --crops-interact-style=self_label --mme-epochs=1
    [ "$status" -eq 2 ]
}

@test "the step does not wait for a stream that is a file: under 2 % of the time after the first step" {
    twist-train -q -i "$VIEWS" -o run $SMALL
    sed -nE 's/.*"images_per_second":([0-9.e+-]+).*"wait":([0-9.e-]+).*/\1 \2/p' run/log.jsonl | tail -n +2 |
        awk '{t = 1 / $1; all += t; waited += t * $2} END {print waited / all; exit !(NR == 14 && waited / all < 0.02)}'
}

@test "-v: an epoch's line has kl and nmi only where there are any" {
    twist-train -v -i "$VIEWS" -o run $SMALL --mme-epochs=2 2> err
    cat err
    [[ "$(grep 'epoch 0:' err)" == *"loss "*", kl "*", eh "*", he "*", agreement "*" %, nmi "* ]]
    [[ "$(grep 'epoch 2:' err)" == *"loss "*", eh "*", he "*", agreement "*" %, nmi "* ]] # self-labeling
    [[ "$(tail -n 1 run/log.jsonl)" == *'"kl":null'* ]]
    printf 'P6 40 40 255\n%04800d' 0 > grey.ppm
    printf '%s\n' grey.ppm grey.ppm grey.ppm grey.ppm | twist-decode -q --epochs=3 --list - | twist-augment -q --aug=barlow --size=32 |
        twist-train -v -o bare $SMALL 2> err
    cat err
    [ "$(grep -c '^twist-train: epoch .: loss .* %$' err)" -eq 3 ]
    ! grep -i nan err
}
