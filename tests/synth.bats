# Goal: twist-synth makes the same labelled pictures for any -j, whole data sets or none, and says what is wrong with a command.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    cd "$BATS_TEST_TMPDIR"
}

# sums FOLDER: names and contents of all files below it
sums() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum); }

@test "the same bytes for any -j and any run, others for another seed; a shorter set is the beginning of a longer one" {
    twist-synth -q -o one --count=60 --val-count=20 --size=32 --seed=5 -j1
    twist-synth -q -o many --count=60 --val-count=20 --size=32 --seed=5 -j7
    cmp <(sums one) <(sums many)
    twist-synth -q -o other --count=60 --val-count=20 --size=32 --seed=6
    [ "$(sums one | wc -l)" -eq 80 ]
    [ -z "$(comm -12 <(sums one | cut -d' ' -f1 | sort) <(sums other | cut -d' ' -f1 | sort))" ]
    twist-synth -q -o short --count=20 --val-count=0 --size=32 --seed=5
    for f in short/train/*/*; do cmp "$f" "one/${f#short/}"; done
    [ ! -e short/val ]
}

@test "classes are folders of equal size, read back by twist-decode with their labels and the size asked for" {
    twist-synth -q -o made --count=40 --val-count=20 --size=24 --quality=80
    [ "$(ls made/train | wc -l)" -eq 10 ]
    cmp <(ls made/train) <(ls made/val)
    for c in made/train/*; do [ "$(ls "$c" | wc -l)" -eq 4 ]; done
    twist-decode --on-error=fail made/train | twist-cat --json > out
    [ "$(grep -c '"image": {"type": "|u1", "shape": \[24, 24, 3\]}' out)" -eq 40 ]
    grep -q '"key": "made/train/zigzag/00039.jpg".* "label": 9' out
    grep -F "\"classes\": [$(ls made/train | sed 's/.*/"&"/' | paste -sd, | sed 's/,/, /g')]" out
    twist-synth -q -o few --count=6 --val-count=3 --classes=3
    [ "$(ls few/train | wc -l)" -eq 3 ]
}

@test "quality changes the files, not the scene" {
    twist-synth -q -o low --count=10 --val-count=0 --quality=30
    twist-synth -q -o high --count=10 --val-count=0 --quality=95
    [ "$(du -bs low | cut -f1)" -lt "$(du -bs high | cut -f1)" ]
}

@test "bad options are named, exit 2" {
    for bad in --count=0 --count=x --val-count=-1 --classes=1 --classes=11 --size=8 --size=5000 --quality=0 --quality=101 --seed=-1 --jobs=0; do
        run twist-synth -o never $bad
        [ "$status" -eq 2 ]
        [[ "$output" == *"twist-synth: ${bad%%=*}: "* ]] || { echo "$bad: $output"; return 1; }
    done
    run twist-synth --count=10
    [ "$status" -eq 2 ]
    [[ "$output" == *"-o"* ]]
    run twist-synth -o never operand
    [ "$status" -eq 2 ]
    [ ! -e never ]
}

@test "what is there already is not touched" {
    mkdir -p made/val
    run twist-synth -q -o made --count=10
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-synth: made/val: "* ]]
    [ -z "$(ls -A made/val)" ]
    [ "$(ls -A made)" = val ]
}

@test "a folder that cannot be made or written: its name, exit 1, and nothing is left" {
    touch file
    run twist-synth -q -o file/below --count=10
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-synth: file/below"* ]]
    run twist-synth -q -o /proc/nowhere --count=10
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-synth: /proc/nowhere"* ]]
    # a disk that fills up: files may not grow beyond one block (the shell's unit is 1 KiB), as with a full disk a write fails
    run bash -c "trap '' XFSZ; ulimit -f 1; exec twist-synth -q -o full --count=10 --size=128 --quality=100"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-synth: full/"*".jpg: "* ]]
    [ -z "$(ls -A full)" ]
}

@test "stopped half-way, it says so and leaves nothing half-made" {
    twist-synth -o big --count=100000 --size=64 2> err &
    pid=$!
    until ls -d big/.train.*.tmp/*/00009.jpg > /dev/null 2>&1; do kill -0 $pid; sleep 0.05; done
    kill -TERM $pid
    rc=0
    wait $pid || rc=$?
    [ $rc -eq 1 ]
    grep 'twist-synth: big: stopped by signal' err
    [ -z "$(ls -A big)" ]
}
