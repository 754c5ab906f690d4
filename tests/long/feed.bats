# Goal: a thousand faults, a million records: the bytes of one machine each time, the weights of a quiet training, and a head's memory that does not
# grow.

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

@test "two trainers on the same workers, any process killed, ended or stopped, and started again: each step and weight of a quiet run" {
    pictures 48
    COMMAND="${COMMAND/--size=48/--size=32}"
    local round fault k p c running workers trainer
    train() { # DIR RANK
        spawn twist-train -q -o "$1.$2" --resume --device=cpu -j1 --backbone=resnet18 --small-stem --dim=16 --hid-dim=16 --batch-size=8 --epochs=12 \
            --seed=4 --save-every=1 -i "pipe:twist-feed head -q $HB --lease=3 --window=32 --shuffle --seed=7 --epochs=12 --work=ipc://$PWD/farm/$2 \
            --start-epoch=%e --skip=%s --shard=$2/2 p"
    }
    serve() { spawn twist-feed work -q --sample-timeout=3 --slots=$((RANDOM % 6 + 1)) "ipc://$PWD/farm/0" "ipc://$PWD/farm/1" -- "$COMMAND"; }
    steps() { grep '"step":' "$1/log.jsonl" | sed -E 's/"(images_per_second|views_per_second|wait)":[^,}]*//g'; }
    serve
    for k in 0 1; do train quiet $k; trainer[k]=$last; done
    for k in 0 1; do wait "${trainer[k]}"; done
    end_all
    for round in 1 2 3 4 5 6; do
        RANDOM=$round
        rm -rf run.0 run.1
        for k in 0 1 2; do serve; workers[k]=$last; done
        for k in 0 1; do train run $k; trainer[k]=$last; done
        running=2
        for ((fault = 0; running > 0; fault++)); do
            sleep "0.$((RANDOM % 9 + 1))"
            for k in 0 1 2; do kill -0 "${workers[k]}" 2> /dev/null || { serve; workers[k]=$last; }; done
            for k in 0 1; do
                [ -n "${trainer[k]}" ] && ! kill -0 "${trainer[k]}" 2> /dev/null || continue
                if wait "${trainer[k]}"; then trainer[k]= running=$((running - 1)); else train run $k; trainer[k]=$last; fi
            done
            [ $fault -lt 100 ] || continue # let it end
            p=${workers[RANDOM % 3]}
            [ $((RANDOM % 2)) = 0 ] || p=${trainer[RANDOM % 2]:-$p}
            c=($p $(descendants "$p"))
            p=${c[RANDOM % ${#c[@]}]}
            case $((RANDOM % 4)) in
            0 | 1) kill -9 "$p" 2> /dev/null || true ;;
            2) kill -TERM "$p" 2> /dev/null || true ;;
            3) kill -STOP "$p" 2> /dev/null || true; (sleep "$((RANDOM % 3)).3"; kill -CONT "$p" 2> /dev/null) 3>&- & ;;
            esac
        done
        end_all
        for k in 0 1; do
            cmp quiet.$k/backbone.safetensors run.$k/backbone.safetensors
            cmp <(steps quiet.$k) <(steps run.$k)
        done
        echo "# round $round of 6: $fault faults" >&3
    done
}
