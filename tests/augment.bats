# Goal: twist-augment makes the views that its options say, the same for any number of threads and any start, passes on what it
# does not know, and never passes off a broken stream as whole.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    IMAGES=$(cd "$BATS_TEST_DIRNAME/../formats" && pwd)/images.tws
    PHOTOS=$(dirname "$BATS_TEST_DIRNAME")/../shared/data/imagenet-sample.tar
    cd "$BATS_TEST_TMPDIR"
}

# photos N: a folder of the first N photographs, or skip
photos() {
    [ -r "$PHOTOS" ] || skip "no photographs at ../shared/data/imagenet-sample.tar"
    tar -tf "$PHOTOS" | grep -i '\.jpe\?g$' | head -n "$1" > names
    mkdir -p photos && tar -xf "$PHOTOS" -C photos -T names
}

augment() {
    twist-augment --no-history -q "$@"
}

shapes() {
    twist-cat --json "$1" | sed -n 2p | grep -o '"shape": \[[0-9, ]*\]' | sed 's/.*\[//; s/, 3\]//; s/, /x/' | tr '\n' ' '
}

@test "each policy makes its views, in the sizes asked for" {
    augment -i "$IMAGES" --aug barlow > v.tws
    [ "$(shapes v.tws)" = "224x224 224x224 " ]
    augment -i "$IMAGES" --aug moco --size 33 > v.tws
    [ "$(shapes v.tws)" = "33x33 33x33 " ]
    augment -i "$IMAGES" --size 48 --local_size 20 --local_crops_number 3 -o v.tws
    [ "$(shapes v.tws)" = "48x48 48x48 20x20 20x20 20x20 " ]
    augment -i "$IMAGES" --aug rand > v.tws
    [ "$(shapes v.tws)" = "224x224 224x224 " ]
    augment < "$IMAGES" > v.tws
    [ "$(shapes v.tws)" = "224x224 224x224 $(printf '96x96 %.0s' 1 2 3 4 5 6 7 8 9 10 11 12)" ]
    for aug in linear eval; do
        augment -i "$IMAGES" --aug=$aug --size=40 > v.tws
        [ "$(shapes v.tws)" = "40x40 " ]
    done
    twist-cat --check v.tws | grep -F 'views: 3 samples (2 labelled), 0 skipped'
}

@test "the header says views and keeps classes; the seed is the stream's unless one is given" {
    twist-augment -q --aug=eval -i "$IMAGES" | twist-cat --header > out
    grep -F '"kind": "views", "samples": 3, "epochs": 1, "first_epoch": 0, "seed": 7, "classes": ["cat", "dog"]' out
    grep -F '"twist-augment -q --aug=eval -i ' out
    augment -i "$IMAGES" --seed 7 --size 16 > a.tws
    augment -i "$IMAGES" --size 16 > b.tws
    cmp a.tws b.tws
    augment -i "$IMAGES" --size 16 --seed 8 > c.tws
    ! cmp -s a.tws c.tws || false
    twist-cat --header c.tws | grep -F '"seed": 8'
}

@test "fields pass through: key, index, epoch, pos, label, sub, and unknown ones" {
    head=$'\x82\xa5twist\x01\xa4kind\xa6images'
    image=$'\x85\xc4\x02nd\xc3\xc4\x04type\xa3|u1\xc4\x04kind\xc4'
    (printf %s "$head"
     printf '\x89\xa3new\x93\x01\xa1x\xc0\xa3key\xa1k\xa5index\x05\xa5epoch\x02\xa3pos\x03\xa5label\x04\xa3sub\x09\xa5image'
     printf %s "$image"; printf '\x00\xc4\x05shape\x93\x01\x02\x03\xc4\x04data\xc4\x06abcdef\xa4also\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00'
     printf '\x83\xa3end\xc3\xa7samples\x01\xa7skipped\x06') > odd.tws
    augment -i odd.tws --aug=eval --size=2 --resize=2 > v.tws
    twist-cat --json v.tws > out
    grep -F '{"key": "k", "index": 5, "epoch": 2, "pos": 3, "label": 4, "sub": 9, "views": [{"type": "|u1", "shape": [2, 2, 3]}]' out
    grep -F '"new": [1, "x", null]' out
    grep -F '"also": 1.5' out
    grep -F '{"end": true, "samples": 1, "skipped": 6}' out
}

@test "--trace says what was drawn; the views are the same with and without it" {
    augment -i "$IMAGES" --size 16 --local-size=8 --local-crops-number=2 > a.tws
    augment -i "$IMAGES" --size 16 --local-size=8 --local-crops-number=2 --trace > b.tws
    twist-cat --json b.tws > out
    [ "$(grep -c '"trace"' out)" -eq 3 ]
    sed -n 2p out | grep -o '"crop": \[[0-9]*, [0-9]*, [0-9]*, [0-9]*\], "flip": [a-z]*, "jitter": \[' | wc -l > n
    [ "$(cat n)" -eq 4 ]
    grep -q '"jitter": \[\["[a-z]*", [-0-9.]*\], \["[a-z]*", [-0-9.]*\], ' out
    augment -i "$IMAGES" --aug=eval --size 10 --resize 12 --trace | twist-cat --json | sed -n 2p | grep -F '"resize": [12, 16], "crop": [1, 3, 10, 10], "flip": false'
    sed 's/, "trace.*//' out > b.json
    twist-cat --json a.tws | sed 's/\(.*\]}\]\).*/\1/' > a.json
    [ "$(sed -n 2p a.json | head -c 300)" = "$(sed -n 2p b.json | head -c 300)" ]
}

@test "probabilities and scales given on the command line hold for all views" {
    augment -i "$IMAGES" --size 16 --local-size=8 --trace --jitter-p=0 --grey-p=1 --blur-p=0 --solarize-p=1 --min1=1 --min2=0.3 | twist-cat --json > out
    [ "$(grep -o '"jitter": \[\], "grey": true, "blur": null, "solarize": true' out | wc -l)" -eq 42 ]
    augment -i "$IMAGES" --size 16 --local-size=8 --trace --jitter-p=1 --grey-p=0 --blur-p=1 --solarize-p=0 | twist-cat --json > out
    [ "$(grep -o '"grey": false, "blur": [0-9.]*, "solarize": false' out | wc -l)" -eq 42 ]
    [ "$(grep -o '"hue"' out | wc -l)" -eq 42 ]
}

@test "the output does not depend on -j, nor on where the stream starts" {
    photos 12
    twist-decode -q --shuffle --seed=3 --epochs=2 photos > images.tws
    augment -j1 --mme-epochs=1 < images.tws > one.tws
    augment -j3 --mme-epochs=1 < images.tws > three.tws
    cmp one.tws three.tws
    twist-decode -q --shuffle --seed=3 --epochs=2 --start-epoch=1 --skip=5 photos | augment --mme-epochs=1 > tail.tws
    twist-cat --no-history --skip 17 one.tws | tail -c 3000000 > a
    twist-cat --no-history tail.tws | tail -c 3000000 > b
    cmp <(head -c 2900000 a) <(head -c 2900000 b)
}

@test "from --mme-epochs on, multicrop is harder" {
    photos 12
    twist-decode -q --epochs=2 photos | augment --mme-epochs=1 --trace | twist-cat --json > out
    # crop areas relative to the picture cannot be seen here, but those of one picture can: mean area, epoch 1 below epoch 0
    for e in 0 1; do
        grep "\"epoch\": $e," out | grep -o '"crop": \[[0-9, ]*\]' | awk -F'[][,]' '{s += $4 * $5} END {print s}' > area$e
    done
    awk -v a="$(cat area0)" -v b="$(cat area1)" 'BEGIN {exit !(b < 0.8 * a)}'
    # bounds that are given are those before it, even the policy's own
    twist-decode -q --epochs=2 photos > images2.tws
    augment -i images2.tws --mme-epochs=1 > a.tws
    augment -i images2.tws --mme-epochs=1 --min1=0.4 --max1=1 --min2=0.05 --max2=0.4 | cmp - a.tws
    late() { twist-cat --no-history --skip 12 "$1" | tail -c +1000 | md5sum; }
    augment -i images2.tws --mme-epochs=1 --min1=0.9 > b.tws
    ! cmp -s a.tws b.tws || false
    [ "$(late a.tws)" = "$(late b.tws)" ]
    # a policy that does not harden has them in every epoch
    augment -i images2.tws --aug=barlow --min1=0.5 --mme-epochs=1 > c.tws
    augment -i images2.tws --aug=barlow --min1=0.5 --mme-epochs=9 | cmp - c.tws
}

@test "a policy's file says the views; what it says of multicrop is multicrop" {
    colours=$'flip 0.5\njitter 0.8 0.4 0.4 0.2 0.1\ngrey 0.2\n'
    printf '%s\n' "# as --aug=multicrop --local-crops-number=3" "view" "scale 0.4 1" "late-scale 0.14 1" "$colours" "blur 1" \
        "view 1 # the second" "scale 0.4 1" "late-scale 0.14 1" "$colours" $'blur\t0.1' "solarize 0.2" \
        "view 3" "size 96" "scale 0.05 0.4" "late-scale 0.05 0.14" "$colours" "blur 0.5 0.1 2" > m.policy
    for late in 0 800; do
        augment -i "$IMAGES" --policy=m.policy --mme-epochs=$late > a.tws
        augment -i "$IMAGES" --local-crops-number=3 --mme-epochs=$late > b.tws
        cmp a.tws b.tws
    done
    printf 'view 2\nflip 0.5\nrand 2 0.5 9 0.5\nerase 0.25\n' > r.policy
    cmp <(augment -i "$IMAGES" --policy=r.policy) <(augment -i "$IMAGES" --aug=rand)
    printf 'view\nsize 16\nresize 18\ninterpolation bilinear' > e.policy
    cmp <(augment -i "$IMAGES" --policy=e.policy) <(augment -i "$IMAGES" --aug=eval --size=16)
    policies=$(dirname "$IMAGES")/policies
    augment -i "$IMAGES" --policy="$policies/dino.policy" > v.tws
    [ "$(shapes v.tws)" = "224x224 224x224 $(printf '96x96 %.0s' 1 2 3 4 5 6 7 8)" ]
    augment -i "$IMAGES" --policy="$policies/swav.policy" > v.tws
    [ "$(shapes v.tws)" = "224x224 224x224 $(printf '96x96 %.0s' 1 2 3 4 5 6)" ]
}

@test "a mistake in a policy's file is named with its line" {
    wrong() {
        printf "$1" > w.policy
        run twist-augment -i "$IMAGES" --policy=w.policy -o v.tws
        echo "$output"
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-augment: w.policy: $2"* ]]
        [ ! -e v.tws ]
    }
    wrong 'size 8\n' "line 1: size: before the first"
    wrong 'view\n\nscale 0.5\n' "line 3: scale: 1 values; it wants 2"
    wrong 'view\nsize 8.5\n' "line 2: size: '8.5' is not a whole number"
    wrong 'view\ncrop 8\n' "line 2: 'crop' is not a word of a policy"
    wrong 'view\nflip x\n' "line 2: flip: 'x' is not a number"
    wrong 'view\nscale 0.5 0.4\nflip 0.5\nview\n' "line 2: scale: crops of 0.5 to 0.4"
    wrong 'view\nlate-scale 0 1\nscale 0.5 1\n' "line 2: late-scale: late crops of 0 to 1"
    wrong 'view\nratio 2 1\nflip 0.5\n' "line 2: ratio: ratios of 2 to 1"
    wrong '# a\nview\n\nflip 1.5\ngrey 0.1\n\nview\n' "line 4: flip: a probability of 1.5 is not within 0 to 1"
    wrong 'view\ngrey 0.2\nflip -1' "line 3: flip: a probability of -1 "
    wrong 'view\nrand 9 0.5 9 0.5\nflip 0.5\n' "line 2: rand: 9 layers of magnitude 9"
    wrong 'view\nblur 1 2 1\nflip 0.5\n' "line 2: blur: sigmas of 2 to 1"
    wrong 'view\nblur 1 2\n' "line 2: blur: 2 values; it wants 1 or 3"
    wrong 'view\nsize 9000\nflip 0.5\n' "line 2: size: a view of 9000 px"
    wrong 'view 2.7\n' "line 1: view: '2.7' is not a whole number"
    wrong 'view 0\n' "line 1: view: 0 is not between 1 and 1000"
    wrong 'view\ninterpolation nearest\n' "line 2: interpolation: 'nearest' is neither"
    wrong 'view 600\nview 600\n' "line 2: view: more than 1000 views"
    wrong 'view\njitter 0.5 1 1 1 0.6\nflip 0.5\n' "line 2: jitter: hue of 0.6 is not within 0 to 0.5"
    # words that would mean nothing
    wrong 'view\nresize 18\nsize 16\nflip 0.5\n' "line 4: flip: has no effect together with resize, on line 2"
    wrong 'view\nscale 0.5 1\nresize 18\n' "line 2: scale: has no effect together with resize, on line 3"
    wrong 'view\nflip 0.5\n\nflip 0.4\n' "line 4: flip: already given on line 2"
    wrong '# nothing\n' "no view in it"
    printf 'view\0\nsize 8\n' > w.policy
    run twist-augment -i "$IMAGES" --policy=w.policy -o v.tws
    [ "$status" -eq 2 ] || [ "$status" -eq 1 ]
    [[ "$output" == *"w.policy: a zero byte in it"* ]]
    run twist-augment -i "$IMAGES" --policy=nothing.policy
    [ "$status" -eq 1 ]
    [[ "$output" == *"nothing.policy: No such file"* ]]
    run twist-augment -i "$IMAGES" --policy=w.policy --size=8
    [ "$status" -eq 2 ]
    [[ "$output" == *"--size: not with --policy, whose file sets it"* ]]
}

@test "a policy's file may begin with a byte order mark; it is no standard input" {
    printf 'view\r\nsize 16\r\n' > plain.policy
    { printf '\xef\xbb\xbf'; cat plain.policy; } > mark.policy
    augment -i "$IMAGES" --policy=mark.policy | cmp - <(augment -i "$IMAGES" --policy=plain.policy)
    cp plain.policy ./-
    run twist-augment -i "$IMAGES" --policy - -o v.tws
    [ "$status" -eq 2 ]
    [[ "$output" == "twist-augment: --policy: '-': give a file"* ]]
    [ ! -e v.tws ]
}

@test "a crop is a pixel high and wide at least, whatever the picture and the ratio: the same views for any -j" {
    printf 'view\nsize 8\nratio 4 5\nview\nsize 9\nratio 0.1 0.2\n' > w.policy
    mkdir odd
    for size in "1 1" "1 2" "2 1" "1 50" "50 1" "3 2"; do
        set -- $size
        { printf 'P6 %d %d 255\n' "$1" "$2"; head -c $(($1 * $2 * 3)) /dev/zero | tr '\0' '\310'; } > "odd/$1x$2.ppm"
    done
    twist-decode -q odd > odd.tws
    augment --policy=w.policy --trace -i odd.tws -j 1 > a.tws
    for j in 2 7 7; do
        augment --policy=w.policy --trace -i odd.tws -j $j | cmp - a.tws
    done
    twist-cat --json a.tws | grep -o '"crop": \[[0-9, ]*\]' > crops
    [ "$(wc -l < crops)" = 12 ]
    ! grep -E ', 0, [0-9]+\]|, 0\]' crops || false
    printf 'view\nsize 8\nratio 4 5\n' > w.policy
    augment --policy=w.policy -i odd.tws | twist-cat --npy views=v.npy
    [ "$(tail -c $((6 * 8 * 8 * 3)) v.npy | tr -d '\310' | wc -c)" = 0 ]
}

@test "a picture that is too long once resized is named" {
    { printf 'P5 1048576 1 255\n'; head -c 1048576 /dev/zero; } > wide.pgm
    twist-decode -q wide.pgm > wide.tws
    run twist-augment --aug=eval --resize=2048 -i wide.tws -o v.tws
    [ "$status" -eq 1 ]
    [ "$output" = "twist-augment: wide.tws: wide.pgm: an image of 1048576 x 1 pixels, resized to 2048, is longer than 1073741824" ]
    augment --aug=eval --resize=1024 --size=16 -i wide.tws | twist-cat --check
}

@test "large pictures need little memory, also several at once" {
    head=$'\x82\xa5twist\x01\xa4kind\xa6images'
    big() {
        printf '\x83\xa3key\xa1b\xa5index'; printf "\\x0$1"
        printf '\xa5image\x85\xc4\x02nd\xc3\xc4\x04type\xa3|u1\xc4\x04kind\xc4\x00\xc4\x05shape\x93\xcd\x0b\xb8\xcd\x0f\xa0\x03\xc4\x04data\xc6\x02\x25\x51\x00'
        head -c 36000000 /dev/zero | tr '\0' "$2"
    }
    (printf %s "$head"; for i in 1 2 3 4 5 6 7 8; do big $i $i; done; printf '\x82\xa3end\xc3\xa7samples\x08') |
        /usr/bin/env bash -c 'exec 3<&0; twist-augment -q -j2 <&3 > v.tws & p=$!; m=0; while kill -0 $p 2> /dev/null; do
            h=$(sed -n "s/VmHWM:[^0-9]*\([0-9]*\).*/\1/p" /proc/$p/status 2> /dev/null); m=${h:-$m}; sleep 0.02; done; wait $p; echo "$? $m" > memory'
    read -r rc kb < memory
    echo "exit $rc, $kb kB"
    [ "$rc" -eq 0 ]
    # what the project promises; a sanitizer's own memory comes on top
    [ "$kb" -lt 150000 ] || grep -q __asan_init "$(command -v twist-augment)"
    twist-cat --check v.tws
}

@test "a stream that is cut, of another kind, or missing is refused by name, and no end record is written" {
    head -c 500 "$IMAGES" > cut.tws
    run twist-augment -i cut.tws -o v.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"cut.tws: truncated at byte 500, inside record"* ]]
    [ ! -e v.tws ]
    (twist-augment < cut.tws > v.tws 2> err) && false
    run twist-cat --check v.tws
    [ "$status" -eq 1 ]
    run twist-augment -i "$(dirname "$IMAGES")/files.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"files.tws: a stream of files; want an images stream"* ]]
    run twist-augment -i nothing.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"nothing.tws: No such file"* ]]
    run twist-augment -i "pipe:cat $IMAGES; exit 3" -o v2.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"failed with status 3"* ]]
    [ ! -e v2.tws ]
}

@test "numbers that no draw is defined for are refused" {
    head=$'\x82\xa5twist\x01\xa4kind\xa6images'
    (printf %s "$head"; printf '\x83\xa3key\xa1k\xa5index\xcf\x00\x00\x01\x00\x00\x00\x00\x00\xa5image\x85\xc4\x02nd\xc3\xc4\x04type\xa3|u1\xc4\x04kind\xc4\x00\xc4\x05shape\x93\x01\x02\x03\xc4\x04data\xc4\x06abcdef\x82\xa3end\xc3\xa7samples\x01') > far.tws
    run twist-augment -i far.tws -o v.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"far.tws: k: index 1099511627776"* ]]
}

@test "a full disk is an error; a reader that leaves ends it quietly" {
    run bash -c "twist-augment -q -i '$IMAGES' > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"No space left"* ]]
    run bash -c "twist-cat -q $(printf "'$IMAGES' %.0s" {1..40}) | twist-augment -q | head -c 1000 > part"
    [ -z "$output" ]
}

@test "--log and -v say how long it waited" {
    (sleep 0.4; cat "$IMAGES") | twist-augment --no-history -v --size=8 --local-size=8 --log log.jsonl -o v.tws 2> err
    grep -E '3 samples in [0-9.]+ s: waited [0-9.]+ s for input, [0-9.]+ s for output' err
    grep -E '^\{"program": "twist-augment", "samples": 3, "seconds": [0-9.]+, "waited_input": [0-9.]+, "waited_output": [0-9.]+\}$' log.jsonl
    run twist-augment -q -i "$IMAGES" --log /nowhere/log -o v2.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"/nowhere/log"* ]]
}

@test "mistakes on the command line exit 2 and name the option" {
    for o in --aug=none --size=0 --blur-p=2 --resize=9 --nonsense "--min1=0.5 --max1=0.4" --min2=0 --interpolation=nearest --mme-epochs=-1; do
        run twist-augment $o -i "$IMAGES"
        echo "$o: $output"
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-augment -h'"* ]]
    done
    refused() {
        run twist-augment $1 -i "$IMAGES"
        echo "$1: $output"
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "twist-augment: $2"* ]]
    }
    refused "--min1=0.5 --max1=0.2" "--min1=0.5 --max1=0.2: crops of 0.5 to 0.2: "
    for o in local-size=8 min2=0.9 max2=0.9; do
        refused "--aug=barlow --$o" "--${o%=*}: for --aug=multicrop only"
    done
    for o in min1=0.9 max1=0.95; do
        refused "--aug=eval --$o" "--${o%=*}: not for --aug=eval"
    done
    refused "--aug=linear --local-crops-number=4" "--local-crops-number: for --aug=multicrop only"
    refused "--resize=9" "--resize: for --aug=eval only"
    refused "--policy=some --resize=9" "--resize: not with --policy, whose file sets it"
    for aug in eval linear; do
        for o in blur-p solarize-p jitter-p grey-p; do refused "--aug=$aug --$o=0" "--$o: not for --aug=$aug, which leaves colours as they are"; done
    done
    # what recipes and pipelines give whatever the policy is
    run twist-augment --aug=barlow --local-crops-number=4 --mme-epochs=0 --size=8 -i "$IMAGES" -o v.tws
    [ "$status" -eq 0 ]
    [ "$output" = "twist-augment: --local-crops-number: --aug=barlow has no local crops" ]
    run twist-augment -q --aug=eval --mme-epochs=0 --size=8 -i "$IMAGES" -o v.tws
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    refused "--min2=0.5" "--min2=0.5: crops of 0.5 to 0.4: "
    refused "--aug=barlow --max1=0.01" "--max1=0.01: crops of 0.08 to 0.01: "
    run twist-augment -h
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -le 24 ]
}

@test "views of photographs are Pillow's, by replaying the trace" {
    python=${PYTHON:-python3}
    "$python" -c 'import PIL, msgpack_numpy, torchvision; assert int(PIL.__version__.split(".")[0]) >= 13' 2> /dev/null ||
        skip "no Python with Pillow 13, torchvision and msgpack-numpy (PYTHON=...)"
    photos 6
    for aug in multicrop barlow moco rand; do
        twist-decode -q photos | twist-augment -q --trace --aug=$aug | "$python" "$BATS_TEST_DIRNAME/golden/augment/replay.py" -
    done
    for aug in eval linear; do
        twist-decode -q photos | twist-augment -q --trace --aug=$aug | "$python" "$BATS_TEST_DIRNAME/golden/augment/replay.py" - bilinear
    done
}
