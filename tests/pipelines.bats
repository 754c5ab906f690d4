# Goal: the pipelines are what a user types: dry runs print the commands, a failing stage stops all and is named.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PIPELINES=$BATS_TEST_DIRNAME/../pipelines
    # the pipelines find the programs beside themselves: a copy beside the programs under test
    mkdir -p "$BATS_TEST_TMPDIR/tree"
    cp -r "$PIPELINES" "$BATS_TEST_TMPDIR/tree/"
    ln -s "$BIN" "$BATS_TEST_TMPDIR/tree/bin"
    PIPELINES=$BATS_TEST_TMPDIR/tree/pipelines
    cd "$BATS_TEST_TMPDIR"
}

@test "pretrain --dry-run prints the three commands with the seed's own options handed out" {
    run "$PIPELINES/pretrain" --data-path photos --output_dir out --aug barlow --batch-size 256 --dim 32768 --epochs 800 --dry-run
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "twist-decode "*"--epochs=800"*"photos"*"|" ]]
    [[ "${lines[1]}" == "twist-augment "*"--aug=barlow"*"|" ]]
    [[ "${lines[2]}" == "twist-train -o out"*"--epochs=800"*"--batch-size=256"*"--dim=32768"* ]]
    [ ! -e out ]
}

@test "pretrain without data or with a missing value is a usage error that names it" {
    run "$PIPELINES/pretrain" --output_dir out
    [ "$status" -eq 2 ]
    [[ "$output" == *"--data-path"* ]]
    run "$PIPELINES/pretrain" --data-path
    [ "$status" -eq 2 ]
}

@test "pretrain names the stage that failed and exits 1" {
    run "$PIPELINES/pretrain" --data-path nowhere --output_dir out --epochs=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-decode failed"* ]]
    [[ "$output" == *"nowhere"* ]]
}

@test "linear and cluster refuse a checkpoint or a folder that is not there, by name" {
    mkdir -p d/train d/val
    run "$PIPELINES/linear" d nothing.safetensors
    [ "$status" -eq 1 ]
    [[ "$output" == *"nothing.safetensors"* ]]
    run "$PIPELINES/cluster" d nothing.safetensors
    [ "$status" -eq 1 ]
    [[ "$output" == *"nothing.safetensors"* ]]
}

@test "a small demo runs from pictures to the report" {
    run "$PIPELINES/demo" --out small --count 200 --epochs 2
    echo "$output"
    [ "$status" -eq 0 ]
    [ -s small/report.html ]
    grep -q '<polyline' small/report.html
    grep -q '"nmi"' small/results.json
    grep -q 'k-NN accuracy' <<< "$output"
    # the pipelines on what it left behind
    run "$PIPELINES/linear" -o lin --size 32 --resize 32 --epochs=5 small/pictures small/run/checkpoint.safetensors
    [ "$status" -eq 0 ]
    [[ "$output" == *acc1* ]]
    run "$PIPELINES/cluster" -o clu --size 32 --resize 32 small/pictures small/run/checkpoint.safetensors
    [ "$status" -eq 0 ]
    [[ "$output" == *nmi* ]]
    # typed again, pretrain finds its checkpoint and has nothing left to do
    run "$PIPELINES/pretrain" --data-path small/pictures --output-dir small/run --aug=barlow --size=32 --min1=0.3 --blur-p=0 \
        --backbone=resnet18 --hid-dim=512 --dim=40 --batch-size=64 --optim=admw --lr=0.004 --weight-decay=0.05 --weight-decay-end=0.05 --epochs=2
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "the options in every program's help are on its man page, and the other way round" {
    for page in "$BATS_TEST_DIRNAME"/../man/twist-*.1; do
        name=$(basename "$page" .1)
        "$BIN/$name" -h > help
        grep -oE -- '--[a-z][a-z0-9-]+' help | sort -u > in-help
        mandoc -T utf8 "$page" 2>/dev/null | col -b | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u > in-page
        missing=$(comm -23 in-help in-page)
        [ -z "$missing" ] || { echo "$name: in its help, not on its page: $missing"; return 1; }
    done
}

@test "every program has a man page, answers -h and -V with 0 and an unknown option with 2" {
    for program in "$BATS_TEST_DIRNAME"/../src/twist-*.c; do
        name=$(basename "$program" .c)
        [ -e "$BATS_TEST_DIRNAME/../man/$name.1" ] || { echo "no page: $name"; return 1; }
        run "$BIN/$name" -h
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -le 26 ]
        run "$BIN/$name" -V
        [ "$status" -eq 0 ]
        run "$BIN/$name" --no-such-option
        [ "$status" -eq 2 ]
        [[ "$output" == *"no-such-option"* ]]
    done
}
