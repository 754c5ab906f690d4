# Goal: a folder of files broken in every way neither stops twist-decode nor brings it down: each file is a sample or a named reject, good
# ones among them come out untouched, and the same files in a tar give the same.

bats_require_minimum_version 1.5.0

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    GOLDEN=$(cd "$BATS_TEST_DIRNAME/golden/decode" && pwd)
    cd "$BATS_TEST_TMPDIR"
    export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
}

kinds=(s444.jpg palette4.png lossy.webp interlaced.gif rle8.bmp plain255.pgm lzw.tif) # other formats of each: tests/unit/fuzz_image_test.c

# broken/: every kind of harm, each in a folder of its own; regular files only
broken() {
    local name size n k
    mkdir -p broken/cut broken/flip broken/good broken/odd
    for name in "${kinds[@]}"; do
        cp "$GOLDEN/$name" "broken/good/${name%.*}.png" # a wrong ending, mostly
        size=$(stat -c %s "$GOLDEN/$name")
        for ((n = 0; n < size; n += 10)); do head -c "$n" "$GOLDEN/$name" > "broken/cut/$name-$n.jpg"; done
        for ((k = 0; k < 10; k++)); do
            cp "$GOLDEN/$name" "broken/flip/$name-$k.jpg"
            n=$(((k * 7919 + 13) % size))
            printf "\\x$(printf %x $((k * 41 % 256)))" | dd of="broken/flip/$name-$k.jpg" bs=1 seek="$n" conv=notrunc status=none
        done
    done
    : > broken/odd/empty.jpg
    head -c 100000 /dev/zero > broken/odd/zeros.png
    head -c 100000 /dev/zero | tr '\0' '\377' > broken/odd/ones.jpg
    echo text > broken/odd/text.webp
    gzip -c "$GOLDEN/s444.jpg" > broken/odd/packed.jpg
    cat "$GOLDEN/s444.jpg" broken/odd/zeros.png > broken/odd/tail.jpg # what follows a picture does not count
    sof=$(LC_ALL=C grep -obUaP '\xff\xc0' "$GOLDEN/s444.jpg" | head -n 1 | cut -d: -f1)
    (head -c $((sof + 4)) "$GOLDEN/s444.jpg"; printf '\x0c'; tail -c +$((sof + 6)) "$GOLDEN/s444.jpg") > broken/odd/12-bit.jpg
    (head -c $((sof + 5)) "$GOLDEN/s444.jpg"; printf '\0\1\xff\xdc'; tail -c +$((sof + 10)) "$GOLDEN/s444.jpg") > broken/odd/wide.jpg # 65,500 x 1
    (head -c $((sof + 5)) "$GOLDEN/s444.jpg"; printf '\xff\xdc\xff\xdc'; tail -c +$((sof + 10)) "$GOLDEN/s444.jpg") > broken/odd/giant.jpg
    printf 'P6 13000 13000 255\n' > broken/odd/bomb.ppm
    printf 'BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\x30\0\0\0\x30\0\0\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' > broken/odd/bomb.bmp
    printf 'GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\0;' > broken/odd/bombgif.png
    # one pixel, in a tile of 8192 x 8192: the low byte of each tag, and its value
    {
        printf 'II*\0\10\0\0\0\12\0'
        for k in '\0:\1\0' '\1:\1\0' '\2:\10\0' '\3:\1\0' '\6:\1\0' '\25:\1\0' '\102:\0\40' '\103:\0\40' '\104:\10\0' '\105:\1\0'; do
            printf "${k%:*}"'\1\3\0\1\0\0\0'"${k#*:}"'\0\0'
        done
        printf '\0\0\0\0'
    } > broken/odd/bomb.tif
    cp "$GOLDEN/grey.jpg" broken/odd/$'new\nline \xff\xfe.jpg'
    cp "$GOLDEN/grey.jpg" broken/odd/'-o "quoted" $(x).jpg'
}

# samples and skipped of a stream, from its end record
counts() { twist-cat --json "$1" | tail -n 1; }

@test "every file is a sample or a named reject; good ones are untouched" {
    broken
    total=$(find broken -type f -printf x | wc -c)
    [ "$total" -gt 450 ]
    twist-decode -q --rejects=rejects -o out.tws broken 2> err
    bad=$(wc -l < rejects)
    [ "$bad" -eq "$(grep -c '^twist-decode: .*; skipped$' err)" ]
    [ "$(counts out.tws)" = "{\"end\": true, \"samples\": $((total - bad)), \"skipped\": $bad}" ]
    twist-cat --json out.tws | sed '1d;$d' > samples
    # who is in which
    [ "$(grep -c broken/good samples)" -eq "${#kinds[@]}" ]
    ! grep broken/good rejects || false
    for name in tail 'new\\u000aline \\udcff\\udcfe' '-o \\"quoted\\" $(x)'; do grep -qF "broken/odd/${name//\\\\/\\}.jpg" samples; done
    for name in empty.jpg zeros.png ones.jpg text.webp packed.jpg 12-bit.jpg wide.jpg giant.jpg bomb.ppm bomb.bmp bomb.tif bombgif.png; do grep -q "^broken/odd/$name	" rejects; done
    grep -q 'bomb.tif	bad TIFF: tiles of 8192 x 8192 pixels for 1 x 1' rejects
    grep -q '12-bit.jpg	bad JPEG: Unsupported JPEG data precision 12' rejects
    # nothing cut within its first half is good, and most of what is cut anywhere is bad
    for name in "${kinds[@]}"; do
        for ((n = 0; n < $(stat -c %s "$GOLDEN/$name") / 2; n += 10)); do grep -q "^broken/cut/$name-$n.jpg	" rejects; done
    done
    # good pictures: the golden pixels
    mkdir good
    cp broken/good/* good/
    twist-decode good > good.tws
    diff <(grep broken/good samples | sed 's/broken\/good//;s/"index": [0-9]*//;s/"pos": [0-9]*//;s/"label": [0-9]*//') \
         <(twist-cat --json good.tws | sed '1d;$d' | sed 's/good//;s/"index": [0-9]*//;s/"pos": [0-9]*//;s/"label": null//')
    # the same for any number of threads, and with what can be kept
    twist-decode -q --no-history -j1 broken > one.tws 2> one.err
    twist-decode -q --no-history -j8 broken > eight.tws 2> eight.err
    cmp one.tws eight.tws
    cmp one.err eight.err
    twist-decode -q --truncated=keep --exif-rotate --shrink-to=5 -o keep.tws broken 2> err
    twist-cat --check keep.tws
    [ "$(grep -c skipped err)" -lt "$bad" ]
}

@test "the same files in a tar, at random and from first to last" {
    broken
    twist-decode -q --rejects=of-folder -o folder.tws broken 2> err
    (cd broken && find . -type f -name '*.jpg' -print0 -o -type f -name '*.png' -print0 | sort -z | tar --null -T - -cf ../all.tar)
    n=$(find broken -type f \( -name '*.jpg' -o -name '*.png' \) -printf x | wc -c)
    twist-decode -q --rejects=of-shard -o shard.tws all.tar 2> err
    twist-decode -q --rejects=of-stream -o stream.tws - < all.tar 2> err
    [ "$(counts shard.tws)" = "$(counts stream.tws)" ]
    diff of-shard of-stream
    diff <(sort of-shard) <(sed 's/^broken\///' of-folder | grep -E '\.(jpg|png)	' | sort)
    samples=$(twist-cat --check shard.tws | sed 's/.*: \([0-9]*\) samples.*/\1/')
    [ $((samples + $(wc -l < of-shard))) -eq "$n" ]
}

@test "what is no regular file, and what cannot be read" {
    mkdir d
    cp "$GOLDEN/grey.jpg" d/good.jpg
    mkfifo d/fifo.jpg
    ln -s nowhere d/dangling.jpg
    ln -s /dev/zero d/device.jpg
    ln -s /proc/self/mem d/unreadable.jpg
    mkdir d/folder.jpg
    run --separate-stderr twist-decode -o out.tws d
    [ "$status" -eq 0 ]
    [ "$(counts out.tws)" = '{"end": true, "samples": 1, "skipped": 4}' ]
    for why in "fifo.jpg: not a regular file" "dangling.jpg: No such file or directory" "device.jpg: not a regular file" "unreadable.jpg: Input/output error"; do
        [[ "$stderr" == *"d/$why; skipped"* ]]
    done
}
