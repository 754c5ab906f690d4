# Goal: a thousand faults, a million records: the bytes of one machine each time, and a head's memory that does not grow.

setup() { . "$BATS_TEST_DIRNAME/../feed.sh"; }
teardown() { end_all; }

@test "1,000 faults in rounds of ninety: every round's stream is that of one machine" {
    pictures 60
    reference --shuffle --seed=5 --epochs=60
    local round
    for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
        chaos $round 90
        echo "# round $round of 12: $heads of the 90 faults hit the head" >&3
    done
}

@test "a minute of half-open, slow, huge, forged and random connections: the bytes of one machine, nobody comes in" {
    pictures 40
    reference --epochs=40
    intruders clear 60
    intruders curve 60
}

@test "10^6 records: the memory of the head and the number of its open files stay as they are" {
    pictures 100
    spawn sh -c "exec twist-feed head -q --no-history --shuffle --epochs=10000 --work=$ADDRESS p > /dev/null"
    local head=$last early=0 now=0 files=0
    COMMAND="${COMMAND/--size=48/--size=16}"
    worker
    worker
    while kill -0 "$head" 2> /dev/null; do
        sleep 5
        now=$(awk '/VmRSS/ {print $2}' /proc/"$head"/status 2> /dev/null) || break
        [ -n "$now" ] || break
        [ "$early" -ne 0 ] || { early=$now files=$(ls /proc/"$head"/fd | wc -l); }
        [ "$now" -le $((early * 105 / 100 + 2048)) ] || { echo "$early kB at first, $now kB now"; false; }
        [ "$(ls /proc/"$head"/fd 2> /dev/null | wc -l)" -le $((files + 2)) ]
    done
    wait "$head"
}
