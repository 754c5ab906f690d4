# Goal: a farm gives byte for byte the stream of one machine, whoever is slow, is stopped, is killed or says the wrong thing; bad pictures are
# dealt with as twist-decode does; nobody comes in who is not allowed.

setup_file() { export BATS_TEST_TIMEOUT=300; } # a head that is wrong may wait for its workers for ever
setup() { . "$BATS_TEST_DIRNAME/feed.sh"; }
teardown() { end_all; }

@test "1, 2, 3 and 7 workers, folders and shards, skip and shard: the bytes of one machine" {
    pictures 40
    reference --shuffle --seed=3 --epochs=3
    for n in 1 2 3 7; do
        twist-feed head -q --no-history --shuffle --seed=3 --epochs=3 --local "$n" p -- "$COMMAND" > got.tws
        cmp want.tws got.tws
    done
    reference --seed=1 --epochs=4 --start-epoch=1 --skip=7 --shard=1/3 --limit=31
    twist-feed head -q --no-history --seed=1 --epochs=4 --start-epoch=1 --skip=7 --shard=1/3 --limit=31 --local 2 p -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
    (cd p && tar -cf ../p.tar ./*)
    mkdir -p q && mv p.tar q/p.tar
    twist-decode --no-history -q --shuffle q/p.tar | twist-augment --no-history -q --aug=barlow --size=48 > want.tws
    twist-feed head -q --no-history --shuffle --local 2 --window=3 q/p.tar -- "$COMMAND" > got.tws
    cmp want.tws got.tws
    twist-feed head -q --no-history --shuffle --local 2 --ship --mem=50KiB q/p.tar -- "$COMMAND" > got.tws
    cmp want.tws got.tws
    # a shard that has none
    twist-decode --no-history -q --shard=60/61 p | twist-augment --no-history -q --aug=barlow --size=48 > want.tws
    timeout 60 twist-feed head -q --no-history $HB --local=1 --shard=60/61 p -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
}

@test "60 faults: workers and commands killed and stopped, heads killed: the bytes of one machine" {
    pictures 60
    reference --shuffle --seed=5 --epochs=60
    chaos 7 60
    [ "$heads" -ge 1 ]
}

@test "connections cut at random bytes, and a partition that heals: the bytes of one machine" {
    "${CC:-cc}" -O1 -o cutwire "$TREE/tests/tools/cutwire.c" || skip "no C compiler"
    pictures 50
    reference --shuffle --epochs=12
    spawn twist-feed head -q $HB --no-history --shuffle --epochs=12 --work="tcp://127.0.0.1:$PORT" -o got.tws p
    local head=$last
    spawn ./cutwire "$PORT" 5 300000 > port
    local wire=$last i
    until [ -s port ]; do kill -0 "$wire" && sleep 0.05; done
    for i in 1 2 3; do spawn twist-feed work -q "tcp://127.0.0.1:$(cat port)" -- "$COMMAND"; done
    sleep 1
    kill -USR1 "$wire"
    wait "$head"
    cmp want.tws got.tws
}

@test "a worker killed: the gap is at most three heartbeats and a sample" {
    pictures 60
    spawn sh -c "exec twist-feed head -q $HB --no-history --epochs=4000 --work=$ADDRESS p > head.out"
    local i victim a b
    for i in 1 2; do worker; done
    victim=$last
    for ((i = 0; i < 100; i++)); do [ -s head.out ] && [ "$(field workers)" = 2 ] && break; sleep 0.1; done
    kill -9 "$victim"
    sleep 1 # 3 x 0.2 s and what a loaded machine adds
    a=$(stat -c %s head.out)
    sleep 0.5
    b=$(stat -c %s head.out)
    [ "$b" -gt "$a" ]
    [ "$(field workers)" = 1 ]
}

@test "a worker that is told to end finishes what it has: nothing is leased again" {
    pictures 60
    reference --epochs=30
    spawn twist-feed head -q --no-history --epochs=30 --hedge=100 --work="$ADDRESS" --log log -o got.tws p
    local head=$last i w=()
    for i in 0 1 2; do worker; w[i]=$last; done
    for i in 0 1; do
        sleep 0.5
        kill -TERM "${w[i]}"
        wait "${w[i]}"
    done
    wait "$head"
    cmp want.tws got.tws
    tail -n 1 log | grep -q '"duplicates":0,.*"expired":0,"hedged":0,"lost_workers":0'
}

@test "workers with --once hear of the end, also while they are sending" {
    pictures 24
    ADDRESS=tcp://127.0.0.1:$PORT # whose connections lose what was sent last when they are closed with something unread
    local big="twist-decode -q -i - | twist-augment -q --aug=linear --size=448" i k head
    for ((i = 0; i < 5; i++)); do
        rm -f go
        spawn sh -c "twist-feed head -q --no-history --epochs=12 --work=$ADDRESS p | { until [ -e go ]; do sleep 0.02; done; cat > /dev/null; }"
        head=$last
        : > crew
        for k in 1 2 3; do
            spawn timeout 30 twist-feed work -q --once --slots=16 "$ADDRESS" -- "$big"
            echo "$last" >> crew
        done
        until [ "$(field workers)" = 3 ]; do sleep 0.05; done
        touch go
        wait "$head"
        while read -r k; do wait "$k"; done < crew # 124: it was still waiting for a head
    done
}

@test "a head ends although one of its own workers is stopped" {
    pictures 8
    reference --epochs=150
    spawn twist-feed head -q $HB --no-history --local 2 --epochs=150 -o got.tws p -- "$COMMAND"
    head=$last
    until w=$(descendants $head | head -n 1) && [ -n "$w" ]; do sleep 0.02; done
    kill -STOP "$w"
    pids="$pids $w"
    for ((i = 0; i < 600; i++)); do kill -0 $head 2> /dev/null || break; sleep 0.1; done
    [ $i -lt 600 ]
    wait $head
    cmp want.tws got.tws
}

@test "bad pictures: skipped, substituted or fatal, and listed, as twist-decode does" {
    pictures 24
    local f n=0
    for f in p/*/0000[3-5].jpg; do head -c 400 "$f" > t && mv t "$f"; done
    : > p/0/zzz.jpg 2> /dev/null || : > "$(echo p/* | cut -d' ' -f1)/zzz.jpg"
    for how in skip substitute; do
        twist-decode --no-history -q --shuffle --epochs=2 --on-error=$how --rejects=want.tsv p 2> want.err |
            twist-augment --no-history -q --aug=barlow --size=48 > want.tws
        twist-feed head -q --no-history --shuffle --epochs=2 --on-error=$how --rejects=got.tsv --local 3 p -- "$COMMAND" > got.tws 2> got.err
        cmp want.tws got.tws
        cmp want.tsv got.tsv
        cmp <(sed 's/twist-decode/twist-feed/' want.err) <(grep -v 'bad images left out' got.err)
    done
    run twist-feed head -q --on-error=fail --local 1 p -o no.tws -- "$COMMAND"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-feed: p/"*".jpg: "* ]]
    [ ! -e no.tws ]
    run twist-feed head -q --max-errors=2 --local 1 p -o no.tws -- "$COMMAND"
    [ "$status" -eq 1 ]
    [[ "$output" == *"more than 2 bad images"* ]]
    # a run that goes on where only a bad one is left
    : > "$(printf '%s\n' p/* | tail -n 1)/zzzz.jpg"
    local last=--skip=$(($(find p -type f | wc -l) - 1))
    twist-decode --no-history -q $last p | twist-augment --no-history -q --aug=barlow --size=48 > want.tws
    twist-feed head -q --no-history $last --local 1 p -- "$COMMAND" > got.tws
    cmp want.tws got.tws
    [[ "$(twist-cat --json got.tws | tail -n 1)" == *'"samples": 0, "skipped": 1'* ]]
}

@test "shipped pictures: one larger than a message is a bad one; a command that dies while it is sent work is started again" {
    pictures 12
    { printf 'P6 300 300 255\n'; head -c 270000 /dev/urandom; } > p/cells/large.ppm
    spawn twist-feed head -q --no-history --ship --max-bytes=200KiB --rejects=bad.tsv --work="$ADDRESS" -o got.tws p 2> /dev/null
    local head=$last
    worker --max-bytes=200KiB
    wait "$head"
    grep -q "large.ppm.*270015 bytes, and messages have at most 204800 (--max-bytes)" bad.tsv
    reference
    cmp <(twist-cat --json got.tws | grep -c '"key"') <(twist-cat --json want.tws | grep '"key"' | grep -vc large)
    spawn twist-feed head -q --no-history --ship --work="$ADDRESS" -o got.tws p
    head=$last
    COMMAND="{ [ -e died ] && cat || { stdbuf -o0 head -c 200000; touch died; }; } | $COMMAND"
    worker
    wait "$head"
    [ -e died ] && cmp want.tws got.tws
}

@test "a picture that crashes or hangs the command: it alone is left out, and remembered; the same with 1 and 3 workers" {
    "${CC:-cc}" -O1 -o poison "$TREE/tests/tools/poison.c" || skip "no C compiler"
    pictures 30
    local victim index how n
    victim=$(find p -name '*.jpg' | LC_ALL=C sort | sed -n 9p)
    mv "$victim" t
    twist-decode --no-history -q --epochs=3 p | twist-augment --no-history -q --aug=barlow --size=48 > without.tws
    cat t - <<< POISON > "$victim"
    for how in crash hang; do
        for n in 1 3; do
            twist-feed head -q --no-history --epochs=3 $HB --local $n --sample-timeout=3 --quarantine=q$n.$how p -o got.tws -- "./poison $how | $COMMAND" 2> err
            [ "$(twist-cat --json got.tws | grep -c '"key"')" = 87 ]
            ! twist-cat --json got.tws | grep -qF "$victim" || false
            [ "$(wc -l < q$n.$how)" = 1 ]
            grep -qP "^8\t$victim\t" q$n.$how
            [ "$(grep -cF "$victim" err)" -ge 3 ] # once an epoch
        done
        [ "$(cut -f1,2 q1.$how)" = "$(cut -f1,2 q3.$how)" ]
    done
    # samples that several workers have in hand with it are nobody's to leave out, whoever is given them second or third
    for n in 1 2 3 4 5 6; do
        twist-feed head -q --no-history --epochs=3 $HB --local 3 p -o got.tws -- "./poison crash | $COMMAND" 2> err
        [ "$(twist-cat --json got.tws | grep -c '"key"')" = 87 ]
    done
    # one that has the command write messages without end does not keep the workers from anything
    timeout 100 twist-feed head -q --no-history $HB --local 2 --sample-timeout=2 --quarantine=rave p -o rave.tws -- "./poison rave | $COMMAND" 2> /dev/null
    [ "$(twist-cat --json rave.tws | grep -c '"key"')" = 29 ]
    grep -qP "^8\t$victim\t" rave
    # what is in the file is not tried again
    twist-feed head -q --no-history --epochs=3 --local 1 --quarantine=q1.crash p -o again.tws -- "./poison crash | $COMMAND"
    cmp again.tws got.tws
}

@test "pictures of one name, a bad one among them, names that begin alike, a name with a newline: the bytes of one machine, at once" {
    pictures 12
    local i want
    for i in 0 1 2 3 4 5; do # in each archive 0.jpg, bad in every second one
        mkdir t
        cp "$(find p -name '*.jpg' | LC_ALL=C sort | sed -n $((i + 1))p)" t/0.jpg
        [ $((i % 2)) = 0 ] || head -c 400 t/0.jpg > u
        [ $((i % 2)) = 0 ] || mv u t/0.jpg
        cp "$(find p -name '*.jpg' | tail -n $((i + 1)) | head -n 1)" t/1.jpg
        tar -C t -cf $i.tar 0.jpg 1.jpg
        rm -r t
    done
    twist-decode --no-history -q --epochs=20 --shuffle ./*.tar 2> /dev/null | twist-augment --no-history -q --aug=barlow --size=48 > want.tws
    twist-feed head -q --no-history $HB --epochs=20 --shuffle --local=2 --slots=16 ./*.tar -o got.tws -- "$COMMAND" 2> err
    cmp want.tws got.tws
    rm -r p
    mkdir p
    cp "$BATS_TEST_DIRNAME/golden/decode/rgb.jpg" p/a.jpg
    cp p/a.jpg p/z.jpg
    head -c 700 p/a.jpg > "p/a.jpg: b.jpg"
    head -c 700 p/a.jpg > "p/y"$'\n'"bad.jpg"
    reference --epochs=4 2> /dev/null
    twist-feed head -q --no-history $HB --epochs=4 --local=1 --rejects=r --quarantine=q p -o got.tws -- "$COMMAND" 2> err
    cmp want.tws got.tws
    [ "$(sort -u r)" = 'p/a.jpg: b.jpg	bad JPEG: Premature end of JPEG file
p/y\nbad.jpg	bad JPEG: Premature end of JPEG file' ]
    [ ! -s q ]
}

@test "a picture larger than a result may be, read or sent by the head with --max-bytes above it" {
    mkdir p
    { printf 'P6 5000 5000 255\n'; head -c 75000000 /dev/zero; } > p/large.ppm
    cp "$BATS_TEST_DIRNAME/golden/decode/rgb.jpg" p
    reference
    twist-feed head -q --no-history --sample-timeout=60 --local=1 p -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
    timeout 60 twist-feed head -q --no-history --ship --max-bytes=100MiB --sample-timeout=60 --local=1 p -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
}

@test "a quarantine of other data is refused by its line" {
    pictures 4
    local name
    name=$(find p -name '*.jpg' | LC_ALL=C sort | sed -n 2p)
    for line in "0	$name	it crashed" "1	other/set.jpg	it crashed" "4	$name	it crashed"; do
        printf '%s\n' "$line" > q
        run timeout 20 twist-feed head -q --no-history --local=1 --quarantine=q p -o got.tws -- "$COMMAND"
        [ "$status" -eq 1 ]
        [[ "$output" == *"q: line 1 is no"*"of this data set"* ]]
    done
    printf '1\t%s\tit crashed\n' "$name" > q
    twist-feed head -q --no-history --local=1 --quarantine=q p -o got.tws -- "$COMMAND"
    [ "$(twist-cat --json got.tws | grep -c '"key"')" = 3 ]
}

@test "a head that is started again: bad pictures are counted and listed as if nothing had been" {
    pictures 5
    local i reader head
    head -c 400 "$(find p -name '*.jpg' | LC_ALL=C sort | head -n 1)" > p/bad.jpg
    mv p/bad.jpg "$(dirname "$(find p -name '*.jpg' | LC_ALL=C sort | tail -n 1)")"
    spawn twist-cat -q --no-history -o got.tws -i "pipe:twist-feed head -q $HB --no-history --epochs=300 --local=1 --rejects=r \
        --start-epoch=%e --skip=%s p -- '$COMMAND' 2> err"
    reader=$last
    for i in 1 2 3; do
        until [ "$(wc -l < r 2> /dev/null)" -gt $((60 * i)) ] 2> /dev/null; do sleep 0.02; done
        head=$(head_of "$reader")
        [ -z "$head" ] || kill -9 "$head"
    done
    wait "$reader"
    reference --epochs=300 2> /dev/null
    cmp want.tws got.tws
    twist-cat --json got.tws | tail -n 1 | grep -F '"skipped": 300'
    [ "$(wc -l < r)" -ge 300 ] # some twice: what the killed one had found and its reader had not come to
    [[ "$(cut -f1 r | sort -u)" == p/*/bad.jpg ]]
}

@test "other bytes from one worker: another command, another machine: turned away; --audit finds who is wrong" {
    pictures 30
    reference --epochs=40
    slow_head 6 --epochs=40 $HB --work="$ADDRESS"
    worker
    sleep 0.5
    run timeout 20 twist-feed work -q --name=odd "$ADDRESS" -- "twist-decode --no-history -q -j1 -i - | twist-augment --no-history -q -j1 --aug=barlow --size=40"
    [ "$status" -eq 1 ]
    [[ "$output" == *"the head turns this worker away: "*"differs from what other workers made"* ]]
    run timeout 20 twist-feed work -q --name=old "$ADDRESS" -- "twist-decode -q -j1 -i - | twist-augment -q -j1 --aug=barlow --size=48 --trace"
    [ "$status" -eq 1 ]
    [[ "$output" == *"another command"* ]]
    run timeout 20 twist-feed work -q "$ADDRESS" -- "twist-decode --no-history -q -j1 -i -"
    [ "$status" -eq 1 ]
    [[ "$output" == *"stream of images; want views"* ]]
    wait "$head"
    grep -q "worker odd is turned away" err
    cmp want.tws got.tws
}

@test "--audit and a command that dies: the worker that failed a sample is not waited for" {
    pictures 60
    reference --epochs=30
    spawn timeout 100 twist-feed head -q --no-history --epochs=30 $HB --audit=1 --work="$ADDRESS" p -o got.tws
    local head=$last
    worker
    worker
    until [ "$(field done)" -gt 20 ] 2> /dev/null; do sleep 0.05; done
    kill -9 "$(descendants "$last" | tail -n 1)"
    wait "$head"
    cmp want.tws got.tws
}

@test "a command whose program is away for a while, between two starts: no sample is left out for it" {
    pictures 60
    reference --epochs=40
    mkdir tools
    cp "$(readlink -f "$BIN/twist-augment")" tools
    local command="${COMMAND/| twist-augment/| tools/twist-augment}" workers= w c
    spawn timeout 100 twist-feed head -q --no-history --epochs=40 $HB --quarantine=q --work="$ADDRESS" p -o got.tws
    local head=$last
    for w in 1 2; do
        spawn twist-feed work -q --name=w$w "$ADDRESS" -- "$command"
        workers="$workers $last"
    done
    until [ "$(field done)" -gt 20 ] 2> /dev/null; do sleep 0.05; done
    mv tools away
    for w in $workers; do for c in $(descendants "$w"); do kill -9 "$c"; done; done
    sleep 1
    mv away tools
    wait "$head"
    [ ! -s q ]
    cmp want.tws got.tws
}

@test "a second head at the socket of one that runs is refused; a folder of its own does not stay" {
    pictures 4
    spawn twist-feed head -q --no-history --epochs=100000 --work="$ADDRESS" p -o first.tws
    until [ -S farm/s ]; do sleep 0.02; done
    run timeout 20 twist-feed head -q --work="$ADDRESS" p -o second.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"$ADDRESS: cannot listen there: Address already in use"* ]]
    worker
    until [ "$(field done)" -gt 0 ] 2> /dev/null; do sleep 0.05; done # the first one has kept it
    end_all
    twist-feed head -v --no-history $HB --epochs=1000 --local=1 p -- "$COMMAND" 2> err | head -c 100000 > part.tws
    local own
    own=$(grep -o 'ipc:///tmp/twist-feed-[^/]*' err | head -n 1)
    [ -n "$own" ]
    [ ! -e "${own#ipc://}" ]
}

@test "status: a table, JSON and metrics; a head that is not there" {
    pictures 20
    spawn twist-feed head -q --no-history --epochs=4000 --work="$ADDRESS" --metrics=live.prom -o got.tws p
    worker
    sleep 1
    twist-feed status "$ADDRESS" > table
    grep -q '^epoch [0-9]*, sample [0-9]* of 20; [0-9]* written' table
    grep -q '^w[0-9]* ' table
    twist-feed status --json "$ADDRESS" | grep -q '^{"written":[0-9]*,.*"worker":\[{"name":"w'
    twist-feed status --metrics=x.prom "$ADDRESS"
    grep -q '^twist_feed_workers 1$' x.prom
    grep -q '^# TYPE twist_feed_written_total counter$' x.prom
    grep -q '^twist_feed_worker_done_total{worker="w[0-9]*",place="0"} [1-9]' x.prom
    timeout 3 twist-feed status --watch --json "$ADDRESS" > lines || true
    [ "$(wc -l < lines)" -ge 2 ]
    end_all
    run timeout 20 twist-feed status "$ADDRESS"
    [ "$status" -eq 1 ]
    [[ "$output" == *"no answer from a head"* ]]
}

@test "two ranks: a head each, workers that serve both; the order does not depend on who works" {
    pictures 30
    for r in 0 1; do
        twist-decode --no-history -q --shuffle --epochs=3 --shard=$r/2 p | twist-augment --no-history -q --aug=barlow --size=48 > want$r.tws
        spawn twist-feed head -q --no-history --shuffle --epochs=3 --shard=$r/2 --work="ipc://$PWD/farm/r$r" -o got$r.tws p
    done
    local heads=$pids
    spawn twist-feed work -q -j2 "ipc://$PWD/farm/r0" "ipc://$PWD/farm/r1" -- "$COMMAND"
    wait $heads
    cmp want0.tws got0.tws
    cmp want1.tws got1.tws
}

@test "addresses and keys: what is refused" {
    pictures 4
    twist-feed keygen k
    twist-feed keygen w
    [ "$(stat -c %a k.key)" = 600 ]
    [ "$(stat -c %a k.pub)" = 644 ]
    run twist-feed keygen k
    [ "$status" -eq 1 ]
    twist-feed keygen secret-head
    run timeout 10 twist-feed status --key=w.key --server=secret-head.pub "tcp://127.0.0.1:$PORT"
    [[ "$output" == *"no answer from a head"* ]]
    echo "secret-key = \"$(cat secret-head.key)\"" > both
    run timeout 10 twist-feed status --key=w.key --server=both "tcp://127.0.0.1:$PORT"
    [[ "$output" == *"no public key in it"* ]]
    chmod 755 farm
    for bad in "tcp://*:$PORT|reachable from other machines" "tcp://0.0.0.0:$PORT|reachable" "ipc://@abstract|abstract" "$ADDRESS|its folder is open to other users" \
        "tcp://*:$PORT --key=k.key|--key also needs --allow" "tcp://*:$PORT --allow=w.pub|also needs --key"; do
        run timeout 10 twist-feed head -q p --work=${bad%|*}
        [ "$status" -eq 1 ]
        [[ "$output" == *"${bad##*|}"* ]] || { echo "$bad: $output"; false; }
    done
    for bad in 'tcp://127.0.0.1:0;192.0.2.1:5577' tcp://127.example.org:5577 tcp://127.1:5577; do
        run timeout 10 twist-feed work "$bad" -- cat
        [ "$status" -eq 1 ]
        [[ "$output" == *"reachable from other machines"* ]]
    done
    chmod 644 k.key
    run timeout 10 twist-feed head -q p --work="tcp://*:$PORT" --key=k.key --allow=w.pub
    [ "$status" -eq 1 ]
    [[ "$output" == *"k.key: others may read or write it (mode 0644)"* ]]
    chmod 600 k.key
    ln -s k.key link.key
    head -c 39 w.key > short.key
    echo "$(head -c 40 w.key)x" > long.key
    : > empty.key
    chmod 600 ./*.key
    for bad in "link.key|a symbolic link" "short.key|no secret key" "long.key|no secret key" "empty.key|no secret key" "none.key|No such file"; do
        run timeout 10 twist-feed head -q p --work="tcp://*:$PORT" --key="${bad%|*}" --allow=w.pub
        [ "$status" -eq 1 ]
        [[ "$output" == *"${bad##*|}"* ]] || { echo "$bad: $output"; false; }
    done
    if [ "$(id -u)" = 0 ]; then
        cp w.key theirs.key && chown 12345 theirs.key && chmod 600 theirs.key
        run timeout 10 twist-feed head -q p --work="tcp://*:$PORT" --key=theirs.key --allow=w.pub
        [[ "$output" == *"belongs to another user"* ]]
    fi
}

@test "CURVE: the allowed worker alone is let in; a key that is taken out; nothing secret is seen" {
    pictures 30
    reference --epochs=40
    for k in head good gone bad; do twist-feed keygen $k; done
    cat good.pub gone.pub > allowed
    slow_head 7 --epochs=40 $HB --work="tcp://127.0.0.1:$PORT" --key=head.key --allow=allowed
    local at="tcp://127.0.0.1:$PORT"
    # an unknown key, none, another head's key: nobody hears them
    spawn twist-feed work -q --key=bad.key --server=head.pub "$at" -- "$COMMAND"
    spawn twist-feed work -q --insecure "$at" -- "$COMMAND"
    spawn twist-feed work -q --key=good.key --server=bad.pub "$at" -- "$COMMAND"
    head -c 20000 /dev/urandom > /dev/tcp/127.0.0.1/"$PORT" 2> /dev/null || true
    sleep 1
    run twist-feed status --json --key=gone.key --server=head.pub "$at"
    [ "$status" -eq 0 ]
    [[ "$output" == *'"workers":0,'* ]]
    [[ "$output" == *'"refused_keys":'[1-9]* ]]
    spawn twist-feed work -q --name=one --key=gone.key --server=head.pub "$at" -- "$COMMAND"
    local gone=$last rc=0
    sleep 1
    for p in $pids; do
        tr '\0' '\n' < /proc/$p/environ > env.txt 2> /dev/null || true
        tr '\0' '\n' < /proc/$p/cmdline >> env.txt 2> /dev/null || true
        for k in head good gone bad; do ! grep -qF "$(cat $k.key)" env.txt || false; done
    done
    cp good.pub allowed
    kill -HUP "$(head_of "$head")"
    wait "$gone" || rc=$?
    [ $rc -eq 1 ]
    spawn twist-feed work -q --key=good.key --server=head.pub "$at" -- "$COMMAND"
    wait "$head"
    cmp want.tws got.tws
    for k in head good gone bad; do ! grep -qF "$(cat $k.key)" err || false; done
    grep -q "worker gone/one is turned away: its key is not allowed any more" err
}

@test "1,000 half-open connections, slow greetings, frames of 2^40 bytes, forged and random ones: the bytes of one machine, nobody comes in" {
    pictures 40
    reference --epochs=40
    intruders clear 9
    intruders curve 9
}

@test "files outside the root are not opened; links that lead out of it neither" {
    pictures 6
    run timeout 20 twist-feed head -q --root=farm --local 1 p -o x.tws -- "$COMMAND"
    [ "$status" -eq 1 ]
    [[ "$output" == *"not below the root"* ]]
    mkdir other
    cp -r p other/p
    rm "$(find p -name '*.jpg' | sort | head -n 1)"
    ln -s "$PWD/other/$(cd other && find p -name '*.jpg' | sort | head -n 1)" "$(cd other && find p -name '*.jpg' | sort | head -n 1)"
    mkdir in && mv p in/p
    run timeout 20 twist-feed head -q --root=in --local 1 in/p -o x.tws -- "$COMMAND"
    [ "$status" -eq 0 ]
    [[ "$output" == *".jpg: leads out of the root (see --root and --ship); skipped"* ]]
}

@test "data reached through links are where the links lead, .. behind one too; a name that no message holds is refused" {
    pictures 6
    reference
    mkdir -p real/deep && mv p real/imgs && ln -s "$PWD/real/imgs" p && ln -s real/deep link
    timeout 20 twist-feed head -q --no-history --local 1 p -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
    twist-decode --no-history -q link/../imgs | twist-augment --no-history -q --aug=barlow --size=48 > want.tws
    timeout 20 twist-feed head -q --no-history --root=/ --local 1 link/../imgs -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
    ls p/*/* > list # a picture that is gone when its turn comes is a bad one there too
    rm "$(sed -n 5p list)"
    twist-decode --no-history -q --list=list -o decoded 2> want.err
    twist-augment --no-history -q --aug=barlow --size=48 -i decoded > want.tws
    timeout 20 twist-feed head -q --no-history --root=real/imgs --local 1 --list=list -o got.tws -- "$COMMAND" 2> got.err
    cmp want.tws got.tws
    [ "$(cut -d: -f2- got.err)" = "$(cut -d: -f2- want.err)" ]
    tar -C real/imgs --format=pax --transform "s,^\\.,$(printf 'a/%.0s' {1..2200})," -cf long.tar .
    run timeout 20 twist-feed head -q --ship --local 1 long.tar -o got.tws -- "$COMMAND"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"a/a/...: its name is longer than 4096 bytes"* ]]
}

@test "a worker's command: three open files, no more rights than it has, no core file; it ends with its worker" {
    pictures 6
    local i
    COMMAND="{ ls /proc/self/fd; cat /proc/self/status /proc/self/limits; } > seen; exec $COMMAND"
    exec 7< p
    spawn twist-feed head -q --no-history --epochs=100000 --work="$ADDRESS" -o got.tws p
    worker
    for ((i = 0; i < 100; i++)); do [ "$(field written)" != 0 ] && [ -s seen ] && break; sleep 0.1; done
    exec 7<&-
    [ "$(sed -n '/^[0-9]*$/p' seen | tr '\n' ' ')" = "0 1 2 3 " ] # 3: the folder that ls reads
    grep -q '^NoNewPrivs:	1$' seen
    grep -q '^Max core file size  *0  *0 ' seen
    local below
    below=$(descendants "$last")
    [ "$(wc -w <<< "$below")" -ge 2 ]
    kill -9 "$last"
    for ((i = 0; i < 100; i++)); do
        local left=0 p
        for p in $below; do ! kill -0 "$p" 2> /dev/null || grep -q '^State:.*zombie' /proc/"$p"/status 2> /dev/null || left=1; done
        [ $left = 1 ] || break
        sleep 0.1
    done
    [ $left = 0 ]
}

@test "a command that cannot be started is not started for ever: its worker ends with the reason, and a head that has no others" {
    pictures 4
    run timeout 60 twist-feed head -q --no-history --local 1 p -o got.tws -- no-such-program
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-feed: no-such-program: the command ended with status 127; it never wrote a stream"* ]]
    [[ "$output" == *"its local workers exit as soon as they start"* ]]
    slow_head 0 $HB --work="$ADDRESS"
    run timeout 60 twist-feed work -q "$ADDRESS" -- 'exit 3'
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"exit 3: the command ended with status 3; it never wrote a stream" ]]
    worker
    wait $head
    reference
    cmp want.tws got.tws # its workers' bad command is no fault of the pictures
    end_all
}

@test "a command that never begins its stream is ended and started again, and the head says that it has no worker" {
    pictures 4
    spawn bash -c 'exec twist-feed head --heartbeat=0.5 --no-history --work="$0" p -o got.tws 2> err' "$ADDRESS"
    local head=$last
    spawn bash -c 'exec twist-feed work --sample-timeout=0.1 "$0" -- "[ -e second ] || { touch second; exec sleep 1000; }; $1" 2> said' "$ADDRESS" "$COMMAND"
    wait "$head"
    reference
    cmp want.tws got.tws
    grep -q 'the command has not begun its stream for 10.1 s' said
    grep -q 'no worker for 5 s' err
    end_all
    spawn bash -c 'exec twist-feed head -q --no-history --work="$0" p > nothing 2> err' "$ADDRESS"
    run timeout 60 twist-feed work -q --sample-timeout=0.1 "$ADDRESS" -- 'sleep 1000 | false'
    [ "$status" -eq 1 ]
    [[ "$output" == *"the command has not begun its stream for 10.1 s"*"; it never wrote a stream"* ]]
}

@test "a log that cannot be written is named; a log's and a quarantine's last line that was cut is passed over" {
    pictures 8
    reference
    run twist-feed head -q --local 1 --log=nowhere/log -o got.tws p -- "$COMMAND"
    [ "$status" -eq 1 ]
    [[ "$output" == *"nowhere/log: No such file or directory"* ]]
    run twist-feed head -q --local 1 --quarantine=nowhere/q -o none.tws p -- "$COMMAND" # before the first picture, not when one is to be written
    [ "$status" -eq 1 ]
    [ "$output" = "twist-feed: nowhere/q: No such file or directory" ]
    (set -o pipefail; ulimit -f 3; twist-feed head -q --log=long --work="$ADDRESS" p 2> err | cat > /dev/null) 3>&- & head=$! pids="$pids $!"
    spawn twist-feed work -q -j30 --name="$(printf '%0100d' 0)" "$ADDRESS" -- 'exec sleep 100'
    until [ "$(field workers)" = 30 ]; do sleep 0.1; done
    worker
    status=0
    wait $head || status=$?
    [ "$status" -eq 1 ]
    [ "$(cat err)" = "twist-feed: long: File too large" ]
    end_all
    twist-feed head -q --no-history --local 1 --log=long -o got.tws p -- "$COMMAND"
    [ "$(tail -n 1 long | grep -o '"written"' | wc -l)" = 1 ]
    printf '3\tp/ce' > left
    twist-feed head -q --no-history --local 1 --quarantine=left -o got.tws p -- "$COMMAND"
    cmp want.tws got.tws
    [ ! -s left ] # what is added begins a line
}

@test "descriptors that are short end a head that ships pictures, or a worker: they leave no picture out" {
    starve() { # PID: no file more can be opened by it
        local n=0
        while [ -e /proc/"$1"/fd/$n ]; do n=$((n + 1)); done
        prlimit --pid "$1" --nofile=$n:$n
    }
    pictures 40
    reference --epochs=200 # more than pipes, windows and a reader that has not begun can hold
    mkfifo stream
    for who in head worker; do
        ship=
        [ $who = worker ] || ship=--ship
        (exec twist-feed head -q --no-history $ship $HB --epochs=200 --work="$ADDRESS" -o - p > stream 2> err) 3>&- & head=$! pids="$pids $!"
        exec 4< stream
        (exec twist-feed work -q --once "$ADDRESS" -- "$COMMAND" 2> said) 3>&- 4<&- & worker=$! pids="$pids $!"
        head -c 1000 <&4 > got.tws
        starve "${!who}"
        if [ $who = head ]; then
            cat <&4 >> got.tws
            status=0
            wait $head || status=$?
            [ "$status" -eq 1 ]
            grep -q '^twist-feed: p/.*jpg: Too many open files$' err
            [ "$(wc -l < err)" -eq 1 ]
            cmp -n "$(stat -c %s got.tws)" want.tws got.tws
        else
            cat <&4 >> got.tws & reader=$! pids="$pids $!"
            status=0
            wait $worker || status=$?
            [ "$status" -eq 1 ]
            grep -q '^twist-feed: p/.*jpg: Too many open files$' said
            worker
            wait $reader
            cmp want.tws got.tws
        fi
        exec 4<&-
        end_all
    done
}

@test "a head whose pipe is another user's does not wait for the reader: it goes on speaking with its workers" {
    drop=
    [ "$(id -u)" != 0 ] || drop='setpriv --bounding-set=-dac_override,-dac_read_search' # so that root is no exception
    pictures 12
    reference --epochs=200
    spawn bash -c '{ chmod 0 /proc/self/fd/1; exec "$@" 2> err; } | { until [ -e over ]; do sleep 0.1; done; cat > got.tws; }' head \
        $drop twist-feed head -q --no-history $HB --epochs=200 --work="$ADDRESS" p
    reader=$last
    worker
    for ((i = 0; i < 100; i++)); do
        twist-feed status --json "$ADDRESS" > state || break # where it waits, nobody answers
        ! grep -q '"waits_for":"reader"' state || break
        sleep 0.1
    done
    grep -q '"waits_for":"reader"' state
    touch over
    wait $reader
    cmp want.tws got.tws
}

@test "a record that is damaged between the programs of a command is made again" {
    pictures 12
    reference
    damage='if mkdir once 2> /dev/null; then dd bs=1 count=5000 2> /dev/null; head -c 1 | tr "\\0-\\377" "\\1-\\377\\0"; fi; cat'
    timeout 60 twist-feed head -q --no-history --local=1 p -o got.tws -- "$COMMAND | { $damage; }"
    [ -d once ]
    cmp want.tws got.tws
}

@test "a head whose reader has gone stops quietly; wrong command lines exit 2" {
    pictures 20
    run bash -o pipefail -c "timeout 20 twist-feed head -q --epochs=1000 --local 1 p -- '$COMMAND' | head -c 5000 > part"
    [ "$status" -eq 141 ]
    [ -z "$output" ]
    for args in "" "nothing" "head" "head p" "head --local 2 p" "work" "work $ADDRESS" "keygen" "keygen a b" "status" "head --local 1 -w x - -- cat"; do
        run twist-feed $args
        [ "$status" -eq 2 ] || { echo "$args: $status $output"; false; }
    done
    for args in "--window goes with head, not with keygen|keygen x --window=3" "--shuffle goes with head, not with work|work --shuffle ipc:///x -- cat" \
        "--watch goes with status, not with head|head --watch --local=1 p -- cat" "COMMAND goes with work|head --work=$ADDRESS p -- cat" \
        "--log: '-'|head --log=- --local=1 p -- cat" "--metrics: '-'|head --metrics - --local=1 p -- cat"; do
        run twist-feed ${args#*|}
        echo "$output"
        [ "$status" -eq 2 ]
        [[ "$output" == *"${args%|*}"* ]]
    done
    for address in "file.txt: neither tcp://HOST:PORT nor ipc://PATH" "tcp://127.0.0.1:99999: port 99999: the highest is 65535" \
        "tcp://127.0.0.1: at which port" "tcp://:5577: on which host"; do
        for args in "head p --work %" "work % -- cat" "status %"; do
            run timeout 10 twist-feed ${args/\%/"${address%%: *}"}
            echo "$output"
            [ "$status" -eq 2 ]
            [[ "$output" == "twist-feed: $address"* ]]
        done
    done
    [ ! -e x.key ]
}

@test "a window that is small for the workers, or made so by --mem, is told of once" {
    pictures 12
    for small in --window=8 --mem=1MiB; do
        timeout 60 twist-feed head --no-history --epochs=6 --local=2 --slots=90 $small p -o got.tws -- "$COMMAND" 2> said
        cat said
        [ "$(grep -c 'more than half of the window of [0-9]* samples: some workers will be idle; use a larger '"${small%=*}"'' said)" -eq 1 ]
    done
    timeout 60 twist-feed head --no-history --local=2 --slots=90 p -o got.tws -- "$COMMAND" 2> said
    ! grep window said || false
}

@test "a result larger than --max-bytes is left out, and why is said; a command's last words, without an end of the line" {
    pictures 3
    run timeout 60 twist-feed head -q --no-history --max-bytes=3KiB --local=1 p -o got.tws -- "$COMMAND"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *".jpg: the command: its output is not a stream of records of at most 3072 bytes (--max-bytes of the head): "*"; skipped"* ]]
    [[ "$output" != *"ended with status"* ]]
    run timeout 60 twist-feed head -q --no-history --local=1 p -o got.tws -- 'printf "the reason" >&2; exit 3'
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-feed: command: the reason"* ]]
}

@test "a command that does nothing but complain of bad pictures is at work" {
    pictures 6
    local i
    for i in $(seq 10 29); do head -c 20000 /dev/urandom > p/checks/$i.jpg; done
    COMMAND="{ while dd bs=20000 count=1 2> n; ! grep -q '^0+0' n; do sleep 0.2; done; } | $COMMAND"
    run timeout 100 twist-feed head -q --no-history --local=1 --slots=30 --sample-timeout=3 p -o got.tws -- "$COMMAND"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c '; skipped' <<< "$output")" -eq 20 ]
    [[ "$output" != *"no result"* ]]
}

@test "own workers come to a head that listens at every address" {
    pictures 4
    reference
    timeout 60 twist-feed head -q --no-history --insecure --work="tcp://*:$PORT" --local=1 p -o got.tws -- "$COMMAND"
    cmp want.tws got.tws
}

@test "every level of SIMD instructions, the JPEG library's too, gives the same bytes, so that machines may be mixed" {
    pictures 12
    local level
    for level in plain avx2 avx512 avx512-vnni; do # a level that this machine lacks is the best one below
        TWIST_SIMD=$level JSIMD_FORCENONE=$([ $level = plain ] && echo 1) twist-decode --no-history -q p |
            TWIST_SIMD=$level twist-augment --no-history -q --aug=multicrop --size=60 --local-size=33 > $level.tws
    done
    cmp plain.tws avx2.tws
    cmp plain.tws avx512.tws
    cmp plain.tws avx512-vnni.tws
    TWIST_SIMD=plain twist-feed work -q "$ADDRESS" -- "$COMMAND" 3>&- &
    pids=$!
    worker
    reference --epochs=3
    twist-feed head -q --no-history --epochs=3 --work="$ADDRESS" -o got.tws p
    cmp want.tws got.tws
}

@test "a host of several addresses, of which the head listens at one; a head at a name; connections that the kernel watches" {
    pictures 12
    reference --epochs=2
    printf '%s both\n' ::1 127.0.0.1 ::2 > hosts
    { command -v ss && unshare -m mount --bind hosts /etc/hosts; } > /dev/null 2>&1 || skip "/etc/hosts cannot be replaced here"
    export ADDRESS=tcp://both:$PORT PORT COMMAND
    for host in '[::1]' 127.0.0.1 both; do
        timeout 100 unshare -m bash -ec 'mount --bind hosts /etc/hosts
            twist-feed head -q --insecure --no-history --epochs=2 --work="tcp://$1:$PORT" -o got.tws p & head=$!
            twist-feed status --insecure --watch --json "$ADDRESS" > state & status=$!
            until ss -Htno state established "sport = :$PORT" | grep -q keepalive; do sleep 0.1; done
            until grep -q "\"workers\":0," state; do sleep 0.1; done
            kill $status
            twist-feed work -q --insecure --once "$ADDRESS" -- "$COMMAND"
            wait $head' x "$host"
        cmp want.tws got.tws
    done
}

@test "two machines (network namespaces): the bytes of one, also when the link goes down and comes back" {
    local a=feeda$$ b=feedb$$ # the machine's own network has no part in it: an address of the test may be somebody's there
    two_spaces $a $b
    ip -n $a link add wire type veth peer name wire netns $b 2> /dev/null || skip "no veth"
    ip -n $a addr add 10.217.93.1/30 dev wire
    ip -n $b addr add 10.217.93.2/30 dev wire
    ip -n $a link set wire up
    ip -n $b link set wire up
    pictures 40
    reference --shuffle --epochs=20
    twist-feed keygen head
    twist-feed keygen w
    spawn ip netns exec $a "$BIN/twist-feed" head -q $HB --no-history --shuffle --epochs=20 --work="tcp://10.217.93.1:$PORT" --key=head.key --allow=w.pub -o got.tws p
    local head=$last rc=0 i
    for i in 1 2; do spawn ip netns exec $b "$BIN/twist-feed" work -q --key=w.key --server=head.pub "tcp://10.217.93.1:$PORT" -- "$COMMAND"; done
    sleep 0.7
    ip -n $a link set wire down
    sleep 1.5
    ip -n $a link set wire up
    wait "$head" || rc=$?
    end_all
    [ $rc -eq 0 ]
    cmp want.tws got.tws
}

@test "two machines and a slow link that loses packets, then all of them for two seconds: the bytes of one, and the head has noticed" {
    "${CC:-cc}" -O1 -D_GNU_SOURCE -o longwire "$TREE/tests/tools/longwire.c" || skip "no C compiler"
    local a=feeda$$ b=feedb$$ head wire rc=0 ns
    two_spaces $a $b
    ip netns exec $a ip tuntap add dev probe mode tun 2> /dev/null || skip "no TUN devices"
    spawn ./longwire $a $b 5 2 7 > packets
    wire=$last
    until ip -n $a link show wire > /dev/null 2>&1 && ip -n $b link show wire > /dev/null 2>&1; do sleep 0.05; done
    ip -n $a addr add 10.217.94.1 peer 10.217.94.2 dev wire
    ip -n $b addr add 10.217.94.2 peer 10.217.94.1 dev wire
    for ns in $a $b; do ip -n $ns link set wire up; done
    pictures 40
    reference --shuffle --epochs=30
    twist-feed keygen head
    twist-feed keygen w
    spawn ip netns exec $a "$BIN/twist-feed" head -q $HB --no-history --shuffle --epochs=30 --work="tcp://10.217.94.1:$PORT" --key=head.key --allow=w.pub \
        --log log -o got.tws p
    head=$last
    for ns in 1 2; do spawn ip netns exec $b "$BIN/twist-feed" work -q --key=w.key --server=head.pub "tcp://10.217.94.1:$PORT" -- "$COMMAND"; done
    sleep 1
    kill -USR1 "$wire"
    wait "$head" || rc=$?
    kill -TERM "$wire"
    wait "$wire"
    end_all
    cat packets
    [ $rc -eq 0 ]
    cmp want.tws got.tws
    tail -n 1 log | grep -q '"lost_workers":[1-9]'
    grep -qE '^[0-9]{4,} packets, [0-9]{2,} lost, [1-9][0-9]* swallowed$' packets
    echo "# $(cat packets)" >&3
}

@test "a trainer killed at random steps and started again on the same farm: the weights of a quiet run, bit for bit" {
    pictures 32
    local opts=(--shuffle --seed=4 --epochs=3) i t killed=0
    train() { timeout 100 twist-train -q -o "$1" --resume --device=cpu --backbone=resnet18 --small-stem --dim=16 --hid-dim=16 --batch-size=8 --epochs=3 --seed=4 \
        --save-every=1 -i "pipe:twist-feed head -q --work=$ADDRESS ${opts[*]} --start-epoch=%e --skip=%s --shard=%r/%n p"; }
    COMMAND="${COMMAND/--size=48/--size=16}"
    worker
    worker
    train quiet
    RANDOM=11
    for i in 1 2 3; do
        train broken 3>&- &
        local p=$!
        sleep "0.$((RANDOM % 6 + 4))"
        for t in $(descendants $p); do
            if grep -q '^twist-train$' /proc/"$t"/comm 2> /dev/null && kill -9 "$t"; then killed=$((killed + 1)); fi
        done
        wait $p || true
    done
    train broken
    [ $killed -ge 1 ]
    cmp quiet/backbone.safetensors broken/backbone.safetensors
}

@test "a worker says that no head answers, and whether its host is known" {
    run twist-feed work -q --linger=11 --insecure tcp://no-such-host.invalid:5577 -- cat
    [ "$status" -eq 1 ]
    [[ "${lines[0]}" == "twist-feed: tcp://no-such-host.invalid:5577: no head for 10 s: its host is not known" ]]
    [[ "${lines[1]}" == "twist-feed: tcp://no-such-host.invalid:5577: no head for 11 s" ]]
    run twist-feed work -q --linger=11 "$ADDRESS" -- cat
    [ "$status" -eq 1 ]
    [[ "${lines[0]}" == "twist-feed: $ADDRESS: no head for 10 s" ]]
}

@test "a worker, and a trainer with all its farm, stopped for longer than they would wait: they go on" {
    pictures 16
    reference --epochs=40
    local w trainer all
    slow_head 7 $HB --epochs=40 --window=8 --work="$ADDRESS"
    worker --linger=2 --once
    w=$last
    until twist-feed status --json "$ADDRESS" 2> /dev/null | grep -q '"waits_for":"reader"'; do sleep 0.05; done
    kill -STOP "$w"
    sleep 4
    kill -CONT "$w"
    wait "$w"
    wait "$head"
    cmp want.tws got.tws
    COMMAND="$COMMAND | while dd bs=14000 count=1 status=none; do sleep 0.1; done" # so slow that the trainer always waits
    spawn twist-train -q -o run --device=cpu --backbone=resnet18 --small-stem --dim=16 --hid-dim=16 --batch-size=8 --epochs=2 --starve=3 \
        -i "pipe:twist-feed head -q --local=1 --epochs=2 p -- '$COMMAND'"
    trainer=$last
    until [ -s run/log.jsonl ]; do sleep 0.05; done
    all="$trainer $(descendants "$trainer")"
    kill -STOP $all
    sleep 5
    kill -CONT $all
    wait "$trainer"
}

@test "no worker ever, all workers gone, a head that is killed again and again: a checkpoint and 75, and the same command goes on to the same weights" {
    pictures 32
    local opts=(--shuffle --seed=4 --epochs=5) rc=0 w trainer
    COMMAND="${COMMAND/--size=48/--size=64}"
    train() { timeout 100 twist-train -o "$1" --resume --device=cpu --backbone=resnet18 --dim=16 --hid-dim=16 --batch-size=8 --epochs=5 --seed=4 "${@:2}" \
        -i "pipe:twist-feed head -q $HB --window=8 --work=$ADDRESS ${opts[*]} --start-epoch=%e --skip=%s --shard=%r/%n p" > said 2>&1; }
    steps() { [ "$(grep -c '"step":' "$1/log.jsonl" 2> /dev/null)" -ge "$2" ]; }
    train starved --starve=1 || rc=$?
    [ $rc = 75 ]
    grep -q 'nothing received for 1 s; run the same command again to continue' said
    [ -s starved/checkpoint.safetensors ]
    worker
    w=$last
    train quiet
    train starved --starve=4 3>&- &
    trainer=$! rc=0
    until steps starved 2; do sleep 0.02; done
    kill -9 "$w"
    wait $trainer || rc=$?
    cat said
    [ $rc = 75 ]
    grep -q 'twist-feed: no worker for [2-4] s' said
    grep -q 'twist-train: no views for [0-9.]* s; after 4 s a checkpoint is written' said
    grep -q 'stopped after waiting too long for views, after step [0-9]*; run the same command again to continue' said
    [ "$(grep -c '"step":' starved/log.jsonl)" -lt 20 ]
    worker
    train starved
    cmp quiet/backbone.safetensors starved/backbone.safetensors
    mkdir bin # heads that are killed as they begin, once there is a file `deadly`
    printf '#!/bin/sh\n[ ! -e deadly ] || kill -9 $$\nexec "%s" "$@"\n' "$(command -v twist-feed)" > bin/twist-feed
    chmod +x bin/twist-feed
    PATH=$PWD/bin:$PATH train headless 3>&- &
    trainer=$! rc=0
    until steps headless 2; do sleep 0.02; done
    touch deadly
    kill -9 "$(head_of "$trainer")"
    wait $trainer || rc=$?
    cat said
    [ $rc = 75 ]
    grep -q 'it has been restarted 5 times in ten minutes' said
    train headless
    cmp quiet/backbone.safetensors headless/backbone.safetensors
}
