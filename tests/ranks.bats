# Goal: ranks started by mpirun train as one: the same first steps whatever their number, the same bytes twice, one log; a signal stops
# all after the same step, a rank that dies or whose stream fails ends the run within seconds and is named, and the checkpoint stands.

. "$BATS_TEST_DIRNAME/noise.sh"
. "$BATS_TEST_DIRNAME/mpi.sh"

setup_file() {
    command -v mpirun > /dev/null || return 0
    cd "$BATS_FILE_TMPDIR"
    two_kinds 12
}

setup() {
    mpi_setup
    export TWIST_BIN=$BIN
    PIPELINES=$BATS_TEST_DIRNAME/../pipelines
    PHOTOS=$BATS_FILE_TMPDIR/photos
    SMALL="--backbone=resnet18 --hid-dim=16 --dim=8 --epochs=3 --optim=sgd --lr=0.001 --precision=fp32 --bunch-size=4 --threads=1"
}

# views BATCH [COMMAND]: each rank's input, 3 steps an epoch with 8 samples in all; COMMAND: something that it goes through.
views() {
    echo "pipe:twist-decode -q -j1 --shuffle --epochs=3 --start-epoch=%e --skip=%s --shard=%r/%n/$1 $PHOTOS | twist-augment -q -j1 --aug=barlow --size=32${2:+ | $2}"
}

# ranks N DIR [OPTION...]: 8 / N samples a rank, in two bunches altogether.
ranks() {
    local n=$1 dir=$2
    shift 2
    $MPIRUN -n "$n" twist-train -i "${VIEWS:-$(views $((8 / n)))}" -o "$dir" $SMALL --batch-size=$((8 / n)) "$@"
}

PAUSE='sh -c "head -c 100000; sleep 3; cat"' # after the views of some steps

steps() { grep '"step":' "$1/log.jsonl"; }
# after STEPS DIR: until so many steps are logged.
after() {
    for _ in $(seq 1200); do
        [ "$(grep -c '"step":' "$2/log.jsonl" 2> /dev/null)" -ge "$1" ] && return 0
        sleep 0.05
    done
    return 1
}

@test "1, 2 and 4 ranks: the same losses, the same samples; one log, one set of files; the same bytes twice" {
    ranks 1 one -q && ranks 2 two -q && ranks 4 four -q
    mkdir more && (cd more && ranks 4 four -q)
    for dir in one two four; do
        [ "$(losses $dir | wc -l)" -eq 9 ]
        [ "$(grep -c end_of_epoch $dir/log.jsonl)" -eq 3 ]
    done
    close_to one two 4
    close_to one four 4
    cmp four/checkpoint.safetensors more/four/checkpoint.safetensors
    [ "$(ls four | sed 's/events.*/events/' | sort | tr '\n' ' ')" = "args.json backbone.safetensors checkpoint.safetensors events log.jsonl " ]
    # counts over all ranks: as many labels as the epoch has samples give the same NMI at the same weights
    [ "$(grep '"end_of_epoch":0' one/log.jsonl | sed 's/.*"classes_used":\([0-9]*\).*/\1/')" = \
        "$(grep '"end_of_epoch":0' two/log.jsonl | sed 's/.*"classes_used":\([0-9]*\).*/\1/')" ]
}

@test "a stream with all samples is shared out; a share that is another rank's is refused" {
    ranks 2 shards -q --max-steps=3
    twist-decode -q --shuffle --epochs=3 "$PHOTOS" | twist-augment -q --aug=barlow --size=32 -o all.tws
    VIEWS=all.tws ranks 2 whole -q --max-steps=3
    cmp shards/backbone.safetensors whole/backbone.safetensors
    twist-decode -q --shuffle --epochs=3 --shard=0/2/4 "$PHOTOS" | twist-augment -q --aug=barlow --size=32 -o first.tws
    VIEWS=first.tws run ranks 2 other -q
    [ "$status" -ne 0 ]
    [[ "$output" == *"twist-train: rank 1: first.tws: has the positions of shard 0/2"* ]]
    run $MPIRUN -n 2 twist-train -o none $SMALL
    [ "$status" -eq 2 ]
    [[ "$output" == *"rank "[01]": -i: each rank needs its own input"* ]] # one may end the other before it speaks
    run ranks 4 none --bunch-size=6
    [ "$status" -ne 0 ]
    [[ "$output" == *"--bunch-size=6: 4 ranks with batches of 2"* ]]
    run ranks 4 none --bunch-size=5
    [ "$status" -ne 0 ]
    [[ "$output" == *"--bunch-size=5: 4 ranks with batches of 2"* ]]
}

@test "resumed on other numbers of ranks: 2, then 1, then 4; another global batch is refused" {
    ranks 2 run -q --resume --max-steps=2
    ranks 1 run -q --resume --max-steps=4
    ranks 4 run -q --resume
    ranks 1 straight -q
    [ "$(losses run | wc -l)" -eq 9 ]
    close_to run straight 5
    [ "$(grep -c '"end_of_epoch":.*"steps":3,' run/log.jsonl)" -eq 3 ] # two of them trained on two numbers of ranks
    run ranks 2 run --resume --batch-size=8
    [ "$status" -ne 0 ]
    [[ "$output" == *"--batch-size=8: on 2 ranks, where run/checkpoint.safetensors was trained with 2 on each of 4"* ]]
}

@test "SIGUSR1 to mpirun: all ranks stop after the same step, exit 75, and go on to the same weights" {
    ranks 2 straight -q
    VIEWS=$(views 4 "$PAUSE") ranks 2 run --resume 2> said 3>&- &
    pid=$!
    after 2 run
    kill -USR1 "$(mpirun_here)"
    rc=0; wait $pid || rc=$?
    cat said
    [ $rc -eq 75 ]
    [ "$(grep -c 'stopped by signal 10 after step' said)" -eq 1 ]
    ranks 2 run -q --resume
    cmp run/backbone.safetensors straight/backbone.safetensors
    diff <(grep end_of_epoch run/log.jsonl) <(grep end_of_epoch straight/log.jsonl)
}

@test "a signal to one rank stops all of them" {
    VIEWS=$(views 4 "$PAUSE") ranks 2 run --resume 2> said 3>&- &
    pid=$!
    after 2 run
    kill -TERM "$(here twist-train OMPI_COMM_WORLD_RANK=1)"
    rc=0; wait $pid || rc=$?
    cat said
    [ $rc -eq 75 ]
    grep -q 'stopped by signal 15 after step' said
}

@test "a rank killed: the others end within seconds, it is named, the checkpoint stands" {
    VIEWS="$(views 4 'sh -c "cat; sleep 100"')" # nobody comes to the end
    ranks 2 run --save-every=1 --epochs=4 2> said 3>&- &
    pid=$!
    after 3 run
    kill -KILL "$(here twist-train OMPI_COMM_WORLD_RANK=1)"
    for _ in $(seq 100); do here twist-train > gone || break; sleep 0.1; done
    rc=0; wait $pid || rc=$?
    cat said
    [ ! -s gone ]
    [ $rc -ne 0 ]
    grep -q 'rank 1\|couldn.t open the help file' said # by mpirun, whose texts Ubuntu 26.04 has lost
    twist-ckpt run/checkpoint.safetensors > /dev/null
}

@test "a rank whose stream is cut, or ends too early, ends the run: named, what was learned is saved" {
    VIEWS="$(views 4 'if [ %r = 1 ]; then head -c 40000; else cat; fi')"
    run ranks 2 cut --save-every=1000
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-train: rank 1: pipe:"* ]]
    [[ "$output" == *"cut/checkpoint.safetensors holds the training up to step 1"* ]]
    twist-ckpt cut/checkpoint.safetensors > /dev/null
    VIEWS="$(views 4 'if [ %r = 1 ]; then twist-cat -q --head=20; else cat; fi')"
    run ranks 2 short --epoch-samples=24
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-train: rank 1: pipe:"*"ended after 1 of 3 epochs"* ]]
}

@test "bad pictures left out on one rank: the others keep step with it" {
    cp -r "$PHOTOS" some && head -c 100 /dev/urandom > some/a/3.ppm
    PHOTOS=some ranks 2 run -q --max-steps=6
    [ "$(steps run | sed 's/.*"epoch":\([0-9]*\).*/\1/' | tr '\n' ' ')" = "0 0 1 1 2 2 " ]
}

@test "stopped where bad pictures have brought one rank further than the other: resumed, the weights of a run never stopped" {
    cp -r "$PHOTOS" some && for i in 1 2 3 4 5; do head -c 100 /dev/urandom > some/a/$i.ppm; done
    VIEWS="pipe:twist-decode -q -j1 --seed=3 --epochs=3 --start-epoch=%e --skip=%s --shard=%r/%n/4 some | twist-augment -q -j1 --aug=barlow --size=32"
    export VIEWS
    ranks 2 straight -q --batch-size=2 2> said || { cat said; false; }
    [ "$(steps straight | wc -l)" -eq 12 ]
    for i in 1 3 6; do
        ranks 2 run -q --batch-size=2 --resume --max-steps=$i 2> said
        twist-ckpt run/checkpoint.safetensors | grep '^places' >> places
    done
    [ "$(twist-ckpt --position run/checkpoint.safetensors)" = "--start-epoch=1 --skip=5" ] # the others read on to theirs
    ranks 2 run -q --batch-size=2 --resume 2> said
    cat places
    [ "$(sed 's/^places = //' places | tr '\n' ,)" = "3 6,7 10,5 8," ] # of rank 0's share one is bad, of rank 1's four
    cmp run/backbone.safetensors straight/backbone.safetensors
}

@test "numbers that are not finite are everybody's: one message, every rank's batch is kept" {
    run ranks 2 run --lr=1e40 --warmup-epochs=0 --save-every=1000
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(grep -c 'the step was not taken' <<< "$output")" -eq 1 ]
    [ -s run/checkpoint.safetensors ] && [ -s run/bad-batch.tws ] && [ -s run/bad-batch.1.tws ]
}

@test "views of other sizes on one rank are refused by name" {
    VIEWS='pipe:twist-decode -q -j1 --epochs=3 --shard=%r/%n/4 '"$PHOTOS"' | twist-augment -q -j1 --aug=barlow --size=3%r'
    run ranks 2 run
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-train: rank 1: its views differ in size"* ]]
}

@test "copies of the data set that differ are refused: their shares would have samples twice" {
    cp -r "$PHOTOS" copy0 && cp -r "$PHOTOS" copy1
    VIEWS='pipe:twist-decode -q -j1 --shuffle --epochs=3 --shard=%r/%n/4 copy%r | twist-augment -q -j1 --aug=barlow --size=32'
    ranks 2 run # of one another: wherever they lie
    rm "$(ls copy1/*/* | head -n 1)"
    run ranks 2 other
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-train: rank 1: pipe:twist-decode "*": its data set is not that of rank 0: their names or labels differ"* ]]
    [ ! -e other/log.jsonl ] || [ ! -s other/log.jsonl ]
}

@test "options that differ between ranks are refused by name, those that are a rank's own not" {
    # other OPTIONS: rank 1 with these as well (one program for both: Open MPI 5.0.7 crashes where each rank has its own)
    other() {
        $MPIRUN -n 2 sh -c '[ "$OMPI_COMM_WORLD_RANK" = 0 ] || set -- "$@" $0; exec twist-train "$@"' "$1" -o run -i "$(views 4)" $SMALL --batch-size=4
    }
    for other in "--lr 0.5" --dim=16 --batch-size=2; do
        run other "$other"
        echo "$output"
        [ "$status" -ne 0 ]
        name=${other%%[= ]*}
        [[ "$output" == *"twist-train: rank 1: $name: differs from rank 0's"* ]]
        [ ! -e run/log.jsonl ]
    done
    other "-o ./run --threads=2"
    [ "$(steps run | wc -l)" = 9 ]
}

@test "pretrain --ranks: each rank decodes its share; typed again it is complete" {
    PRETRAIN="$PIPELINES/pretrain --data-path $PHOTOS --output_dir out --num_workers 1 --aug barlow --size 32 --ranks 2 --batch-size 4"
    export MPIRUN
    $PRETRAIN $SMALL -q
    ranks 2 direct -q
    cmp out/backbone.safetensors direct/backbone.safetensors
    run $PRETRAIN $SMALL
    [ "$status" -eq 0 ]
    [ "$(grep -c 'the run is complete' <<< "$output")" -eq 1 ]
}
