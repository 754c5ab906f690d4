# What the tests of the farm share (tests/feed.bats, tests/long/feed.bats): sourced in their setup.

TREE=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
BIN=$(cd "${BIN:-$TREE/bin}" && pwd)
PATH=$BIN:$PATH
COMMAND="twist-decode --no-history -q -j1 -i - | twist-augment --no-history -q -j1 --aug=barlow --size=48"
HB="--heartbeat=0.2"
. "$TREE/tests/port.sh"
PORT=$(free_port)
cd "$BATS_TEST_TMPDIR"
mkdir -m 700 farm
ADDRESS=ipc://$PWD/farm/s
pids=
spaces= # network namespaces

# Everything that a test has left running is its own: each is ended by its number.
end_all() {
    local p
    for p in $pids; do kill -9 "$p" 2> /dev/null || true; done
    for p in $pids; do wait "$p" 2> /dev/null || true; done
    for p in $spaces; do ip netns del "$p" || true; done
    pids= spaces=
}

# two_spaces A B: two network namespaces of these names, new ones, in $spaces
two_spaces() {
    local s
    for s in "$@"; do
        ip netns del "$s" 2> /dev/null || true # of a test that was killed
        ip netns add "$s" 2> /dev/null || skip "network namespaces cannot be made here"
        spaces="$spaces $s"
    done
}

# pictures N: a folder of pictures, p
pictures() { twist-synth -q -o s --count="$1" --val-count=0 --classes=2 --size=64 && mv s/train p; }

# reference OPTION...: want.tws, as one machine makes it
reference() { twist-decode --no-history -q "$@" p | twist-augment --no-history -q --aug=barlow --size=48 > want.tws; }

# spawn COMMAND...: in the background, in $pids; the number is $last
spawn() { (exec "$@") 3>&- & last=$!; pids="$pids $last"; }

# slow_head SECONDS OPTION...: a head whose reader begins so late, so that it is there meanwhile; in $head, its messages in err
slow_head() {
    local seconds=$1
    shift
    spawn bash -c 'n=$1; shift; twist-feed head -v --no-history "$@" p 2> err | { sleep "$n"; cat > got.tws; }' head "$seconds" "$@"
    head=$last
}

# worker [OPTION...]: one worker more
worker() { spawn twist-feed work -q --name="w$RANDOM" "$@" "$ADDRESS" -- "$COMMAND"; }

# descendants PID: the processes below it
descendants() {
    local c
    for c in $(cat /proc/"$1"/task/*/children 2> /dev/null); do echo "$c"; descendants "$c"; done
}

# head_of PID: the twist-feed head below (or at) it
head_of() {
    local c
    for c in "$1" $(descendants "$1"); do
        tr '\0' ' ' < /proc/$c/cmdline 2> /dev/null | grep -q '^[^ ]*twist-feed head ' && { echo "$c"; return; }
    done
    true
}

# field NAME: of the head's state
field() { twist-feed status --json "$ADDRESS" 2> /dev/null | grep -oE "\"$1\":[0-9.]+" | head -n 1 | cut -d: -f2; }

# intruders clear|curve SECONDS: a head whose reader takes that long, one worker, and all the while what tests/tools/intrude.c does. got.tws must be
# want.tws (--epochs=40), the head's memory small, the worker the only one, and connections that say nothing are closed.
intruders() {
    "${CC:-cc}" -O1 -o intrude "$TREE/tests/tools/intrude.c" || skip "no C compiler"
    local at=tcp://127.0.0.1:$PORT head=() work=() reader pid held closed longest most
    rm -f over got.tws
    if [ "$1" = curve ]; then
        twist-feed keygen head
        twist-feed keygen w
        head=(--key=head.key --allow=w.pub) work=(--key=w.key --server=head.pub)
    fi
    export ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=8 # memory that AddressSanitizer keeps back is not the head's
    # read so slowly that it would take twice the time
    spawn bash -c 'n=$1; shift; twist-feed head -q --no-history "$@" p | { until [ -e over ]; do head -c "$n"; sleep 0.2; done; cat; } > got.tws' \
        head $(($(stat -c %s want.tws) / ($2 * 10) + 1)) --epochs=40 --work="$at" "${head[@]}"
    reader=$last
    spawn twist-feed work -q --name=guest "${work[@]}" "$at" -- "$COMMAND"
    until pid=$(head_of "$reader") && [ -n "$pid" ] && [ -s got.tws ]; do sleep 0.1; done
    ./intrude "$PORT" 1000 "$2" > intruders
    twist-feed status --json "${work[@]}" "$at" > state
    most=$(awk '/VmHWM/ {print $2}' /proc/"$pid"/status)
    echo "# $1: $(cat intruders), head $most kB" >&3
    touch over
    [ "$most" -lt 100000 ]
    [ "$(grep -o '"name":"[^"]*guest"' state | wc -l)" = 1 ]
    grep -q '"workers":1,' state
    [ "$1" = curve ] || ! grep -q '"dropped":0,' state || { echo "no forged message has come"; false; }
    read -r _ _ held _ closed _ longest _ < intruders
    [ "$held" = 1000 ]
    [ "$closed" -ge 1000 ]
    [ "${longest%.*}" -lt 20 ] # 5 s from when the head sees it, which has others to see too, on a machine that has other work
    wait "$reader"
    cmp want.tws got.tws
    end_all
    PORT=$(free_port)
}

# chaos SEED FAULTS: four workers, a head that is started again by its reader, and one fault after the other. Every third waits until a part of the
# stream (--shuffle --seed=5 --epochs=60) is there, so that they fall all along it on any machine. got.tws must be want.tws. Sets heads: how many of
# the faults hit the head.
chaos() {
    local reader workers=() i w c fault part=$(($(stat -c %s want.tws) * 3 / ($2 + 3)))
    heads=0
    mkfifo stream
    spawn sh -c 'exec twist-cat -q --no-history -i "$0" > stream' \
        "pipe:twist-feed head -q $HB --lease=2 --no-history --shuffle --seed=5 --epochs=60 --start-epoch=%e --skip=%s --window=64 --work=$ADDRESS p"
    reader=$last
    exec 4< stream
    rm stream
    : > got.tws
    for i in 0 1 2 3; do worker --sample-timeout=2; workers[i]=$last; done
    RANDOM=$1
    for ((fault = 1; fault <= $2; fault++)); do
        sleep 0.08
        i=$((RANDOM % 4)) w=${workers[i]}
        case $((RANDOM % 8)) in
        0 | 1 | 2) kill -9 "$w" 2> /dev/null || true; worker --sample-timeout=2; workers[i]=$last ;;
        3) kill -STOP "$w" 2> /dev/null || true; (sleep 0.7; kill -CONT "$w" 2> /dev/null) 3>&- & ;;
        4 | 5) c=$(descendants "$w" | tail -n 1); [ -z "$c" ] || kill -9 "$c" 2> /dev/null || true ;;
        6) c=$(descendants "$w" | head -n 1); [ -z "$c" ] || kill -STOP "$c" 2> /dev/null || true ;;
        7) if [ $heads -lt 4 ]; then heads=$((heads + 1)); c=$(head_of "$reader"); [ -z "$c" ] || kill -9 "$c" 2> /dev/null || true; fi ;;
        esac
        [ $((fault % 3)) -ne 0 ] || head -c "$part" <&4 >> got.tws
    done
    cat <&4 >> got.tws
    exec 4<&-
    wait "$reader"
    end_all
    cmp want.tws got.tws
}
