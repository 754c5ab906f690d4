# Goal: a stream goes from one program to another over ZeroMQ as through a pipe: the same records, back-pressure, the end delivered, and
# a failure of either side seen by the other.

setup_file() { export BATS_TEST_TIMEOUT=300; } # where a side is wrong the other may wait for ever

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    FORMATS=$(cd "$BATS_TEST_DIRNAME/../formats" && pwd)
    cd "$BATS_TEST_TMPDIR"
    . "$BATS_TEST_DIRNAME/port.sh"
    PORT=$(free_port)
}

teardown() { [ -z "${pids-}" ] || kill -9 $pids 2> /dev/null || true; }

long_stream() { # N copies of three records
    local files=() i
    for ((i = 0; i < $1; i++)); do files+=("$FORMATS/views.tws"); done
    twist-cat --no-history "${files[@]}" -o long.tws
}

@test "a trainer reads from an address, whichever side binds" {
    twist-synth -q -o p --count=16 --val-count=0 --size=32
    local views="pipe:twist-decode -q --shuffle --seed=1 p | twist-augment -q --aug=barlow --size=32" small="-q -j1 --backbone=resnet18 --hid-dim=16 --dim=8 --batch-size=8 --epochs=1"
    twist-train $small -i "$views" -o want
    for side in "@ipc://$PWD/v ipc://$PWD/v" "ipc://$PWD/w @ipc://$PWD/w"; do
        set -- $side
        twist-cat -q -o "$1" "$views" 3>&- &
        twist-train $small -i "$2" -o got --starve=20
        wait $!
        cmp want/backbone.safetensors got/backbone.safetensors
        rm -r got
    done
    # one that waits for the other end hears of the first signal
    for address in "tcp://127.0.0.1:$PORT" "@ipc://$PWD/x"; do
        timeout -s INT 2 twist-train $small -i "$address" -o "none${address%%[:]*}" 2> err && rc=0 || rc=$?
        cat err
        [ $rc = 124 ]
        grep -q 'run the same command with --resume to continue' err
    done
}

@test "tcp and ipc, whichever side binds and whichever comes first: the same bytes" {
    long_stream 200
    local side
    for side in "tcp://*:$PORT tcp://127.0.0.1:$PORT" "tcp://127.0.0.1:$PORT @tcp://127.0.0.1:$PORT" "@ipc://$PWD/a ipc://$PWD/a" "ipc://$PWD/b @ipc://$PWD/b"; do
        set -- $side
        twist-cat --no-history -o "$1" long.tws 3>&- &
        [ "$1" = "@ipc://$PWD/a" ] && sleep 0.3
        timeout 20 twist-cat --no-history -i "$2" -o got.tws
        wait $!
        cmp long.tws got.tws
    done
}

@test "features go to and come from an address, at every program that reads them" {
    twist-synth -q -o p --count=8 --val-count=0 --classes=2 --size=32
    twist-decode -q p/train | twist-augment -q --aug=eval --size=16 > one.tws
    twist-embed --no-history --pixels -i one.tws -o want.emb
    twist-embed --no-history --pixels -i one.tws -o "@ipc://$PWD/e" 3>&- &
    timeout 20 twist-cat --no-history -i "ipc://$PWD/e" -o got.emb
    wait $!
    cmp want.emb got.emb
    local command
    for command in "twist-cluster --kmeans=2 -i %" "twist-cluster --kmeans=2 %" "twist-knn -k3 --train % --val want.emb" "twist-knn -k3 --train want.emb --val %" \
        "twist-linear --epochs=2 --train % --val want.emb" "twist-linear --epochs=2 --train want.emb --val %"; do
        ${command/\%/want.emb} > want
        twist-cat -o "@ipc://$PWD/f" want.emb 3>&- &
        timeout 20 ${command/\%/ipc://$PWD/f} > got
        wait $!
        diff want got
    done
}

@test "a writer that has connected hears that the end has come, however soon the reader goes then" {
    twist-synth -q -o photos --count=12 --val-count=0 --classes=2 --size=40
    local i
    for i in $(seq 20); do
        twist-decode -q -o "ipc://$PWD/s$i" photos 3>&- &
        twist-cat -q --check -i "@ipc://$PWD/s$i" > /dev/null
        wait $!
    done
}

@test "an operand may be such an endpoint; every program's -i and -o" {
    twist-synth -q -o photos --count=12 --val-count=0 --classes=2 --size=40
    twist-decode -q --no-history photos | twist-augment -q --aug=barlow --size=32 --no-history -o want.tws
    twist-decode -q --no-history -o "@ipc://$PWD/one" photos 3>&- &
    local a=$!
    twist-augment -q --aug=barlow --size=32 --no-history -i "ipc://$PWD/one" -o "@ipc://$PWD/two" 3>&- &
    local b=$!
    timeout 20 twist-cat --no-history "ipc://$PWD/two" > got.tws
    wait $a
    wait $b
    cmp want.tws got.tws
}

@test "a writer that dies is no end of the stream" {
    twist-cat -q -o "@ipc://$PWD/s" "pipe:cat $FORMATS/views.tws | head -c 20000; sleep 30" 2> /dev/null 3>&- &
    pids=$!
    (sleep 1; kill -9 $pids) 3>&- &
    run timeout 20 twist-cat -i "ipc://$PWD/s" -o got.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"ipc://$PWD/s: ended at byte"*"without its end record"* || "$output" == *"ipc://$PWD/s: truncated at byte"* || "$output" == *"no header"* ]]
    [ ! -e got.tws ]
}

@test "a reader that goes before the end fails the writer, which does not wait for ever" {
    long_stream 300
    timeout 20 twist-cat --no-history -o "@ipc://$PWD/s" long.tws 2> err 3>&- &
    local writer=$! rc=0
    timeout 20 twist-cat --head 2 --json -i "ipc://$PWD/s" > /dev/null
    wait $writer || rc=$?
    [ $rc -eq 1 ]
    grep -q "^twist-cat: @ipc://$PWD/s: the reader has gone" err
}

@test "a stopped reader stops the writer: eight messages at each end are on the way, not the stream" {
    long_stream 2000 # 80 MB
    # the most of it comes when the reader stands: a fast machine would have sent it all before
    twist-cat --no-history -o "@tcp://127.0.0.1:$PORT" 3>&- \
        -i "pipe:head -c 1000000 long.tws; until [ -e stands ]; do sleep 0.02; done; tail -c +1000001 long.tws" &
    pids=$!
    twist-cat --no-history -i "tcp://127.0.0.1:$PORT" 3>&- > got.tws &
    local reader=$!
    pids="$pids $reader"
    until [ -s got.tws ]; do sleep 0.02; done
    kill -STOP $reader
    touch stands
    sleep 0.5
    [ "$(awk '/VmRSS/ {print $2}' "/proc/${pids% *}/status")" -lt 40000 ]
    kill -CONT $reader
    wait $reader
    cmp long.tws got.tws
}

@test "a second reader gets nothing and disturbs nobody; what is no stream is turned away" {
    long_stream 50
    twist-cat --no-history -o "@tcp://127.0.0.1:$PORT" -i "pipe:head -c 90000 long.tws; sleep 1.5; tail -c +90001 long.tws" 3>&- &
    local writer=$!
    sleep 0.2
    head -c 100000 /dev/urandom > /dev/tcp/127.0.0.1/$PORT || true
    timeout 20 twist-cat --no-history -i "tcp://127.0.0.1:$PORT" -o "pipe.tws" 3>&- &
    local first=$!
    for _ in $(seq 200); do grep -qs . .pipe.tws.*.tmp && break; sleep 0.05; done # it is the one that reads
    timeout 0.5 twist-cat -i "tcp://127.0.0.1:$PORT" -o second.tws 3>&- || true
    wait $first
    wait $writer
    cmp long.tws pipe.tws
    [ ! -e second.tws ]
}

@test "a socket takes the place of no file and of no other program's" {
    cp "$FORMATS/views.tws" precious
    ln -s precious link
    for side in "-o @ipc://$PWD/precious $FORMATS/views.tws" "-i @ipc://$PWD/precious" "-i @ipc://$PWD/link"; do
        run timeout 20 twist-cat -q $side
        [ "$status" -eq 1 ]
        [[ "$output" == *"cannot listen there: File exists"* ]]
    done
    cmp precious "$FORMATS/views.tws"
    twist-cat -q --no-history "$FORMATS/views.tws" -o "@ipc://$PWD/s" 3>&- &
    pids=$!
    until [ -S s ]; do sleep 0.02; done
    run timeout 20 twist-cat -q "$FORMATS/images.tws" -o "@ipc://$PWD/s"
    [ "$status" -eq 1 ]
    [[ "$output" == *"@ipc://$PWD/s: cannot listen there: Address already in use"* ]]
    timeout 20 twist-cat -q --no-history -i "ipc://$PWD/s" | cmp - <(twist-cat --no-history "$FORMATS/views.tws")
    wait $pids
    pids=
    # the socket of one that is gone is no obstacle
    twist-cat -q --no-history "$FORMATS/views.tws" -o "@ipc://$PWD/s" 3>&- &
    kill -9 $!
    timeout 20 twist-cat -q --no-history "$FORMATS/views.tws" -o "@ipc://$PWD/s" 3>&- &
    timeout 20 twist-cat -q --check -i "ipc://$PWD/s"
    wait $!
}

@test "an address that cannot be: exit 1, named; a writer into a writer is told" {
    run twist-cat -o "@tcp://192.0.2.1:1" "$FORMATS/views.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cat: @tcp://192.0.2.1:1: cannot listen there: "* ]]
    for address in "tcp://nowhere: at which port" "tcp://:5555: on which host" "tcp://127.0.0.1:65536: port 65536: the highest is 65535" \
        "@tcp://*:100000: port 100000: "; do
        run timeout 5 twist-cat "${address%%: *}"
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-cat: $address"* ]]
    done
    # a host that nobody knows may come to be known: said, and waited for
    run timeout 2 twist-cat tcp://no-such-host.invalid:5555
    [ "$status" -eq 124 ]
    [[ "$output" == "twist-cat: tcp://no-such-host.invalid:5555: no-such-host.invalid: "*"; waiting for it to be known" ]]
    # two readers: the first to hear the other says so
    timeout 3 twist-cat -i "@ipc://$PWD/r" -o x.tws 3>&- 2> err &
    timeout 3 twist-cat -i "ipc://$PWD/r" -o y.tws 2> err2 || true
    wait $! || true
    grep -q "connected to itself, or to another reader" err err2
}

@test "without an endpoint of ZeroMQ the library is not loaded" {
    LD_DEBUG=libs twist-cat --check "$FORMATS/views.tws" > out 2>&1
    ! grep -q zmq out || false
}
