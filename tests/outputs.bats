# Goal: a file that a program writes is whole or is not there, is the one that was named, through symbolic links too, and nothing else is left behind.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    cd "$BATS_TEST_TMPDIR"
    twist-synth -q -o s --count=20 --val-count=0 --classes=2 --size=16
    twist-decode -q --no-history s/train -o want.tws
}

nothing_left() { [ -z "$(find . -name '.*.tmp')" ]; }

@test "through symbolic links, relative, dangling and to other folders: the file they lead to is written and the links stay" {
    mkdir links real
    echo old > real/there.tws
    ln -s ../real/there.tws links/a
    ln -s ../real/new.tws links/b
    ln -s a links/c
    ln -s "$PWD/links/c" d
    for name in links/a links/b links/c d; do
        twist-decode -q --no-history s/train -o $name
        [ -L $name ]
        cmp want.tws $name
        rm -f real/new.tws
        echo old > real/there.tws
    done
    ln -s loop loop
    run twist-decode -q --no-history s/train -o loop
    [ "$status" -eq 1 ]
    [[ "$output" == *"loop: Too many levels of symbolic links"* ]]
    nothing_left
}

@test "/dev/stdout, /dev/fd/N and links to them are what is open there" {
    ln -s /proc/self/fd/1 out
    twist-decode -q --no-history s/train -o /dev/stdout > 1.tws
    twist-decode -q --no-history s/train -o /dev/stdout | cat > 2.tws
    twist-decode -q --no-history s/train -o /dev/fd/5 5> 3.tws
    twist-decode -q --no-history s/train -o out > 4.tws
    for i in 1 2 3 4; do cmp want.tws $i.tws; done
    [ -L out ] && [ -L /dev/stdout ]
    nothing_left
}

@test "one file for two outputs is refused, by another name too" {
    ln -s x y
    for other in x y ./x; do
        run twist-cat -q --npy label=x --npy index=$other want.tws
        [ "$status" -ne 0 ]
        [ ! -e x ]
    done
    nothing_left
}

@test "what goes beside a stream is another file than the stream's" {
    for option in --log --rejects; do
        run twist-decode -q -o s.tws $option=s.tws s/train
        [ "$status" -eq 1 ]
        [ "$output" = "twist-decode: $option=s.tws: is the output file too" ]
        [ ! -e s.tws ]
    done
    touch s.tws
    ln -s s.tws l
    run twist-augment -q -i want.tws -o s.tws --log=l
    [ "$status" -eq 1 ]
    [ "$output" = "twist-augment: --log=l: is the output file too" ]
    EVAL=$BATS_TEST_DIRNAME/golden/eval
    run twist-linear -q --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs=1 -o s.tws --log=l
    [ "$status" -eq 1 ]
    [ "$output" = "twist-linear: --log=l: is the output file too" ]
    run timeout 20 twist-feed head -q --local=1 s/train -o s.tws --rejects=s.tws -- cat
    [ "$status" -eq 1 ]
    [ "$output" = "twist-feed: --rejects=s.tws: is the output file too" ]
    nothing_left
}

@test "what goes beside a stream is none of the files that are read" {
    EVAL=$BATS_TEST_DIRNAME/golden/eval
    cp "$EVAL/val.tws" v.tws
    ls s/train/*/*.jpg > list
    tar -C s -cf b.tar train
    mkdir kept && cp v.tws want.tws list b.tar kept
    for command in "twist-linear --train $EVAL/train.tws --val v.tws --log v.tws" "twist-augment -i want.tws --size 16 -o z --log=want.tws" \
        "twist-decode b.tar --rejects b.tar -o z" "twist-decode --list=list --rejects list -o z" "twist-cluster --assignments ./v.tws v.tws" \
        "twist-cat want.tws --sheet=want.tws" "twist-cat want.tws --npy label=want.tws" "twist-knn --train v.tws --val v.tws --neighbours 1 --sheet=v.tws" \
        "twist-feed head --local=1 b.tar --log=b.tar -- cat"; do
        run timeout 20 $command
        echo "$command: $output"
        [ "$status" -eq 1 ]
        [[ "$output" == *"the command line uses the same file for something else"* ]]
    done
    for f in kept/*; do cmp "$f" "${f#kept/}"; done
}

@test "what stands at the name of a file half written is another process's, or a trap: it is left alone" {
    echo precious > victim
    bash -c 'ln -s victim .out.$$.tmp; exec twist-cat -q --no-history want.tws -o out'
    [ ! -L out ]
    cmp out want.tws
    bash -c 'echo half > .out.$$.tmp; exec twist-cat -q --no-history want.tws -o out'
    cmp out want.tws
    bash -c 'mkfifo .out.$$.tmp; exec twist-cat -q --no-history want.tws -o out'
    cmp out want.tws
    [ "$(cat victim)" = precious ]
    rm .out.*.tmp
    nothing_left
}

@test "what is written at the end goes through a FIFO" {
    EVAL=$BATS_TEST_DIRNAME/golden/eval
    mkfifo f
    twist-cluster "$EVAL/val.tws" --assignments a.tsv > /dev/null
    cat f > got &
    timeout 60 twist-cluster "$EVAL/val.tws" --assignments f > /dev/null
    wait $!
    cmp a.tsv got
    twist-linear -q --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs=1 -o c.safetensors > /dev/null
    cat f > got &
    timeout 60 twist-linear -q --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs=1 -o f > /dev/null
    wait $!
    cmp <(tail -c 144 c.safetensors) <(tail -c 144 got) # the numbers: the options are told before them
}

@test "- is no file for what goes beside a stream" {
    for command in "decode s/train --log" "decode s/train --rejects" "augment -i want.tws --log" "cat want.tws --log" "cat want.tws --sheet" \
        "cat want.tws --table" "feed head --work=ipc://x s/train --rejects"; do
        run twist-$command=-
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "twist-${command%% *}: ${command##* }: '-': give a file; standard output carries the stream" ]]
        [ ! -e ./- ]
    done
}

@test "nothing but text is written to a terminal" {
    command -v script > /dev/null || skip "no script(1)"
    EVAL=$BATS_TEST_DIRNAME/golden/eval
    local data="--train $EVAL/train.tws --val $EVAL/val.tws"
    twist-augment -q --aug=eval --size=16 -i want.tws -o views.tws
    for refused in "/dev/tty: twist-linear $data --epochs=1 -o /dev/tty" "/dev/stdout: twist-knn $data --neighbours=2 --sheet /dev/stdout" \
        "/dev/tty: twist-cat --sheet=/dev/tty views.tws" "standard output: twist-cat views.tws"; do
        run script -qec "${refused#*: }" /dev/null
        echo "$output"
        [ "$status" -eq 1 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == "twist-"*": ${refused%%: *}: a terminal: "* ]]
    done
    script -qec "twist-cluster --assignments=/dev/tty $EVAL/val.tws" /dev/null | grep -q 'key.*cluster.*probability'
}

@test "a program that is interrupted, or fails, leaves nothing half written" {
    for signal in INT TERM HUP; do
        run timeout --preserve-status -s $signal 1 twist-augment -q -i 'pipe:twist-decode -q --epochs=100000 s/train' --size=64 -o big.tws
        [ "$status" -ne 0 ]
        [ ! -e big.tws ]
    done
    head -c 3000 want.tws > cut.tws
    run twist-augment -q -i cut.tws --size=16 -o views.tws
    [ "$status" -eq 1 ]
    { twist-decode -q --epochs=1000 --rejects=bad s/train || true; } | head -c 10000 > some
    nothing_left
    [ ! -e views.tws ]
}

@test "standard streams that are closed get no file's bytes, and no file theirs" {
    mkdir bad
    head -c 300 "$(find s -name '*.jpg' | head -n 1)" > bad/0.jpg
    cp "$(find s -name '*.jpg' | tail -n 1)" bad/1.jpg
    twist-decode -q bad -o o.tws 2>&-
    twist-cat --check o.tws
    run sh -c 'twist-decode bad --rejects r.tsv >&-'
    [ "$status" -eq 1 ]
    [ "$(wc -c < r.tsv)" -lt 200 ] # not the stream
    run sh -c 'twist-cat want.tws - <&-'
    [ "$status" -eq 1 ]
    [[ "$output" == *"standard input: Bad file descriptor"* ]]
}

@test "a limit of the size of files is an error, which names the file; a path that is too long loses no cause" {
    run sh -c 'ulimit -f 8; exec twist-decode -q s/train -o limited.tws'
    [ "$status" -eq 1 ]
    [[ "$output" == *"limited.tws: File too large"* ]]
    run sh -c 'ulimit -f 8; exec twist-cat -q want.tws --sheet=limited.png'
    [ "$status" -eq 1 ]
    [ "$output" = "twist-cat: limited.png: File too large" ]
    nothing_left
    run twist-cat "$(printf '%01300d' 0)"
    [ "$status" -eq 1 ]
    [[ "$output" == *"0000: File name too long" ]]
}

@test "whoever starts a program with SIGCHLD ignored: commands have their status all the same" {
    env --ignore-signal=CHLD twist-cat --check -i 'pipe:twist-cat want.tws'
    run env --ignore-signal=CHLD twist-cat --check -i 'pipe:twist-cat want.tws; exit 3'
    [ "$status" -eq 1 ]
    [[ "$output" == *"status 3"* ]]
}
