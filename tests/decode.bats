# Goal: twist-decode finds every picture, in the same order for any number of threads, shards and restarts, and no bad file kills a run
# or goes unnoticed.

bats_require_minimum_version 1.5.0

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    TREE=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
    GOLDEN=$TREE/tests/golden/decode
    FORMATS=$(cd "$BATS_TEST_DIRNAME/../formats" && pwd)
    cd "$BATS_TEST_TMPDIR"
    export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
}

# photos/: three classes, 12 pictures
photos() {
    local class k=0 name
    mkdir -p photos/ant photos/bee/small photos/cow
    for name in s444.jpg s420.jpg grey.jpg cmyk.jpg progressive.jpg rgb8.png palette4.png grey1.png rgb-alpha8.png s422.jpg restart.jpg rgb16.png; do
        class=(ant bee/small cow)
        cp "$GOLDEN/$name" "photos/${class[k++ % 3]}/$name"
    done
}

# "key label" of each sample of the stream on standard input
samples() {
    twist-cat --json | sed -n 's/^{"key": "\([^"]*\)".*"label": \([a-z0-9]*\).*/\1 \2/p'
}

# the samples' records as JSON, without header and end
records() {
    twist-cat --json "$@" | sed '1d;$d'
}

@test "class folders: keys, labels and classes, sorted; pixels are the golden ones" {
    photos
    twist-decode photos > out.tws
    diff - <(samples < out.tws) <<'END'
photos/ant/cmyk.jpg 0
photos/ant/palette4.png 0
photos/ant/s422.jpg 0
photos/ant/s444.jpg 0
photos/bee/small/grey1.png 1
photos/bee/small/progressive.jpg 1
photos/bee/small/restart.jpg 1
photos/bee/small/s420.jpg 1
photos/cow/grey.jpg 2
photos/cow/rgb-alpha8.png 2
photos/cow/rgb16.png 2
photos/cow/rgb8.png 2
END
    twist-cat --header out.tws > header
    grep -F '"kind": "images", "samples": 12, "epochs": 1, "first_epoch": 0, "seed": 0, "classes": ["ant", "bee", "cow"], "data_checksum": ' header
    grep -E '"data_checksum": [1-9][0-9]*, "history": \["twist-decode photos"\]' header
    twist-cat --npy image=a.npy out.tws
    for name in ant/cmyk.jpg ant/palette4.png; do
        tail -c $((23 * 17 * 3)) "$GOLDEN/${name#*/}.want"
    done | cmp - <(tail -c +257 a.npy | head -c $((2 * 23 * 17 * 3)))
}

@test "the bytes do not depend on -j, with bad pictures among them and in any order" {
    photos
    head -c 300 "$GOLDEN/s444.jpg" > photos/bee/cut.jpg
    echo no picture > photos/cow/z.png
    for how in "" "--shuffle --seed=9 --epochs=3" "--shuffle --on-error=substitute --epochs=2 --shard=1/3"; do
        twist-decode --no-history -j1 $how photos > one.tws 2> one.err
        twist-decode --no-history -j8 $how photos > eight.tws 2> eight.err
        cmp one.tws eight.tws
        cmp one.err eight.err
        twist-cat --check one.tws
    done
}

@test "each epoch has an order of its own, a function of seed and epoch; a restart at any sample gives the same tail" {
    photos
    twist-decode --shuffle --seed=3 --epochs=3 photos > all.tws
    records all.tws > all
    [ "$(wc -l < all)" -eq 36 ]
    [ "$(sed -n 's/.*"index": \([0-9]*\).*"epoch": 0.*/\1/p' all | sort -n | tr '\n' ' ')" = "0 1 2 3 4 5 6 7 8 9 10 11 " ]
    for e in 0 1 2; do sed -n "s/.*\"index\": \([0-9]*\), \"epoch\": $e.*/\1/p" all | tr '\n' ' ' > "order$e"; done
    ! cmp -s order0 order1 && ! cmp -s order1 order2 && ! cmp -s order0 order2 || false
    for at in 0/0 0/1 0/11 0/12 1/0 1/5 2/11 2/12 3/0; do
        epoch=${at%/*} skip=${at#*/}
        twist-decode --shuffle --seed=3 --epochs=3 --start-epoch="$epoch" --skip="$skip" photos > part.tws
        cmp <(tail -n +$((epoch * 12 + skip + 1)) all) <(records part.tws)
    done
    twist-decode --shuffle --seed=4 --epochs=1 photos > other.tws
    ! cmp -s <(head -n 12 all) <(records other.tws) || false
    twist-decode --epochs=3 --start-epoch=1 photos | twist-cat --header | grep -F '"samples": 12, "epochs": 2, "first_epoch": 1'
    run twist-decode --skip=13 -o x.tws photos
    [ "$status" -eq 1 ]
    [[ "$output" == *"--skip=13: an epoch has only 12 samples"* ]]
}

@test "shards share out an epoch: place by place, nothing twice" {
    photos
    twist-decode --shuffle --seed=5 --epochs=2 photos | records > all
    for w in 1 2 5 12 20; do
        for ((r = 0; r < w; r++)); do
            twist-decode --shuffle --seed=5 --epochs=2 --shard=$r/$w photos > part.tws
            records part.tws
        done | sort > parts
        cmp <(sort all) parts
    done
    [ "$(twist-decode --shard=1/5 photos | samples | cut -d' ' -f1 | xargs -n1 basename | tr '\n' ' ')" = "palette4.png restart.jpg rgb8.png " ]
    twist-decode --shard=1/5 photos | twist-cat --header | grep -F '"samples": 3,'
}

@test "lists, several sources, single files, subsets and labels" {
    photos
    printf 'photos/cow/grey.jpg\tgrey\nphotos/ant/s444.jpg\tcolour\n' > list
    [ "$(twist-decode --list list | samples)" = $'photos/cow/grey.jpg 1\nphotos/ant/s444.jpg 0' ]
    [ "$(tail -n 1 list | twist-decode --list <(head -n 1 list) --list - | samples)" = "$(twist-decode --list list | samples)" ]
    [ "$(twist-decode --list - < list | samples)" = $'photos/cow/grey.jpg 1\nphotos/ant/s444.jpg 0' ]
    printf 'photos/cow/grey.jpg\t10\nphotos/ant/s444.jpg\t2\nphotos/ant/s422.jpg\t-1\n' > odd # one label is enough for numbers to be names
    cut -f1 odd > keep
    tar -cf a.tar photos
    for how in "--list odd" "--labels odd --list keep" "--labels odd -"; do
        twist-decode $how < a.tar 2> said | twist-cat --header | grep -F '"classes": ["-1", "10", "2"]'
        [ "$(cat said)" = "twist-decode: odd: the label -1 is not a number from 0 to 1048576: all labels are read as class names, sorted as text" ]
    done
    [ "$(twist-decode photos/cow/grey.jpg photos/ant | samples | wc -l)" -eq 5 ]
    [ "$(twist-decode "$GOLDEN/grey.jpg" | samples)" = "$GOLDEN/grey.jpg null" ]
    printf 'grey.jpg\nant/s422.jpg\nnone.jpg\n' > keep
    [ "$(twist-decode --subset keep photos | samples)" = $'photos/ant/s422.jpg 0\nphotos/cow/grey.jpg 2' ]
    printf 'grey.jpg\t7\nant/s422.jpg\t3\n' > labels
    (cat keep keep && echo photos/no/such.jpg && echo cow/grey && echo grey) > more # other spellings are no other pictures
    [ "$(twist-decode --subset more photos 2> said | samples)" = "$(twist-decode --subset keep photos | samples)" ]
    [ "$(cat said)" = "twist-decode: more: 2 of 6 names are not in the data, photos/no/such.jpg among them" ]
    [ "$(twist-decode --subset keep --labels labels photos | samples)" = $'photos/ant/s422.jpg 3\nphotos/cow/grey.jpg 7' ]
    [ "$(twist-decode --limit=2 photos | samples | wc -l)" -eq 2 ]
}

@test "--listing: kept, used while the folders are unchanged, made anew when one changes" {
    photos
    cp -r photos other
    touch -d '2020-01-01' photos photos/* photos/bee/small other other/* other/bee/small
    twist-decode photos other | records > want
    twist-decode --listing=l photos other | records | cmp want
    [ "$(head -n 1 l)" = "twist-listing 2 2 10 3 24" ]
    sed -i 's,photos/ant/s444,photos/ant/s422,' l # what it says is believed
    ! cmp -s want <(twist-decode --listing=l photos other | records) || false
    touch -d '2020-01-02' photos/bee/small
    twist-decode --shuffle --listing=l photos other | records | sed 's/"pos": [0-9]*/"pos": X/' | sort | cmp <(sed 's/"pos": [0-9]*/"pos": X/' want | sort)
    cp "$GOLDEN/grey.jpg" other/ant/new.jpg
    [ "$(twist-decode --listing=l photos other | samples | grep -c new)" -eq 1 ]
    [ "$(twist-decode --listing=l photos | samples | wc -l)" -eq 12 ] # of other folders
    touch -d '2020-01-02' other other/*
    twist-decode --listing=l photos | records > want
    size=$(stat -c %s l)
    for ((n = 1; n < size; n += 31)); do
        head -c "$n" l > cut
        twist-decode --listing=cut photos | records | cmp want
    done
    twist-decode --listing=fresh other > /dev/null
    touch other/cow
    twist-decode --listing=now other > /dev/null
    [ -e fresh ] && [ ! -e now ] # a folder changed this second may change again unseen
    echo precious > file
    run twist-decode --listing=file photos
    [ "$status" -eq 1 ]
    [[ "$output" == *"file: an existing file that is not a listing"* ]]
    [ "$(cat file)" = precious ]
    run twist-decode --listing=x photos/ant/s444.jpg
    [ "$status" -eq 1 ]
    [[ "$output" == *"photos/ant/s444.jpg: Not a directory"* ]]
    run twist-decode --listing=/nowhere/x photos
    [ "$status" -eq 1 ]
    [[ "$output" == *"/nowhere/x"* ]]
}

@test "bad pictures are left out by name, counted, and shift nothing" {
    photos
    twist-decode photos | records > good
    head -c 300 "$GOLDEN/s444.jpg" > photos/ant/cut.jpg
    head -c 300 "$GOLDEN/rgb16.png" > photos/ant/cut.png
    : > photos/bee/empty.jpg
    echo '<html>404 Not Found</html>' > photos/bee/page.jpg
    mkfifo photos/cow/fifo.jpg
    ln -s nowhere photos/cow/link.jpg
    mkdir photos/cow/folder.jpg
    printf 'II*\0 a TIFF' > photos/cow/t.tif
    printf '\0\0\0\30ftypheic' > photos/cow/h.jpg
    run --separate-stderr twist-decode -o out.tws photos
    [ "$status" -eq 0 ]
    for why in "ant/cut.jpg: bad JPEG: Premature end of JPEG file; skipped" "ant/cut.png: bad PNG: the file is truncated; skipped" \
               "bee/empty.jpg: empty file; skipped" "bee/page.jpg: not a picture: none of" "cow/fifo.jpg: not a regular file; skipped" \
               "cow/link.jpg: No such file or directory; skipped" "cow/t.tif: bad TIFF: " \
               "cow/h.jpg: AVIF, HEIC or video is not supported; "; do
        [[ "$stderr" == *"twist-decode: photos/$why"* ]]
    done
    [[ "$stderr" == *"8 bad images left out"* ]]
    twist-cat --json out.tws | tail -n 1 | grep -Fx '{"end": true, "samples": 12, "skipped": 8}'
    cut='s/"index": [0-9]*, //;s/"pos": [0-9]*, //'
    diff <(sed "$cut" good) <(records out.tws | sed "$cut")
    # the names and labels are still the pictures' own
    records out.tws | grep -F '"key": "photos/cow/rgb8.png", "index": 18, "epoch": 0, "pos": 18, "label": 2'
}

@test "--on-error=fail stops at the first bad picture, without an end record" {
    photos
    head -c 300 "$GOLDEN/s444.jpg" > photos/bee/cut.jpg
    run --separate-stderr bash -c "twist-decode --on-error=fail photos > out.tws"
    [ "$status" -eq 1 ]
    [ "$stderr" = "twist-decode: photos/bee/cut.jpg: bad JPEG: Premature end of JPEG file" ]
    run twist-cat --check out.tws
    [ "$status" -eq 1 ]
    run twist-decode --on-error=fail -o file.tws photos
    [ "$status" -eq 1 ]
    [ ! -e file.tws ]
}

@test "--on-error=fail ends also while large pictures behind the bad one wait for memory" {
    mkdir photos
    { printf 'P4\n4096 4096\n'; head -c $((512 * 4096)) /dev/zero; } > photos/0.pbm # 48 MiB of pixels, more than is set aside
    cp photos/0.pbm photos/2.pbm
    cp photos/0.pbm photos/3.pbm
    echo "no picture" > photos/1.jpg
    for _ in 1 2 3; do
        run timeout 60 twist-decode -q -j2 --on-error=fail -o out.tws photos
        [ "$status" -eq 1 ]
        [[ "$output" == *"photos/1.jpg: not a picture"* ]]
        [ ! -e out.tws ]
    done
}

@test "--on-error=substitute keeps the count: the next good picture of the order, marked" {
    photos
    head -c 300 "$GOLDEN/s444.jpg" > photos/ant/a.jpg
    : > photos/ant/b.jpg
    : > photos/cow/z.jpg
    twist-decode --on-error=substitute photos > out.tws 2> err
    [ "$(grep -c 'the next good image takes its place' err)" -eq 3 ]
    records out.tws > out
    [ "$(wc -l < out)" -eq 15 ]
    sed -n 1p out | grep -F '"key": "photos/ant/cmyk.jpg", "index": 2, "epoch": 0, "pos": 0, "label": 0, "sub": 0,'
    sed -n 2p out | grep -F '"key": "photos/ant/cmyk.jpg", "index": 2, "epoch": 0, "pos": 1, "label": 0, "sub": 1,'
    sed -n 3p out | grep -F '"index": 2, "epoch": 0, "pos": 2, "label": 0, "image"'
    sed -n 15p out | grep -F '"index": 2, "epoch": 0, "pos": 14, "label": 0, "sub": 14,' # after the last comes the first
}

@test "--on-error=substitute: the samples of an epoch are the same for any shards, and from a head with workers" {
    photos
    for i in 1 3 4 5 8; do : > photos/ant/$i.jpg; done
    twist-decode -q --shuffle --seed=3 --epochs=3 --on-error=substitute photos > all.tws 2> /dev/null
    records all.tws | sed 's/"image".*//' > all
    [ "$(grep -c '"sub"' all)" -ge 15 ]
    for r in 0 1 2; do twist-decode -q --shuffle --seed=3 --epochs=3 --on-error=substitute --shard=$r/3/2 photos 2> /dev/null > $r.tws; done
    cat <(records 0.tws) <(records 1.tws) <(records 2.tws) | sed 's/"image".*//' | sort > shards
    sort all | cmp - shards
    twist-feed head -q --shuffle --seed=3 --epochs=3 --on-error=substitute --shard=1/3/2 --local 2 photos -- \
        'twist-decode -q -i - | twist-augment -q --aug=eval --size=16' > head.tws 2> /dev/null
    cmp <(records head.tws) <(twist-augment -q --aug=eval --size=16 -i 1.tws | records)
}

@test "where no picture is good, there is no stream" {
    mkdir -p bad/a
    : > bad/a/1.jpg
    : > bad/a/2.jpg
    for how in skip substitute; do
        run twist-decode --on-error=$how -o out.tws bad
        [ "$status" -eq 1 ]
        [[ "$output" == *"bad/a/1.jpg: empty file"* ]]
        [[ "$output" == *"no good image"* ]]
        [ ! -e out.tws ]
    done
}

@test "empty folders, missing and unreadable sources are refused by name" {
    mkdir empty
    run twist-decode empty
    [ "$status" -eq 1 ]
    [ "$output" = "twist-decode: empty: no pictures in this folder" ]
    run twist-decode nowhere
    [ "$status" -eq 1 ]
    [ "$output" = "twist-decode: nowhere: No such file or directory" ]
    run twist-decode --list nowhere
    [ "$status" -eq 1 ]
    [ "$output" = "twist-decode: nowhere: No such file or directory" ]
    if [ "$(id -u)" -ne 0 ]; then
        mkdir closed
        chmod 000 closed
        run twist-decode closed
        [ "$status" -eq 1 ]
        [[ "$output" == *"closed: Permission denied"* ]]
    fi
}

@test "giant pictures and bombs are refused before memory is spent on them" {
    mkdir big
    # 65,500 x 65,500: in a JPEG's frame header, and in a PNG's
    at=$(LC_ALL=C grep -obUaP '\xff\xc0' "$GOLDEN/s444.jpg" | head -n 1 | cut -d: -f1)
    (head -c $((at + 5)) "$GOLDEN/s444.jpg"; printf '\xff\xdc\xff\xdc'; tail -c +$((at + 10)) "$GOLDEN/s444.jpg") > big/a.jpg
    printf 'IHDR\0\0\xff\xdc\0\0\xff\xdc\x08\x02\0\0\0' > head
    crc=$(gzip -c head | tail -c 8 | od -An -N4 -t x4 | tr -d ' ') # of gzip's trailer, the same polynomial
    (head -c 12 "$GOLDEN/rgb8.png"; cat head; printf "\x${crc:0:2}\x${crc:2:2}\x${crc:4:2}\x${crc:6:2}"; tail -c +34 "$GOLDEN/rgb8.png") > big/b.png
    run twist-decode -o out.tws big
    [ "$status" -eq 1 ]
    [[ "$output" == *"a.jpg: 65500 x 65500 pixels, the limit is 178956970 in all"* ]]
    [[ "$output" == *"b.png: 65500 x 65500 pixels, the limit is 178956970 in all"* ]]
    run twist-decode --max-pixels=390 -o out.tws "$GOLDEN/grey.jpg"
    [ "$status" -eq 1 ]
    [[ "$output" == *"grey.jpg: 23 x 17 pixels, the limit is 390 in all"* ]]
    twist-decode --max-pixels=391 "$GOLDEN/grey.jpg" | twist-cat --check
}

@test "--truncated=keep takes what decoded of a damaged picture" {
    mkdir cut
    head -c -150 "$GOLDEN/s444.jpg" > cut/a.jpg
    size=$(stat -c %s "$GOLDEN/rgb16.png")
    head -c $((size - 300)) "$GOLDEN/rgb16.png" > cut/b.png
    twist-decode --truncated=keep cut > out.tws
    twist-cat --check out.tws | grep -F ' 2 samples'
    twist-cat --npy image=a.npy out.tws
    # the first rows are the whole picture's
    cmp <(tail -c $((23 * 17 * 3)) "$GOLDEN/rgb16.png.want" | head -c 69) <(tail -c +257 a.npy | tail -c $((23 * 17 * 3)) | head -c 69)
}

# kept FILE WANTED ROWS: with --truncated=keep that many rows of the picture of 23 x 17 are the wanted ones at least, and the last bytes as said
kept() {
    twist-decode -q --truncated=keep "$1" | twist-cat --npy image=a.npy
    cmp <(tail -c $((23 * 17 * 3)) "$2" | head -c $((69 * $3))) <(tail -c $((23 * 17 * 3)) a.npy | head -c $((69 * $3)))
}

@test "--truncated=keep: a JPEG with another marker in its middle, a PNG's 16-bit grey, a PNG's wrong checksum" {
    size=$(stat -c %s "$GOLDEN/s444.jpg")
    cp "$GOLDEN/s444.jpg" a.jpg
    printf '\xff\x0d' | dd of=a.jpg bs=1 seek=$((size * 9 / 10)) conv=notrunc status=none
    run twist-decode -o x.tws a.jpg
    [[ "$output" == *"a.jpg: bad JPEG: "* ]]
    kept a.jpg "$GOLDEN/s444.jpg.want" 8
    head -c 200 "$GOLDEN/s444.jpg" > a.jpg # before the first row
    run twist-decode --truncated=keep -o x.tws a.jpg
    [ "$status" -eq 1 ]
    for name in grey16 interlaced-grey16; do
        head -c -40 "$GOLDEN/$name.png" > a.png
        kept a.png "$GOLDEN/$name.png.want" 1
        [ "$(tail -c $((23 * 17 * 3)) a.npy | head -c 69 | od -v -An -tu1 -w3 | awk '$1 != $2 || $2 != $3' | wc -l)" = 0 ]
    done
    local idat
    idat=$(grep -abo IDAT "$GOLDEN/rgb8.png" | head -n 1 | cut -d: -f 1)
    size=$(od -An -tu4 --endian=big -j $((idat - 4)) -N 4 "$GOLDEN/rgb8.png")
    cp "$GOLDEN/rgb8.png" a.png
    printf 'oops' | dd of=a.png bs=1 seek=$((idat + 4 + size)) conv=notrunc status=none
    run twist-decode -o x.tws a.png
    [[ "$output" == *"a.png: bad PNG: IDAT: CRC error"* ]]
    kept a.png "$GOLDEN/rgb8.png.want" 17
}

@test "a side of more than 2^20 pixels is a bad picture; a PNM's pixels come after white space" {
    { printf 'P5 1048577 1 255\n'; head -c 1048577 /dev/zero; } > wide.pgm
    run twist-decode -o x.tws wide.pgm "$GOLDEN/grey.jpg"
    [ "$status" -eq 0 ]
    [[ "$output" == *"wide.pgm: 1048577 x 1 pixels: a side has at most 1048576"*"skipped"* ]]
    { printf 'P6 3 2 255#c\n'; head -c 18 /dev/zero; } > comment.ppm
    run twist-decode -o x.tws comment.ppm
    [[ "$output" == *"comment.ppm: bad PNM: no white space"* ]]
    { printf 'P6 #c\n3 2#c\n255\n'; head -c 18 /dev/zero; } > comment.ppm
    twist-decode comment.ppm | twist-cat --check
}

@test "--exif-rotate turns upright; without it the pixels stay as they are" {
    twist-decode "$GOLDEN/orientation6.jpg" | records | grep -F '"shape": [17, 23, 3]'
    twist-decode --exif-rotate "$GOLDEN/orientation6.jpg" | records | grep -F '"shape": [23, 17, 3]'
    # the number may be of any whole type: LONG, SSHORT, SLONG; not of BYTE; and there must be one
    turned() {
        cp "$GOLDEN/orientation6.jpg" a.jpg
        printf "$1" | dd of=a.jpg bs=1 seek=42 conv=notrunc status=none
        twist-decode --exif-rotate a.jpg | records | grep -F "\"shape\": [$2, 3]"
    }
    turned '\0\3\0\0\0\1\0\6\0\0' "23, 17"
    turned '\0\4\0\0\0\1\0\0\0\6' "23, 17"
    turned '\0\10\0\0\0\1\0\6\0\0' "23, 17"
    turned '\0\11\0\0\0\1\0\0\0\6' "23, 17"
    turned '\0\1\0\0\0\1\6\0\0\0' "17, 23"
    turned '\0\3\0\0\0\0\0\6\0\0' "17, 23"
    turned '\0\4\0\0\0\1\0\1\0\6' "17, 23"
}

@test "--shrink-to halves JPEGs as long as the short side stays large enough" {
    for want in 17:17,23 9:9,12 8:9,12 5:5,6 3:3,3; do
        shape=${want#*:}
        twist-decode --shrink-to="${want%:*}" "$GOLDEN/s420.jpg" | records | grep -F "\"shape\": [${shape%,*}, ${shape#*,}, 3]"
    done
    twist-decode --shrink-to=5 "$GOLDEN/rgb8.png" | records | grep -F '"shape": [17, 23, 3]'
}

@test "a files stream is decoded as it comes" {
    photos
    # a files stream made of an images stream's own text: written here by hand, with two pictures
    map() { printf '\x84\xa3key%b%s\xa5index%b\xa5label\x01\xa5bytes\xc5' "\\x$(printf %x $((160 + ${#1})))" "$1" "\\x0$2"; printf "\\x$(printf %02x $(($3 >> 8)))\\x$(printf %02x $(($3 & 255)))"; }
    (printf '\x83\xa5twist\x01\xa4kind\xa5files\xa7classes\x92\xa1a\xa1b'
     size=$(stat -c %s "$GOLDEN/grey.jpg"); map g.jpg 5 "$size"; cat "$GOLDEN/grey.jpg"
     map bad.jpg 6 3; printf abc
     size=$(stat -c %s "$GOLDEN/rgb8.png"); map c.png 7 "$size"; cat "$GOLDEN/rgb8.png"
     printf '\x83\xa3end\xc3\xa7samples\x03\xa7skipped\x02') > in.tws
    run --separate-stderr twist-decode -i in.tws -o out.tws
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"bad.jpg: "* ]]
    [[ "$stderr" == *"twist-decode: 1 bad image left out"* ]]
    [ "$(samples < out.tws)" = $'g.jpg 1\nc.png 1' ]
    twist-cat --json out.tws | tail -n 1 | grep -F '"skipped": 3' # one here, two before
    twist-cat --header out.tws | grep -F '"classes": ["a", "b"]'
    head -c 900 in.tws | twist-decode -i - > cut.tws 2> err && return 1
    grep -F 'twist-decode: standard input: truncated at byte 900' err
    run twist-decode -i "pipe:cat in.tws; exit 3" -o x.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"status 3"* ]]
    [ ! -e x.tws ]
    run twist-decode -i "$FORMATS/views.tws" -o x.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"want a files stream"* ]]
}

@test "odd names: spaces, newline, bytes that are no UTF-8, a leading dash" {
    mkdir -p odd/$'c\n1'
    cp "$GOLDEN/grey.jpg" odd/$'c\n1'/$'\xff \x01.jpg'
    cp "$GOLDEN/grey.jpg" odd/$'c\n1'/-o.jpg
    twist-decode odd > out.tws
    twist-cat --json out.tws | grep -F '"key": "odd/c\u000a1/\udcff \u0001.jpg"'
    [ "$(records out.tws | wc -l)" -eq 2 ]
    : > odd/$'c\n1'/$'a\n\n\t\\z.jpg' # bad: one line, in which only newlines are written otherwise
    twist-decode --rejects bad odd 2> err | twist-cat --json | tail -n 1 | grep -Fx '{"end": true, "samples": 2, "skipped": 1}'
    grep -Fx $'twist-decode: odd/c\\n1/a\\n\\n\t\\z.jpg: empty file; skipped' err
    [ "$(wc -l < err)" -eq 2 ]
    grep -Fx $'odd/c\\n1/a\\n\\n\\t\\\\z.jpg\tempty file' bad
    run twist-decode --on-error=fail -o x.tws odd
    [ "$status" -eq 1 ]
    [ "$output" = $'twist-decode: odd/c\\n1/a\\n\\n\t\\z.jpg: empty file' ]
    twist-decode --on-error=substitute -o x.tws odd 2> err
    grep -Fx $'twist-decode: odd/c\\n1/a\\n\\n\t\\z.jpg: empty file; the next good image takes its place' err
    cd odd/$'c\n1'
    twist-decode -- -o.jpg | twist-cat --check
}

@test "a full disk, a reader that leaves" {
    photos
    run twist-decode -o /dev/full photos
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full: No space left"* ]]
    run bash -c "twist-decode photos > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"standard output: No space left"* ]]
    run bash -c "twist-decode --epochs=10000 photos | head -c 5000 > part; echo \${PIPESTATUS[0]}"
    [ "$output" = 141 ] # ended by SIGPIPE, quietly
    run twist-cat --check part
    [ "$status" -eq 1 ]
}

@test "memory or descriptors that are short end the run: no picture is left out for it" {
    local limit rc
    twist-synth -q -o many --count=60 --val-count=0 --classes=2 --size=400
    for limit in "-v 40000" "-v 60000" "-v 80000" "-v 100000" "-n 5" "-n 6" "-n 7" "-n 9"; do
        rc=0
        (ulimit $limit && twist-decode -q -j8 many/train -o some.tws) 2> said || rc=$?
        ! grep -q skipped said || { echo "$limit"; cat said; false; }
        [ $rc -ne 0 ] || [ "$(twist-cat --json some.tws | grep -c '"key"')" -eq 60 ]
    done
    { find many/train -name '*.jpg' | head -n 5; head -c 300000000 /dev/zero | tr '\0' x; printf '\n'; } > list
    run bash -c 'ulimit -v 200000 && twist-decode -q -j1 --list list -o some.tws'
    [ "$status" -ne 0 ]
    run twist-decode --listing /dev/full many/train -o some.tws
    [ "$status" -eq 1 ]
    [ "$output" = "twist-decode: /dev/full: not a regular file" ]
}

# short WHAT CAUSE ARG...: with each of the pieces of WHAT not there twist-decode fails for that cause, or its output is the same
short() {
    local what=$1 cause=$2 i=0 rc
    shift 2
    rm -rf few.tar.index cache
    twist-decode -q -j1 --no-history "$@" > whole.tws
    while [ $i -eq 0 ] || grep -q '^short$' said; do
        i=$((i + 1)) rc=0
        rm -rf few.tar.index cache
        env "$what=$i" LD_PRELOAD="$PWD/short.so" twist-decode -q -j1 --no-history "$@" > some.tws 2> said || rc=$?
        if [ $rc -eq 0 ]; then cmp some.tws whole.tws; else grep -q "$cause" said; fi || { echo "$what $i, $*: $rc"; cat said; return 1; }
    done
    [ $i -gt 10 ]
}

@test "whichever piece of memory is not there or of an archive cannot be read, the run fails and says so, or its output is the same" {
    local long
    "${CC:-cc}" -O1 -shared -fPIC -o short.so "$TREE/tests/tools/short.c" || skip "no C compiler"
    SHORT=0 LD_PRELOAD=$PWD/short.so twist-decode -V || skip "a sanitizer has memory of its own"
    long=$(printf 'x%.0s' {1..120})
    mkdir -p few/a
    # no lossless WebP and no TIFF: without memory libwebp 1.2 and libtiff 4.5 may crash
    cp "$GOLDEN"/{s444.jpg,progressive.jpg,grey16.png,lossy.webp,transparent.gif} few/a
    cp "$GOLDEN/s420.jpg" "few/a/$long.jpg"
    ln -s s444.jpg few/a/link.jpg
    ln -s "$long.jpg" few/a/other.jpg
    head -c 300000 /dev/urandom > few/a/large # more than is unpacked at once
    tar --format=pax -cf few.tar -C few a
    gzip -k few.tar
    short SHORT memory few
    short SHORT memory --truncated=keep few
    short SHORT memory --shuffle --on-error=substitute few
    short SHORT memory few.tar
    short SHORT memory --truncated=keep few.tar
    short SHORT memory --truncated=keep few.tar.gz
    short UNREAD "Input/output error" --on-error=fail few.tar
}

@test "wrong command lines exit 2 and name the mistake" {
    for args in "" "--shard=3/3 photos" "--shard=1 photos" "--shard=4294967297/8589934594 photos" "--shard=0/2/1/ photos" "--on-error=perhaps photos" "-j0 photos" "--epochs=-1 photos" "-i x photos" \
                "-i x --shuffle" "--nope photos" "--truncated=half photos"; do
        run twist-decode $args
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-decode -h'"* ]]
    done
}
