# Goal: twist-cat copies, cuts, joins and converts streams, and never passes off a broken one as whole.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    FORMATS=$(cd "$BATS_TEST_DIRNAME/../formats" && pwd)
    cd "$BATS_TEST_TMPDIR"
}

# keys of a stream's samples, in a line
keys() {
    twist-cat --json "$@" | sed -n 's/^{"key": "\([^"]*\)".*/\1/p' | tr '\n' ' '
}

# a stream of N samples made of the small ones
long_stream() {
    local files=() i
    for ((i = 0; i < $1 / 3; i++)); do files+=("$FORMATS/views.tws"); done
    twist-cat --no-history "${files[@]}" -o long.tws
}

@test "a copy has the same records byte for byte, through files and pipes" {
    for kind in files images views features; do
        twist-cat --no-history "$FORMATS/$kind.tws" > a.tws
        twist-cat --no-history < "$FORMATS/$kind.tws" | twist-cat --no-history -i - -o b.tws
        cmp a.tws b.tws
        # the samples themselves are not encoded anew: only the header may differ in how it was written
        n=$(twist-cat --check a.tws | sed 's/.*, \([0-9]*\) bytes.*/\1/')
        cmp <(tail -c $((n + 31)) a.tws) <(tail -c $((n + 31)) "$FORMATS/$kind.tws")
        [ "$(twist-cat --json "$FORMATS/$kind.tws")" = "$(twist-cat --json a.tws)" ]
    done
}

@test "the history grows by the command as typed, unless told not to" {
    twist-cat --head 1 "$FORMATS/files.tws" | twist-cat --header > out
    grep -F '"twist-cat --head 1 ' out
    twist-cat --no-history "$FORMATS/files.tws" | twist-cat --header > out
    ! grep -F twist-cat out || false
}

@test "--head and --skip cut, also across joined streams, and the counts are right" {
    [ "$(keys --skip 1 --head 1 "$FORMATS/files.tws")" = "pet-1.jpg " ]
    [ "$(keys --skip 2 --head 2 "$FORMATS/files.tws" "$FORMATS/files.tws")" = "pet-2.jpg pet-0.jpg " ]
    [ "$(keys --skip 9 "$FORMATS/files.tws")" = "" ]
    twist-cat --head 2 "$FORMATS/files.tws" | twist-cat --json > out
    grep -F '"samples": 2, "epochs": 1' out
    grep -Fx '{"end": true, "samples": 2, "skipped": 0}' out
    twist-cat "$FORMATS/files.tws" "$FORMATS/files.tws" | twist-cat --header | grep -F '"samples": 6'
    # what is left of several epochs: how many is unknown, and the first is that of the first sample
    twist-synth -q -o photos --count=4 --size=16
    twist-decode -q --epochs=3 --start-epoch=1 photos/train -o two.tws
    for cut in "--head=6:1" "--skip=3:1" "--skip=4:2" "--skip=6 --head=1:2" "--skip=20:1"; do
        twist-cat ${cut%:*} two.tws -o cut.tws
        twist-cat --header cut.tws | grep -F "\"samples\": null, \"epochs\": null, \"first_epoch\": ${cut#*:},"
    done
    [ "$(twist-cat --json --skip=3 --head=2 two.tws | grep -c '"epoch": 2')" -eq 1 ]
}

@test "streams of different kinds or classes are not joined" {
    run twist-cat -o x.tws "$FORMATS/files.tws" "$FORMATS/views.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"views.tws: a stream of views"*"files.tws"* ]]
    sed 's/dog/hog/' "$FORMATS/files.tws" > other.tws # its header's crc is wrong now: that is said first
    run twist-cat -o x.tws "$FORMATS/files.tws" other.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"other.tws: record 0 at byte 0: its crc says"* ]]
    head=$'\x83\xa5twist\x01\xa4kind\xa5files\xa7classes\x91\xa3hog\x82\xa3end\xc3\xa7samples'
    (printf %s "$head"; printf '\0') > other.tws
    run twist-cat -o x.tws "$FORMATS/files.tws" other.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"classes"* ]]
    [ ! -e x.tws ]
}

@test "joined streams keep the checksum of their data set where it is the same" {
    head=$'\x83\xa5twist\x01\xa4kind\xa5files\xaddata_checksum'
    for n in 07 08; do printf "%s\\x$n\x82\xa3end\xc3\xa7samples\0" "$head" > $n.tws; done
    twist-cat 07.tws 07.tws | twist-cat --json | head -n 1 | grep -F '"data_checksum": 7,'
    twist-cat 07.tws 08.tws | twist-cat --json | head -n 1 > joined
    grep -F '"kind": "files"' joined
    ! grep data_checksum joined || false
}

@test "a stream cut at any byte is refused with a message, and what was written of it is no whole stream" {
    size=$(stat -c %s "$FORMATS/images.tws")
    for ((n = 0; n < size; n += n < 260 ? 13 : 29)); do
        head -c "$n" "$FORMATS/images.tws" > cut.tws
        run twist-cat cut.tws -o copy.tws
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-cat: cut.tws: "* ]]
        [ ! -e copy.tws ]
        head -c "$n" "$FORMATS/images.tws" | { twist-cat 2> err || true; } > copy
        grep -q 'standard input' err
        run twist-cat --check copy
        [ "$status" -eq 1 ]
    done
    [ -z "$(ls -A | grep tmp)" ] # no temporary file stays
}

@test "--check tells good from bad and goes through all" {
    cp "$FORMATS/views.tws" good.tws
    head -c 700 good.tws > bad.tws
    run twist-cat --check good.tws bad.tws "$FORMATS/files.tws"
    [ "$status" -eq 1 ]
    [[ "${lines[0]}" == "good.tws: views: 3 samples (2 labelled), 0 skipped,"* || "$output" == *"good.tws: views: 3 samples (2 labelled), 0 skipped,"* ]]
    [[ "$output" == *"bad.tws: truncated at byte 700, inside record"* ]]
    [[ "$output" == *"files.tws: files: 3 samples"* ]]
    run twist-cat --check good.tws
    [ "$status" -eq 0 ]
}

@test "--check warns where the header promises what does not come, and of no part that a program here leaves out" {
    head=$'\x84\xa5twist\x01\xa4kind\xa5files\xa7samples\x0a\xa6epochs\x02'
    ends() { # EPOCH POS SAMPLES SKIPPED
        printf '%s' "$head"
        for ((i = 0; i < $3; i++)); do printf "\x85\xa3key\xa1a\xa5index\x00\xa5epoch\x0$1\xa3pos\x0$2\xa5bytes\xc4\x00"; done
        printf "$(printf '\\x83\\xa3end\\xc3\\xa7samples\\x%02x\\xa7skipped\\x%02x' "$3" "$4")"
    }
    for good in "0 0 20 0" "0 0 18 2" "0 4 16 0" "0 4 12 4" "0 4 20 0" "1 3 7 0" "1 3 5 9" "0 0 0 0" "0 0 0 20"; do
        run bash -c "$(declare -f ends); head='$head'; ends $good | twist-cat --check"
        [ "$status" -eq 0 ]
        [[ "$output" != *promises* ]] || { echo "$good"; return 1; }
    done
    for bad in "0 0 21 0" "0 0 19 0" "0 4 15 0" "1 3 6 0"; do
        run bash -c "$(declare -f ends); head='$head'; ends $bad | twist-cat --check"
        [ "$status" -eq 0 ]
        [[ "$output" == *"standard input: its header promises 10 samples an epoch, epochs: 2; "*" were read, 0 were skipped"* ]] || { echo "$bad"; return 1; }
    done
    twist-synth -q -o s --count=10 --val-count=0 --classes=2 --size=16
    for part in "" --skip=3 --limit=5 --shard=1/2/4 "--shard=1/3 --skip=2 --epochs=2" "--epochs=3 --start-epoch=1 --skip=10" "--every=3 --skip=1"; do
        twist-decode -q --on-error=skip $part s -o d.tws
        for how in "" --head=4 --skip=4 "--skip=2 --head=3"; do
            run bash -c "twist-cat $how d.tws | twist-cat --check"
            [[ "$status" -eq 0 && "$output" != *promises* ]] || { echo "$part, $how: $output"; return 1; }
        done
        [[ "$part" != *--skip* ]] || continue
        run bash -c "twist-cat d.tws d.tws | twist-cat --check"
        [[ "$status" -eq 0 && "$output" != *promises* ]] || { echo "$part, twice: $output"; return 1; }
    done
}

@test "giant lengths in a few bytes are refused in little memory" {
    start=$'\x82\xa5twist\x01\xa4kind\xa5views'
    for evil in '\x81\xa1x\xc6\x3f\xff\xff\xff' '\x81\xa1x\xdd\x3f\xff\xff\xff' '\xdf\xff\xff\xff\xff' '\x81\xa1x\xdb\x30\x00\x00\x00' \
                '\x81\xa5views\xdd\x3f\x00\x00\x00' '\x81\xa1x\xc6\xff\xff\xff\xff'; do
        (printf %s "$start"; printf "$evil"; head -c 3000000 /dev/zero) > evil.tws
        limit="ulimit -v 60000"
        [[ $BIN == */asan/* ]] && limit=: # its shadow memory alone is larger
        run bash -c "$limit; twist-cat --check evil.tws"
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-cat: evil.tws: "*"record 1"* ]]
        [[ "$output" != *"memory"* ]]
    done
}

@test "limits are options" {
    run twist-cat --max-record 100 --check "$FORMATS/images.tws"
    [ "$status" -eq 1 ]
    run twist-cat --max-keys 5 --check "$FORMATS/images.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"keys (limit 5)"* ]]
    run twist-cat --max-depth 1 --check "$FORMATS/images.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"deeper than 1"* ]]
    run twist-cat --max-record 2KiB --max-keys 7 --max-depth 4 --check "$FORMATS/files.tws"
    [ "$status" -eq 0 ] || { run twist-cat --max-record 2KiB --max-keys 9 --max-depth 4 --check "$FORMATS/files.tws"; [ "$status" -eq 0 ]; }
    run twist-cat --max-depth 65 "$FORMATS/images.tws"
    [ "$status" -eq 2 ]
}

@test "a full disk, a reader that leaves, a writer that is killed" {
    run twist-cat "$FORMATS/files.tws" -o /dev/full
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full: No space left"* ]]
    run bash -c "twist-cat '$FORMATS/files.tws' > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"standard output: No space left"* ]]
    run bash -c "twist-cat --json '$FORMATS/files.tws' > /dev/full"
    [ "$status" -eq 1 ]
    long_stream 900
    files=()
    for i in {1..20}; do files+=(long.tws); done # far more than a pipe holds
    run bash -c "twist-cat ${files[*]} | head -c 10000 > part; echo \"\${PIPESTATUS[0]}\""
    [ "$output" = 141 ] # ended by SIGPIPE, quietly
    run twist-cat --check part
    [ "$status" -eq 1 ]
    run twist-cat --check "pipe:(head -c 20000 long.tws; kill -9 \$\$)"
    [ "$status" -eq 1 ]
    [[ "$output" == *"signal 9"* ]]
}

@test "a command as input: its failure is the stream's failure" {
    twist-cat -i "pipe:cat $FORMATS/files.tws" | twist-cat --check
    run twist-cat --check -i "pipe:cat $FORMATS/files.tws; exit 5"
    [ "$status" -eq 1 ]
    [[ "$output" == *"failed with status 5"* ]]
    [ "$(keys "pipe:cat $FORMATS/files.tws" --head 1)" = "pet-0.jpg " ]
}

@test "data after the end record is an error; concatenated files are joined by naming them" {
    cat "$FORMATS/files.tws" "$FORMATS/files.tws" > two.tws
    run twist-cat --check two.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"data after the end record, at byte $(stat -c %s "$FORMATS/files.tws")"* ]]
}

@test "--json shows every field, and is JSON" {
    twist-cat --json "$FORMATS/views.tws" > out
    [ "$(wc -l < out)" -eq 5 ]
    grep -F '"views": [{"type": "|u1", "shape": [4, 4, 3]}, {"type": "|u1", "shape": [2, 3, 3]}], "note": {"unknown": [1, 2.5, null]}}' out
    twist-cat --json "$FORMATS/features.tws" | grep -F '"label": null, "features": [1, -2, 0.5], "probs": [0.25, 0.75]}'
    ! grep crc out || false
    (printf '\x82\xa5twist\x01\xa4kind\xa5files\x83\xa3key\xa6a"\\\n\xff\xe9\xa5index\x00\xa5bytes\xc4\x00\x82\xa3end\xc3\xa7samples\x01') > odd.tws
    (printf '\x82\xa5twist\x01\xa4kind\xa5files\x85\xa3key\xa1a\xa5index\x00\xa5bytes\xc4\x00\xa1z\xca\x80\0\0\0\xa1n\xca\x7f\xc0\0\0'
        printf '\x82\xa3end\xc3\xa7samples\x01') | twist-cat --json | grep -F '"z": -0.0, "n": null}'
    twist-cat --json odd.tws | grep -F '{"key": "a\"\\\u000a\udcff\udce9", "index": 0, "bytes": {"bytes": 0}}'
    if python3 -c '' 2> /dev/null; then twist-cat --json odd.tws | python3 -c 'import sys, json; [json.loads(l) for l in sys.stdin]'; fi
}

@test "--npy writes arrays as NumPy does" {
    twist-cat --npy features=f.npy --npy label=l.npy "$FORMATS/features.tws"
    head -c 256 f.npy | grep -aF "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3,), }"
    [ "$(stat -c %s f.npy)" -eq $((256 + 3 * 3 * 4)) ]
    [ "$(tail -c +257 l.npy | od -An -t d8 | tr -s ' \n' ' ')" = " 0 1 -1 " ]
    [ "$(tail -c +257 f.npy | head -c 16 | od -An -t x4 | tr -s ' ')" = " 3f800000 c0000000 3f000000 3f800000" ] # 1 -2 0.5 1
    twist-cat -q --head=0 "$FORMATS/features.tws" | twist-cat --npy label=n.npy --npy features=e.npy
    head -c 256 n.npy | grep -aF "{'descr': '<i8', 'fortran_order': False, 'shape': (0,), }"
    head -c 256 e.npy | grep -aF "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }"
    twist-cat --npy image=i.npy "$FORMATS/images.tws"
    head -c 256 i.npy | grep -aF "'|u1', 'fortran_order': False, 'shape': (3, 6, 8, 3,), }"
    run twist-cat --npy views=v.npy "$FORMATS/views.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"v.npy: the tensors of a row differ in shape (sample pet-0.jpg)"* ]]
    [ ! -e v.npy ]
    run twist-cat --npy logits=x.npy "$FORMATS/features.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"no logits"* ]]
    run twist-cat --npy label=/dev/full "$FORMATS/features.tws"
    [ "$status" -eq 2 ]
    run twist-cat --npy nothing=x.npy "$FORMATS/features.tws"
    [ "$status" -eq 2 ]
    if python3 -c 'import numpy' 2> /dev/null; then
        python3 -c 'import numpy as n; a = n.load("f.npy"); assert a.shape == (3, 3) and a[1, 2] == 0.5; assert n.load("i.npy")[2, 5, 7, 1] == 175'
    fi
}

@test "--sheet makes a PNG of views and of images, and says where there are none" {
    twist-cat --sheet v.png "$FORMATS/views.tws"
    [ "$(head -c 8 v.png | od -An -t x1)" = " 89 50 4e 47 0d 0a 1a 0a" ]
    # 2 views side by side, 4 and 3 pixels wide, enlarged 32 and 42 times: 2 + 128 + 2 + 126 + 2; three rows of 128 and gaps of 2
    [ "$(head -c 24 v.png | tail -c 8 | od -An -t u1 | tr -s ' ')" = " 0 0 1 4 0 0 1 136" ]
    twist-cat --sheet i.png "$FORMATS/images.tws"
    [ -s i.png ]
    run twist-cat --sheet f.png "$FORMATS/features.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"no pictures"* ]]
    run twist-cat --sheet /dev/full "$FORMATS/views.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full"* ]]
}

@test "wrong command lines exit 2 and name the mistake" {
    run twist-cat --npy label=a.npy --npy key=b.npy x
    [[ "${lines[0]}" == "twist-cat: --npy: 'key=b.npy' is not FIELD=FILE with FIELD one of index, epoch, pos, label, image, views, features, logits, probs" ]]
    run twist-cat --log /nowhere/log -o x.tws "$FORMATS/views.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cat: /nowhere/log: No such file or directory" ]]
    [ ! -e x.tws ]
    for args in "--json -o -" "--check --head 1" "--check --stats" "--check --log l" "--header --json" "--header --table t" "--header --stats" "-i a b" "--head -1" "--npy label" "--max-record 0" "--nope"; do
        run twist-cat $args
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-cat -h'"* ]]
    done
}

@test "--stats: rates, pixels, labels; -v and --log: who waited for whom" {
    twist-cat --stats "$FORMATS/views.tws" 2> err > copy.tws
    grep -E '^twist-cat: 3 records, 0\.0 MB in [0-9.]+ s: [0-9]+ records/s' err
    # 16 + 6 pixels in each of 3 samples; the mean is worked out by hand from formats/stream.py's ramp
    grep -Fx 'pixels: 66; red, green, blue: mean 49.091 54.091 59.091, deviation 23.337 23.337 23.337' err
    grep -Fx 'labels: 0 to 1, each 1 to 1 times; 1 samples without' err
    grep -E '^ +1 +1  dog$' err
    twist-cat --check copy.tws
    (sleep 0.4; cat "$FORMATS/views.tws") | twist-cat -v --log log 2> err > /dev/null
    grep -E '^twist-cat: 3 samples in [0-9.]+ s: waited 0\.[1-9][0-9]* s for input, 0\.00 s for output$' err
    twist-cat --log log "$FORMATS/files.tws" > /dev/null
    [ "$(grep -c '^{"program": "twist-cat", "samples": 3, "seconds": [0-9.]*, "waited_input": [0-9.]*, "waited_output": [0-9.]*}$' log)" -eq 2 ]
}

@test "more streams than a process may open at first are joined" {
    files=()
    for i in {1..150}; do files+=("$FORMATS/files.tws"); done
    run bash -c "ulimit -S -n 64; twist-cat ${files[*]} | twist-cat --check"
    [ "$status" -eq 0 ]
    [[ "$output" == *"files: 450 samples"* ]]
    run bash -c "ulimit -S -n 64; twist-cat ${files[*]:0:70} | twist-cat --check"
    [[ "$status" -eq 0 && "$output" == *"files: 210 samples"* ]]
}

@test "the page of Python reads what we write and writes what we read" {
    python3 -c 'import msgpack, msgpack_numpy' 2> /dev/null || skip "no python3 with msgpack and msgpack-numpy"
    for kind in files images views features; do
        twist-cat "$FORMATS/$kind.tws" | PYTHONDONTWRITEBYTECODE=1 python3 "$FORMATS/stream.py" > out
        [ "$(grep -c pet- out)" -ge 3 ]
        head -c 300 "$FORMATS/$kind.tws" > cut.tws
        run python3 -B "$FORMATS/stream.py" cut.tws
        [ "$status" -ne 0 ]
    done
    mkdir made
    python3 -B "$FORMATS/stream.py" --make made
    twist-cat --check made/*.tws
    sed 's/pet-1/pet-9/' made/views.tws > wrong.tws
    run python3 -B "$FORMATS/stream.py" wrong.tws
    [[ "$status" -ne 0 && "$output" == *"wrong crc"* ]]
}

# python SCRIPT: with the page's module
page() {
    PYTHONPATH=$FORMATS python3 -B -c "import sys, stream
$1"
}

@test "a crc is found in any width of its number, small or not" {
    python3 -c 'import msgpack, msgpack_numpy' 2> /dev/null || skip "no python3 with msgpack and msgpack-numpy"
    # seeds found by trying: the header's crc is 25, 235, 4684 and more than 65535
    page '
end = stream.pack({"end": True, "samples": 0})
for seed, most in (15942187, 127), (32555328, 255), (114740, 65535), (65536, 1 << 32):
    data = stream.pack({"twist": 1, "kind": "files", "seed": seed})
    crc = int.from_bytes(data[-4:], "big")
    assert crc <= most and data[-9:-4] == b"\xa3crc\xce"
    for width, head in (0, b""), (1, b"\xcc"), (2, b"\xcd"), (4, b"\xce"), (8, b"\xcf"), (8, b"\xd3"):
        if crc < (1 << 8 * width if width else 128):
            open(f"{seed}-{head.hex()}.tws", "wb").write(data[:-5] + head + crc.to_bytes(width or 1, "big") + end)'
    [ "$(ls -- *.tws | wc -l)" -eq 18 ]
    for file in *.tws; do
        twist-cat --check "$file"
        python3 -B "$FORMATS/stream.py" "$file"
        sed 's/files/filez/' "$file" > wrong
        run python3 -B "$FORMATS/stream.py" wrong
        [[ "$status" -ne 0 && "$output" == *"wrong crc"* ]]
    done
}

@test "the page of Python as a stage: keys that are not UTF-8, nested maps of integers, a header without history, records of many reads" {
    python3 -c 'import msgpack, msgpack_numpy' 2> /dev/null || skip "no python3 with msgpack and msgpack-numpy"
    page '
w = stream.Writer(sys.stdout.buffer, {"kind": "files", "history": None, "note": {1: "one", -2: {3: None}}})
with w:
    w.sample({"key": b"\xff\xe9.jpg".decode(errors="surrogateescape"), "index": 0, "bytes": bytes(200000), "map": {7: b"x"}})' > one.tws
    page '
head, samples = stream.read(sys.stdin.buffer)
head["history"] = None
with stream.Writer(sys.stdout.buffer, head) as out:
    for sample in samples:
        out.sample(sample)
    out.skipped += samples.skipped' < one.tws > two.tws
    twist-cat --check two.tws
    cmp one.tws two.tws
    grep -qaF $'\xff\xe9.jpg' two.tws
    # what a stage drops, and what had been dropped before
    for stage in 1 2; do
        page '
head, samples = stream.read(sys.stdin.buffer)
with stream.Writer(sys.stdout.buffer, head) as out:
    for sample in samples:
        if sample["index"] == '$stage': out.skipped += 1
        else: out.sample(sample)
    out.skipped += samples.skipped' < "${dropped:-$FORMATS/files.tws}" > "dropped$stage.tws"
        dropped=dropped$stage.tws
    done
    run twist-cat --check dropped2.tws
    [[ "$status" -eq 0 && "$output" == "dropped2.tws: files: 1 samples (1 labelled), 2 skipped"* && "$output" != *promises* ]]
}

@test "--table with --rejects: of one whole stream of one epoch, whose bad pictures they are; else refused" {
    twist-synth -q -o s --count=4 --val-count=0 --classes=2 --size=16
    find s/train -type f | sort > names
    bad=$(sed -n 2p names)
    last=$(sed -n 4p names)
    echo broken > "$bad" && : > "$last"
    twist-decode -q --list names --rejects=bad -o ok.tws 2> /dev/null
    twist-cat -q --table t.tsv --rejects bad ok.tws
    [ "$(cut -f1 t.tsv | tail -n +2)" = "$(cat names)" ]
    refused() { # MESSAGE ARGUMENT...
        run twist-cat -q --table no.tsv --rejects "${@:2}"
        echo "$output"
        [ "$status" -ne 0 ]
        [[ "$output" == *"$1"* ]]
        [ ! -e no.tsv ]
    }
    twist-decode -q --list names --skip=2 --rejects=behind -o skip.tws 2> /dev/null
    refused "behind: names 1 bad pictures, but the stream lacks more" behind skip.tws
    refused "skip.tws: begins after its epoch's first sample" bad skip.tws
    twist-decode -q --list names --epochs=2 --rejects=twice -o two.tws 2> /dev/null
    refused "two.tws: several epochs" twice two.tws
    refused "only with --table, and with one whole stream" bad ok.tws ok.tws
    head -n 1 bad > few
    refused "few: names 1 bad pictures, but the stream lacks more" few ok.tws
    cat bad bad > many
    refused "many: names more bad pictures than the 2 that the stream has left out" many ok.tws
    refused "names: line 1 has no TAB" names ok.tws
}

@test "- and what is no regular file are refused for what goes beside the stream" {
    twist-synth -q -o s --count=2 --val-count=0 --classes=2 --size=16
    twist-decode -q s/train -o ok.tws
    mkfifo pipe
    for option in --table=- --sheet=- "--npy label=-" "--npy label=pipe" "--npy label=/dev/null"; do
        run timeout 5 twist-cat -q $option ok.tws
        [ "$status" -eq 2 ]
        [ ! -e ./- ]
    done
}

@test "a signal that ends a program ends the command that it reads from" {
    for s in INT TERM HUP; do
        run timeout -s $s 2 twist-cat --check -i "pipe:touch started.$s; sleep 98.$$"
        [ "$status" -eq 124 ]
        [ -e started.$s ]
        for ((i = 0; i < 100; i++)); do pgrep -fx "sleep 98.$$" > /dev/null || break; sleep 0.05; done
        ! pgrep -fx "sleep 98.$$" || false
    done
}
