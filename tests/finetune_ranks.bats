# Goal: ranks started by mpirun fine-tune as one: with norms of their own as PyTorch's ranks have them, or with everybody's, which is one rank
# with all samples; a stopped run goes on to the same bytes, on other numbers of ranks too; what is wrong with one rank's data ends the run
# and names the rank.

. "$BATS_TEST_DIRNAME/noise.sh"
. "$BATS_TEST_DIRNAME/mpi.sh"

setup_file() {
    command -v mpirun > /dev/null || return 0
    cd "$BATS_FILE_TMPDIR"
    two_kinds 8
    # Each picture twice, one behind the other: of two shares each has all pictures.
    mkdir -p twice/a twice/b
    for f in a/{0..7} b/{0..7}; do cp photos/$f.ppm twice/$f.ppm && cp photos/$f.ppm twice/$f.same.ppm; done
}

setup() {
    mpi_setup
    PHOTOS=$BATS_FILE_TMPDIR/photos TWICE=$BATS_FILE_TMPDIR/twice
    SMALL="--backbone=resnet18 --small-stem --epochs=3 --lr-backbone=0.001 --lr-classifier=0.01 --precision=fp32 --threads=1 --no-history"
    VAL=$(views "$PHOTOS" | sed 's/--epochs.*--skip=%s//')
}

# views PHOTOS [OPTION...]: a rank's input. --aug=eval: the same of a picture wherever it is.
views() { echo "pipe:twist-decode -q -j1 --epochs=3 --start-epoch=%e --skip=%s ${*:2} $1 | twist-augment -q -j1 --aug=eval --resize=16 --size=16"; }

# ranks N DIR [OPTION...]: 8 samples a step in all.
ranks() {
    local n=$1 dir=$2
    shift 2
    $MPIRUN -n "$n" twist-finetune -i "${VIEWS:-$(views "$PHOTOS" --shuffle "--shard=%r/%n/$((8 / n))")}" -o "$dir" $SMALL --batch-size=$((8 / n)) \
        --val="$VAL" "$@"
}

@test "each rank's norms take its own samples: ranks that have the same pictures are one rank that has them" {
    VIEWS=$(views "$PHOTOS") ranks 1 one -q --batch-size=4 > one.json
    VIEWS=$(views "$TWICE" --shard=%r/%n) ranks 2 two -q > two.json
    [ "$(wc -l < two.json)" -eq 1 ]
    cmp one.json two.json
    cmp one/best.safetensors two/best.safetensors
    diff <(losses one) <(losses two)
    diff <(grep -o '"end_of_epoch.*' one/log.jsonl) <(grep -o '"end_of_epoch.*' two/log.jsonl)
    [ "$(grep -c end_of_epoch two/log.jsonl)" -eq 3 ]
    [ "$(ls two | tr '\n' ' ')" = "args.json best.safetensors checkpoint.safetensors log.jsonl " ]
}

@test "--sync-bn: 1, 2 and 4 ranks, the same losses; without it others" {
    ranks 1 one -q --sync-bn && ranks 2 two -q --sync-bn && ranks 4 four -q --sync-bn && ranks 4 own -q
    [ "$(losses one | wc -l)" -eq 6 ]
    close_to one two
    close_to one four
    run close_to one own
    [ "$status" -ne 0 ]
}

@test "stopped and gone on: the bytes of a run never stopped; on another number of ranks too, with another batch not" {
    ranks 2 straight -q > straight.json
    for n in 1 2 4; do ranks 2 run -q --resume --save-every=1 --max-steps=$n; done > parts.json
    ranks 2 run -q --resume > run.json
    cmp straight.json run.json
    cmp straight/best.safetensors run/best.safetensors
    diff <(grep -o '"end_of_epoch.*' straight/log.jsonl) <(grep -o '"end_of_epoch.*' run/log.jsonl)
    ranks 1 few -q --sync-bn > few.json
    ranks 4 many -q --sync-bn --resume --save-every=1 --max-steps=3 > many.json
    ranks 1 many -q --sync-bn --resume > many.json
    close_to few many
    run ranks 2 run --resume --batch-size=8
    [ "$status" -ne 0 ]
    [[ "$output" == *"--batch-size=8: on 2 ranks, where run/checkpoint.safetensors was trained with 4 on each of 2"* ]]
}

@test "a signal stops all ranks after the same step, exit 75, while they train and while the first one measures" {
    local pid rc views slow="pipe:[ ! -e measured ] || { touch again; sleep 30; }; touch measured; ${VAL#pipe:}"
    views=$(views "$PHOTOS" --shuffle --shard=%r/%n/4)
    ranks 2 straight -q > straight.json
    for where in train measure; do
        if [ $where = train ]; then
            VIEWS=$(sed 's/ | / | (head -c 40000; touch again; sleep 3; cat) | /' <<< "$views") ranks 2 $where --resume 2> said 3>&- &
        else
            ranks 2 $where --resume --val="$slow" 2> said 3>&- &
        fi
        pid=$!
        for _ in $(seq 400); do [ -e again ] && grep -q '"step":' $where/log.jsonl && break; sleep 0.05; done
        kill -USR1 "$(mpirun_here)"
        rc=0; wait $pid || rc=$?
        cat said
        [ $rc -eq 75 ]
        rm again
        [ "$(grep -c 'stopped by signal 10 after step' said)" -eq 1 ]
        ranks 2 $where -q --resume > $where.json
        cmp straight.json $where.json
        cmp straight/best.safetensors $where/best.safetensors
    done
}

@test "numbers that are not finite, and a stop before the views came, are everybody's" {
    run ranks 2 nan -q --lr-backbone=1e38 --lr-classifier=1e38
    [ "$status" -eq 1 ]
    [ "$(grep -c 'the step was not taken' <<< "$output")" -eq 1 ]
    VIEWS="pipe:[ %r = 0 ] || { touch waiting; sleep 20; }; $(views "$PHOTOS" --shuffle --shard=%r/%n/4 | sed s/pipe://)" ranks 2 early --resume 2> said 3>&- &
    local pid=$! rc=0
    for _ in $(seq 400); do [ -e waiting ] && break; sleep 0.05; done
    sleep 0.5
    kill -USR1 "$(mpirun_here)"
    wait $pid || rc=$?
    cat said
    [ $rc -eq 75 ]
    grep -q 'twist-finetune: rank 1: stopped by signal 10 before the views came; nothing was learned' said
}

@test "a rank whose data set or classes are others, whose stream ends, that has no input of its own: it is named, and the run ends" {
    ln -s "$PHOTOS" data0 && ln -s "$PHOTOS/a" data1
    VIEWS=$(views data%r --shuffle --shard=%r/%n/4) run ranks 2 bare --classes=2
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-finetune: rank 1: pipe:"*": its data set is not that of rank 0: their names or labels differ"* ]]
    [ ! -e bare/checkpoint.safetensors ] # nothing was learned
    rm data1 && cp -r "$PHOTOS" data1 && mv data1/b data1/c
    VIEWS=$(views data%r --shard=%r/%n/4) run ranks 2 other-classes
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-finetune: rank 1: pipe:"*": its data set is not that of rank 0: their names or labels differ"* ]]
    run ranks 2 cut --epochs=5
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-finetune: rank "[01]": pipe:"*": ended after 3 of 5 epochs"* ]]
    [[ "$output" == *"cut/checkpoint.safetensors holds the training up to step 6"* ]]
    VIEWS="$(views "$PHOTOS" --shuffle --shard=%r/%n/4); exit %r" run ranks 2 last # the last record is there, and the pipe has failed
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-finetune: rank 1: pipe:"* && "$output" != *acc1* ]]
    run $MPIRUN -n 2 twist-finetune -o none $SMALL
    [ "$status" -eq 2 ]
    [[ "$output" == *"-i: each rank needs its own input"* ]]
}

@test "pipelines/semi --ranks: the batch is shared out; it goes on with the same ranks, with --sync-bn with others" {
    local semi=$BATS_TEST_DIRNAME/../pipelines/semi small="--size=16 --resize=16 --epochs=3 --batch-size=8 --precision=fp32 -j1 -q"
    mkdir data && ln -s "$PHOTOS" data/train && ln -s "$PHOTOS" data/val
    export TWIST_BIN=$BIN MPIRUN="mpirun --bind-to none"
    twist-finetune -q -i "$(views "$PHOTOS")" -o pre $SMALL --batch-size=8 --max-steps=1 > /dev/null
    run "$semi" data pre/checkpoint.safetensors --ranks 8 --dry-run
    [[ "$output" == "mpirun --bind-to none -n 8 twist-finetune "*" --batch-size=32 "*"--skip=%s --shard=%r/%n/32 "* ]]
    run "$semi" data pre/checkpoint.safetensors --dry-run
    [[ "$output" == "twist-finetune "* && "$output" != *--batch-size* && "$output" != *--shard* ]]
    "$semi" data pre/checkpoint.safetensors -o run --ranks 2 $small --max-steps=3 > first.json
    "$semi" data pre/checkpoint.safetensors -o run --ranks 2 $small > last.json
    grep -q '"epochs": 3, "steps": 6}' last.json
    grep -q '"val_samples":16' run/log.jsonl
    run "$semi" data pre/checkpoint.safetensors -o run --ranks 4 $small
    [ "$status" -eq 1 ]
    [[ "$output" == *"run: a run with other settings"* ]]
    "$semi" data pre/checkpoint.safetensors -o sync --ranks 4 --sync-bn $small --max-steps=3 > first.json
    "$semi" data pre/checkpoint.safetensors -o sync $small > last.json
    grep -q '"epochs": 3, "steps": 6}' last.json
    for wrong in "--ranks 02:'02' is not a whole number" "--ranks 3:8 samples cannot be divided among 3 ranks" "--ranks 8:each needs at least two samples"; do
        run "$semi" data pre/checkpoint.safetensors -o none $small ${wrong%%:*}
        [ "$status" -eq 2 ]
        [[ "$output" == *"${wrong#*:}"* ]]
    done
}
