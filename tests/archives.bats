# Goal: tar shards give the pictures that the same files in a folder give, read at random or from first to last, whatever wrote them; label
# files of every format; the policy for bad pictures.

bats_require_minimum_version 1.5.0

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    GOLDEN=$(cd "$BATS_TEST_DIRNAME/golden/decode" && pwd)
    cd "$BATS_TEST_TMPDIR"
    export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
}

# photos/: three classes, 9 pictures
photos() {
    local class=(ant bee cow) k=0 name
    mkdir -p photos/ant photos/bee photos/cow
    for name in s444.jpg s420.jpg grey.jpg cmyk.jpg lossy.webp rgb8.png palette.gif rgb24.bmp binary255.ppm; do
        cp "$GOLDEN/$name" "photos/${class[k++ % 3]}/$name"
    done
}

# tar_of ARCHIVE [OPTION]...: photos/ in sorted order, as CLASS/NAME
tar_of() {
    local archive=$1
    shift
    tar -C photos -cf "$archive" --sort=name "$@" ant bee cow
}

# "key label" of each sample of the stream on standard input
samples() {
    twist-cat --json | sed -n 's/^{"key": "\([^"]*\)".*"label": \([a-z0-9]*\).*/\1 \2/p'
}

# the records without header and end, as JSON
records() {
    twist-cat --json "$@" | sed '1d;$d'
}

pixels() { twist-cat --npy image="$1"; }

@test "a shard gives what its folder gives, for every format of tar" {
    photos
    twist-decode photos > folder.tws
    sed 's/photos\///' < <(records folder.tws) > want
    for format in v7 ustar gnu pax; do
        tar_of "$format.tar" --format="$format"
        twist-decode "$format.tar" > shard.tws
        diff want <(records shard.tws)
        cmp <(pixels a.npy < folder.tws; cat a.npy) <(pixels b.npy < shard.tws; cat b.npy)
        twist-cat --header shard.tws | grep -F '"samples": 9, "epochs": 1, "first_epoch": 0, "seed": 0, "classes": ["ant", "bee", "cow"]'
    done
}

@test "long and odd names, dots and folders in front" {
    photos
    long=$(printf 'x%.0s' {1..90})
    mkdir -p "t/$long/$long/$long" t/'né w'
    cp photos/ant/s444.jpg "t/$long/$long/$long/$long.jpg"
    cp photos/ant/s444.jpg t/'né w'/$'a\nb %2D.jpg'
    cp photos/ant/s444.jpg t/top.jpg
    for format in gnu pax; do
        tar -C t -cf odd.tar --sort=name --format="$format" .
        for pass in walked indexed; do
            twist-decode odd.tar | records > got
            grep -F "\"key\": \"$long/$long/$long/$long.jpg\"" got
            grep -F '"key": "né w/a\u000ab %2D.jpg"' got
            grep -F '"key": "top.jpg"' got
            [ "$(wc -l < got)" -eq 3 ]
            [ -e odd.tar.index ]
        done
    done
    tar -C photos/ant -cf - --transform 's,^,../../etc/,' s444.jpg > up.tar
    [ "$(twist-decode up.tar | samples)" = "../../etc/s444.jpg null" ] # a name, nothing else; one folder is no class
}

@test "labels that do not stand beside their pictures are warned of, every time, in a shard and in sequence" {
    mkdir w
    for k in 0 1; do
        cp "$GOLDEN/s444.jpg" "w/$k.jpg"
        echo $k > "w/$k.cls"
    done
    tar -C w -cf w.tar 0.jpg 1.jpg 0.cls 1.cls
    for from in w.tar w.tar -; do
        twist-decode "$from" < w.tar 2> err > out.tws
        grep -F "labels without a picture beside them are ignored: 2, 0.cls the first" err
        [ "$(records out.tws | grep -c '"label": null')" -eq 2 ]
    done
    tar -C w -cf good.tar 0.jpg 0.cls 1.cls 1.jpg
    twist-decode good.tar 2> err > out.tws
    [ ! -s err ]
}

@test "WebDataset shards: KEY.jpg with KEY.cls, numbers or names; masks and texts beside them are no pictures" {
    mkdir w
    k=0
    for label in 7 0 3; do
        cp "$GOLDEN/grey.jpg" w/00$k.jpg
        cp "$GOLDEN/grey8.png" w/00$k.seg.png
        echo "$label" > w/00$k.cls
        echo '{"caption": 1}' > w/00$k.json
        k=$((k + 1))
    done
    tar -C w -cf n.tar --sort=name 000.cls 000.jpg 000.json 000.seg.png 001.jpg 001.cls 002.jpg 002.cls 002.seg.png
    [ "$(twist-decode n.tar | samples)" = $'000.jpg 7\n001.jpg 0\n002.jpg 3' ]
    twist-decode n.tar | twist-cat --header | grep -F '"classes": ["0", "1", "2", "3", "4", "5", "6", "7"]'
    [ "$(twist-decode - < n.tar | samples)" = $'000.jpg 7\n001.jpg 0\n002.jpg 3' ]
    printf ' dog ' > w/000.cls
    printf cat > w/001.cls
    printf 'dog\n' > w/002.cls
    tar -C w -cf names.tar --sort=name .
    [ "$(twist-decode names.tar | samples)" = $'000.jpg 1\n001.jpg 0\n002.jpg 1' ]
    [ "$(twist-decode names.tar | samples)" = $'000.jpg 1\n001.jpg 0\n002.jpg 1' ] # from the index
    [ "$(twist-decode - < names.tar 2> err | samples)" = $'000.jpg null\n001.jpg null\n002.jpg null' ] # in sequence none, which is said
    [ "$(grep -c 'is no whole number' err)" = 1 ]
    grep -F "000.jpg: the label 'dog' is no whole number" err
    # a picture whose .cls is missing has no label: the folder that all are in is no class beside the others
    mkdir s
    for k in {10..21}; do
        cp "$GOLDEN/grey.jpg" "s/00$k.jpg"
        echo $((k - 10)) > "s/00$k.cls"
    done
    tar -cf whole.tar --sort=name s
    rm s/0021.cls
    tar -cf lacking.tar --sort=name s
    [ "$(twist-decode whole.tar | samples | cut -d' ' -f2 | tr '\n' ' ')" = "$(seq -s' ' 0 11) " ]
    for pass in walked indexed; do
        twist-decode lacking.tar 2> err > lacking.tws
        [ "$(cat err)" = "twist-decode: 1 of 12 pictures have no label, so none has one in the stream; s/0021.jpg is one of them" ]
        twist-cat --header lacking.tws | grep -F '"classes": null'
    done
    [ "$(twist-decode - < lacking.tar | samples | cut -d' ' -f2 | tr '\n' ' ')" = "$(seq -s' ' 0 10) null " ]
    mkdir t # several folders are classes, names among names
    cp s/0021.jpg t/
    tar -rf lacking.tar t
    twist-decode lacking.tar | twist-cat --header | grep -F '"classes": ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9", "s", "t"]'
    mkdir p # without anything else beside them, several dots are just names
    for name in a.jpg a.1.jpg a.2.jpg; do cp "$GOLDEN/grey.jpg" "p/$name"; done
    tar -C p -cf p.tar --sort=name a.1.jpg a.2.jpg a.jpg
    [ "$(twist-decode p.tar | samples | wc -l)" -eq 3 ]
}

@test "links in a shard are what they lead to in it, labels too; those that lead nowhere are counted and named, each time" {
    photos
    mkdir -p l/a l/b l/c
    cp photos/ant/s444.jpg l/a/1.jpg
    ln l/a/1.jpg l/a/2.jpg
    ln -s 1.jpg l/a/3.jpg
    ln -s ../c/.././a//3.jpg l/b/4.jpg
    ln -s 6.jpg l/b/5.jpg # what comes after it
    cp photos/bee/rgb24.bmp l/b/6.jpg
    ln l/a/3.jpg l/a/7.jpg
    ln l/a/1.jpg "l/b/$(printf 'y%.0s' {1..120}).jpg"
    for format in gnu pax; do
        tar -C l -cf "$format.tar" --sort=name --format="$format" a b
        for pass in walked indexed; do
            twist-decode "$format.tar" > got.tws
            diff <(twist-decode l | samples | sed 's,^l/,,') <(samples < got.tws)
            cmp <(twist-decode l | pixels want.npy; cat want.npy) <(pixels got.npy < got.tws; cat got.npy)
            [ -s "$format.tar.index" ]
        done
    done
    # a name that comes twice: a hard link is of the one before it, a symbolic link of the last
    cp l/b/6.jpg 1.jpg
    tar -C l -cf twice.tar a/1.jpg a/2.jpg a/3.jpg
    tar -rf twice.tar --transform 's,^,a/,' 1.jpg
    cmp <(twist-decode twice.tar | twist-cat --skip=1 --head=1 | pixels x.npy; cat x.npy) <(twist-decode l/a/1.jpg | pixels y.npy; cat y.npy)
    cmp <(twist-decode twice.tar | twist-cat --skip=2 --head=1 | pixels x.npy; cat x.npy) <(twist-decode 1.jpg | pixels y.npy; cat y.npy)
    # labels
    mkdir w
    for i in 1 2 3; do cp photos/ant/s444.jpg w/$i.jpg; done
    echo 5 > w/1.cls
    ln w/1.cls w/2.cls
    ln -s 1.cls w/3.cls
    tar -C w -cf w.tar --sort=name .
    [ "$(twist-decode w.tar | samples)" = $'1.jpg 5\n2.jpg 5\n3.jpg 5' ]
    # to nowhere: out of the archive, in a circle, to a folder, to nothing
    mkdir n
    cp photos/ant/s444.jpg n/1.jpg
    ln -s /etc/passwd n/2.jpg
    ln -s 4.jpg n/3.jpg
    ln -s 3.jpg n/4.jpg
    ln -s . n/5.jpg
    ln -s none n/6.cls
    ln -s none n/readme
    tar -C n -cf n.tar --sort=name .
    for pass in first second; do
        run --separate-stderr twist-decode -o n.tws n.tar
        [ "$status" -eq 0 ]
        [ "$stderr" = "twist-decode: n.tar: links that lead to no file in the archive are left out: 5, 2.jpg the first" ]
        [ "$(samples < n.tws)" = "1.jpg null" ]
    done
    run twist-decode - -o n.tws < gnu.tar
    [ "$status" -eq 0 ]
    [ "$output" = "twist-decode: standard input: links in an archive that is read in sequence are left out: 6, a/2.jpg the first" ]
    [ "$(samples < n.tws)" = $'a/1.jpg null\nb/6.jpg null' ]
}

@test "the index: kept, used, made anew when the shard changed or the index is damaged" {
    photos
    tar_of a.tar
    twist-decode a.tar | records > want
    [ -s a.tar.index ]
    # used: an index that names something else is believed as long as the shard is the one it says
    sed -i 's,ant/s444,bee/s444,' a.tar.index
    twist-decode a.tar | records | grep -F '"key": "bee/s444.jpg"'
    touch -d '2001-02-03' a.tar
    cmp want <(twist-decode a.tar | records)
    head -c -40 a.tar.index > cut && cp cut a.tar.index
    cmp want <(twist-decode a.tar | records)
    for damage in 's/ ant/ %zz/' 's/^1024/9999999/' 's/ - / /' '2s/.*//' '1s/9$/10/' '1s/.*/twist-index 1/' 's/^\([0-9]*\) [0-9]*/\1 -5/' '2,$d;1s/9$/0/'; do
        sed -i "$damage" a.tar.index
        cmp want <(twist-decode a.tar | records)
    done
    : > a.tar.index
    cmp want <(twist-decode a.tar | records)
    grep -q '^twist-index 2 ' a.tar.index
    # a file of that name that is none of ours stays, and the index is in the cache
    for text in 'my notes' t; do
        printf %s "$text" > a.tar.index
        rm -rf cache
        cmp want <(twist-decode a.tar | records)
        [ "$(cat a.tar.index)" = "$text" ]
        sed -i 's,ant/s444,bee/s444,' cache/twist/a.tar-*.index
        twist-decode a.tar | records | grep -F '"key": "bee/s444.jpg"'
    done
    # a folder that is not written to: in the cache
    mkdir closed
    cp a.tar closed/
    chmod 555 closed
    cmp want <(twist-decode closed/a.tar | records)
    [ "$(ls closed)" = a.tar ]
    ls cache/twist/a.tar-*.index
    sed -i 's,ant/s444,bee/s444,' cache/twist/a.tar-*.index
    twist-decode closed/a.tar | records | grep -F '"key": "bee/s444.jpg"'
    chmod 755 closed
}

@test "many shards are one data set: numbered in their order, shuffled as a whole, the same for any -j and restart" {
    photos
    for i in {1..9}; do tar -C photos -cf "s$i.tar" --sort=name ant bee cow; done
    twist-decode s?.tar | records > all
    [ "$(wc -l < all)" -eq 81 ]
    [ "$(sed -n 's/.*"index": \([0-9]*\).*/\1/p' all | tr '\n' ' ')" = "$(seq -s' ' 0 80) " ]
    twist-decode --shuffle --seed=2 --no-history -j1 s?.tar > one.tws
    twist-decode --shuffle --seed=2 --no-history -j8 s?.tar > eight.tws
    cmp one.tws eight.tws
    records one.tws > shuffled
    [ "$(sed -n 's/.*"index": \([0-9]*\).*/\1/p' shuffled | sort -n | tr '\n' ' ')" = "$(seq -s' ' 0 80) " ]
    ! cmp -s all shuffled || false
    cmp <(tail -n +31 shuffled) <(twist-decode --shuffle --seed=2 --skip=30 s?.tar | records)
    # more than may be open at first
    for i in {1..70}; do cp s1.tar "m$i.tar"; done
    [ "$(ulimit -S -n 64; twist-decode m*.tar | records | wc -l)" -eq 630 ]
    # and than may ever be
    twist-decode --no-history --shuffle --seed=2 m*.tar > open.tws
    (ulimit -n 64; twist-decode -j4 --no-history --shuffle --seed=2 m*.tar) > few.tws
    cmp open.tws few.tws
    ( # the last one of them changes while pictures are read
        ulimit -n 64
        twist-decode -j1 --epochs=1000000 --on-error=fail m*.tar 2> err | { head -c 100000 > first; touch m9.tar; cat > rest; }
    ) || true
    grep -F 'in m9.tar, which has changed since it was indexed' err
    # beside a folder: equal class names are one class
    [ "$(twist-decode s1.tar photos | samples | cut -d' ' -f2 | sort | uniq -c | tr -s ' ' | tr '\n' ',')" = " 6 0, 6 1, 6 2," ]
}

@test "archives on standard input: plain, gzip, zstd, in their own order" {
    photos
    tar_of a.tar
    gzip -k a.tar
    twist-decode a.tar > random.tws
    sed 's/"label": [a-z0-9]*/"label": null/' < <(records random.tws) > want
    pixels want.npy < random.tws
    command -v zstd > /dev/null && zstd -q a.tar -o a.tar.zst || cp a.tar.gz a.tar.zst # by content, not by name
    printf '\x5a\x2a\x4d\x18\x03\0\0\0abc' > skipped # a frame that zstd passes over; pzstd begins with one
    hows=("cat a.tar" "cat a.tar.gz" "cat a.tar.zst" "cat a.tar.gz /dev/zero | head -c 20000")
    if command -v zstd > /dev/null; then hows+=("cat skipped a.tar.zst" "cat skipped a.tar.zst skipped"); fi
    for how in "${hows[@]}"; do
        sh -c "$how" | twist-decode - > seq.tws
        diff want <(records seq.tws)
        pixels got.npy < seq.tws
        cmp want.npy got.npy
        twist-cat --header seq.tws | grep -F '"samples": null, "epochs": 1, "first_epoch": 0, "seed": 0, "classes": null'
    done
    [ "$(twist-decode a.tar.gz a.tar.zst | records | wc -l)" -eq 18 ]
    twist-decode --no-history -j1 a.tar.gz > one.tws
    twist-decode --no-history -j8 a.tar.gz > eight.tws
    cmp one.tws eight.tws
    # the samples of a shard, a limit, a start and every other one are those that the archive read at random has
    for how in "--shard=1/3" "--limit=5" "--skip=4" "--every=2" "--every=3 --shard=1/2" "--limit=7 --shard=0/2 --skip=1"; do
        diff <(twist-decode $how a.tar | records | sed 's/"label": [a-z0-9]*/"label": null/') <(twist-decode $how - < a.tar | records)
    done
    printf 'name,label\nant/s444.jpg,wing\nrgb8,hoof\n' > l.csv
    printf 's444.jpg\nrgb8.png\n' > keep
    [ "$(twist-decode --labels l.csv --subset keep - < a.tar | samples)" = $'ant/s444.jpg 1\ncow/rgb8.png 0' ]
    twist-decode --labels l.csv - < a.tar | twist-cat --header | grep -F '"classes": ["hoof", "wing"]'
    for how in "--shuffle" "--epochs=2" "--on-error=substitute" "--list=keep"; do
        run twist-decode $how - < a.tar
        [ "$status" -eq 2 ]
    done
    run twist-decode - photos < a.tar
    [ "$status" -eq 2 ]
}

@test "archives in sequence fail at the end for what other sources fail for at once, without an end record" {
    photos
    tar_of a.tar
    gzip -k a.tar
    echo hello > text
    tar -czf none.tar.gz text
    command -v zstd > /dev/null && tar -cf - text | zstd -q -o none.tar.zst || cp none.tar.gz none.tar.zst
    echo other.jpg > names
    printf 'other.jpg\t1\n' > labels
    printf 'other.jpg\t1\nrgb24\t0\n' > last # of the last but two
    refused() { # MESSAGE ARGUMENT...
        run bash -c 'twist-decode "${@:2}" > out.tws' - "$@"
        [ "$status" -eq 1 ]
        [ "$output" = "twist-decode: $1" ]
        run twist-cat --check out.tws
        [ "$status" -eq 1 ]
    }
    for name in none.tar.gz none.tar.zst; do
        refused "$name: no pictures in this archive" $name
        refused "standard input: no pictures in this archive" - < $name
        refused "$name: no pictures in this archive" a.tar.gz $name
        refused "$name: no pictures in this archive" --truncated=keep $name
    done
    for source in a.tar a.tar.gz "- "; do
        refused "names: none of its names is in the data" --subset names $source < a.tar
        refused "labels: labels none of the pictures in the data" --labels labels $source < a.tar
        refused "--skip=10: an epoch has only 9 samples" --skip=10 $source < a.tar
        refused "--skip=4: an epoch has only 3 samples" --skip=4 --shard=1/3 $source < a.tar
        refused "--skip=6: an epoch has only 5 samples" --skip=6 --limit=5 $source < a.tar
        twist-decode --skip=9 $source < a.tar | twist-cat --check
        twist-decode --shard=11/12 $source < a.tar | twist-cat --check
        twist-decode -q --every=4 --limit=1 --labels last $source < a.tar | twist-cat --check # found, in what is left out
    done
    run twist-decode - -o x.tws < /dev/null
    [ "$status" -eq 1 ]
    [ "$output" = "twist-decode: standard input: truncated at byte 0" ]
    [ ! -e x.tws ]
}

@test "an archive cut anywhere is refused by name, in the middle of what packed it too" {
    photos
    tar_of a.tar
    gzip -k a.tar
    size=$(stat -c %s a.tar)
    end=$((size - 1024))
    while [ "$(tail -c +$((end - 511)) a.tar | tr -d '\0' | wc -c)" -eq 0 ]; do end=$((end - 512)); done # where the end mark begins
    for n in 0 1 511 512 700 1024 1536 $((size / 2)) $((end - 512)) $((end - 1)) "$end"; do
        head -c "$n" a.tar > cut.tar
        run twist-decode -o x.tws cut.tar
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-decode: cut.tar: "* ]]
        [ ! -e cut.tar.index ]
        run bash -c "head -c $n a.tar | twist-decode - > part.tws"
        [ "$status" -eq 1 ]
        [[ "$output" == *"standard input: "* ]]
        run twist-cat --check part.tws
        [ "$status" -eq 1 ]
    done
    size=$(stat -c %s a.tar.gz)
    for n in 1 2 100 $((size / 2)) $((size - 8)) $((size - 1)); do
        head -c "$n" a.tar.gz > cut.tar.gz
        run twist-decode -o x.tws cut.tar.gz
        [ "$status" -eq 1 ]
        [[ "$output" == *"cut.tar.gz: "* ]]
    done
    # what is there, if asked for
    head -c 9000 a.tar > cut.tar
    twist-decode --truncated=keep cut.tar > some.tws 2> err
    grep -qE "^twist-decode: cut\.tar: .*; it has $(records some.tws | wc -l) pictures before that$" err
    [ "$(twist-decode --truncated=keep - < cut.tar 2> err | records | wc -l)" = "$(records some.tws | wc -l)" ]
    grep -qE "^twist-decode: standard input: .*; it has $(records some.tws | wc -l) pictures before that$" err
    diff <(records some.tws) <(twist-decode --limit="$(records some.tws | wc -l)" a.tar | records)
    [ ! -e cut.tar.index ]
}

@test "damaged archives, absurd sizes, what is no archive: a message with the name, no crash" {
    photos
    tar_of a.tar
    echo hello > text.tar
    run twist-decode -o x.tws text.tar
    [ "$status" -eq 1 ]
    [[ "$output" == *"text.tar: "* ]]
    mkfifo fifo.tar
    run twist-decode -o x.tws fifo.tar
    [ "$status" -eq 1 ]
    [[ "$output" == *"fifo.tar: not a regular file"* ]]
    tar -cf none.tar text.tar
    run twist-decode -o x.tws none.tar
    [ "$status" -eq 1 ]
    [[ "$output" == *"none.tar: no pictures in this archive"* ]]
    # header fields overwritten, with the checksum put right
    first=$(twist-decode a.tar 2> /dev/null | samples | head -n 1 | cut -d' ' -f1)
    at=$(LC_ALL=C grep -obUaF "$first" a.tar | head -n 1 | cut -d: -f1)
    for field in '124:77777777777' '124:\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff' '124:\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff' '124:00000x00000' '156:S' '156:x'; do
        cp a.tar b.tar
        printf "${field#*:}" | dd of=b.tar bs=1 seek=$((at + ${field%%:*})) conv=notrunc status=none
        printf '        ' | dd of=b.tar bs=1 seek=$((at + 148)) conv=notrunc status=none
        sum=$(tail -c +$((at + 1)) b.tar | head -c 512 | od -An -v -t u1 | tr -s ' ' '\n' | awk '{s += $1} END {printf "%06o", s}')
        printf "$sum\\0 " | dd of=b.tar bs=1 seek=$((at + 148)) conv=notrunc status=none
        run twist-decode -o x.tws b.tar
        [ "$status" -eq 1 ]
        [[ "$output" == *"b.tar: "* ]]
        run twist-decode -o x.tws - < b.tar
        [ "$status" -eq 1 ]
    done
    # a bad picture inside is a bad picture, no more
    head -c 200 "$GOLDEN/s444.jpg" > photos/bee/a.jpg
    tar_of c.tar
    for source in c.tar "- "; do
        twist-decode $source < c.tar > out.tws 2> err
        grep -F 'twist-decode: bee/a.jpg: bad JPEG: ' err
        twist-cat --json out.tws | tail -n 1 | grep -Fx '{"end": true, "samples": 9, "skipped": 1}'
    done
}

@test "labels as csv, tsv and jsonl; lists ended by NUL bytes" {
    photos
    cd photos/ant
    cp s444.jpg 'a, "b".jpg'
    printf '"a, ""b"".jpg",x\r\ncmyk.jpg,y\r\ns444,x\r\npalette.gif,"z\nz"\r\n' > l.csv
    twist-decode --labels l.csv . > out.tws
    twist-cat --header out.tws | grep -F '"classes": ["x", "y", "z\u000az"]'
    records out.tws > out
    sed -n 1p out | grep -F '"key": "./a, \"b\".jpg", "index": 0, "epoch": 0, "pos": 0, "label": 0'
    sed -n 3p out | grep -F '"key": "./palette.gif", "index": 2, "epoch": 0, "pos": 2, "label": 2'
    sed -n 4p out | grep -F '"key": "./s444.jpg", "index": 3, "epoch": 0, "pos": 3, "label": 0'
    mv 'a, "b".jpg' '12" disc.jpg' # a quote within a field is a quote
    printf '12" disc,x "y"\ncmyk.jpg,y"\ns444,x\npalette.gif,"x" y""\n' > l.csv
    [ "$(twist-decode --labels l.csv . | twist-cat --json | sed -n 's/.*"label": \([0-9]*\).*/\1/p' | xargs)" = "1 3 2 0" ]
    twist-decode --labels l.csv . | twist-cat --header | grep -F '"classes": ["x", "x \"y\"", "x y\"\"", "y\""]'
    rm '12" disc.jpg' palette.gif
    printf 'id,size,label\ncmyk,9,3\ns444,8,1\n' > l.csv
    printf 'file_name\tx\tclass\ncmyk.jpg\t9\t3\ns444.jpg\t8\t1\n' > l.tsv
    printf 'cmyk.jpg\t3\ns444.jpg\t1\n' > plain.tsv
    printf '{"path": "cmyk.jpg", "label": 3}\n\n{"file": "s444.jpg", "other": [1], "class": "1"}\n' > l.jsonl
    for file in l.csv l.tsv plain.tsv l.jsonl; do
        [ "$(twist-decode --labels $file . | samples)" = $'./cmyk.jpg 3\n./s444.jpg 1' ]
    done
    printf 'cmyk.jpg\t3\n' > half.tsv
    run bash -c "twist-decode --labels half.tsv . | twist-cat --json"
    [[ "$output" == *"twist-decode: half.tsv: 1 of 2 pictures have no label, so none has one in the stream; ./s444.jpg is one of them"* ]]
    [[ "$output" != *'"label": 3'* ]]
    printf 'other.jpg,3\n' > bad0.csv
    printf 'cmyk.jpg,\n' > bad1.csv
    printf '"cmyk.jpg,3\n' > bad2.csv
    printf '{"path": "cmyk.jpg", "label": 3.5}\n' > bad3.jsonl
    printf 'cmyk.jpg\n' > bad4.tsv
    printf '[1]\n' > bad5.jsonl
    printf 'cmyk.jpg\ta\ncmyk.jpg\tb\n' > bad6.tsv
    for file in bad?.*; do
        run twist-decode --labels "$file" -o x.tws .
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-decode: $file: "* ]]
    done
    cd ../..
    find photos -name '*.jpg' -print0 | sort -z > list
    [ "$(twist-decode -0 --list list | samples | wc -l)" -eq 4 ]
    printf 'photos/ant/s444.jpg\0' | twist-decode --null --list - | twist-cat --check
    [ "$(twist-decode --every=4 photos | samples)" = "$(twist-decode photos | samples | sed -n '1p;5p;9p')" ]
}

@test "tables that the programs write are files of labels and of names to them, whatever bytes the names have" {
    mkdir -p odd/A odd/$'B\n'
    for name in plain $'t\tab' 'back\tslash' $'none\xff'; do cp "$GOLDEN/s444.jpg" "odd/A/$name.jpg"; done
    for name in $'new\nline' $'return\r' 'back\\'; do cp "$GOLDEN/s444.jpg" odd/$'B\n'/"$name.jpg"; done
    twist-decode -q --no-history odd | twist-cat -q --json --table t.tsv > want
    twist-decode -q --no-history --labels t.tsv odd | twist-cat -q --json | diff want -
    twist-augment -q --aug=eval --size=32 -i <(twist-decode -q --no-history odd) | twist-embed -q --pixels | twist-cluster -q --kmeans=2 --assignments=c.tsv > m.json
    twist-decode -q --no-history --labels c.tsv odd | twist-cat -q --json | diff want -
    { sed 1q t.tsv; grep '^odd/B' t.tsv; } > b.tsv
    [ "$(twist-decode -q --no-history --subset b.tsv odd | samples)" = "$(twist-decode -q --no-history odd | samples | grep '/B')" ]
    cut -f1,3 b.tsv > names.tsv # no labels are needed for names
    [ "$(twist-decode -q --no-history --subset names.tsv odd | samples | wc -l)" -eq "$(grep -c '^odd/B' t.tsv)" ]
    sed '1!s/\t[^\t]*/\t/' b.tsv > unlabelled.tsv
    [ "$(twist-decode -q --no-history --subset unlabelled.tsv odd | samples | wc -l)" -eq "$(grep -c '^odd/B' t.tsv)" ]
    run twist-decode --labels unlabelled.tsv odd -o x.tws
    [ "$status" -eq 1 ] && [[ "$output" == "twist-decode: unlabelled.tsv: line 2: no label after 'odd/B"* ]]
    # a message is one line
    sed -i '/new/d' t.tsv
    run twist-decode --labels t.tsv odd -o x.tws
    [ "$status" -eq 0 ]
    [ "$output" = "twist-decode: t.tsv: 1 of 7 pictures have no label, so none has one in the stream; odd/B\n/new\nline.jpg is one of them" ]
    # lines are names as they are
    printf 'back\\tslash\nreturn\r.jpg\n' > lines
    [ "$(twist-decode -q --no-history --subset lines odd | samples | wc -l)" -eq 2 ]
}

@test "a heading of other words in a label file is no class, and is named; what may be one is named too" {
    photos
    printf 'photo,species\ncmyk.jpg,10\ns444.jpg,2\npalette.gif,2\nno/such.jpg,12\n' > l.csv
    [ "$(twist-decode --labels l.csv photos/ant 2> err | samples)" = $'photos/ant/cmyk.jpg 10\nphotos/ant/palette.gif 2\nphotos/ant/s444.jpg 2' ]
    [ "$(cat err)" = "twist-decode: l.csv: line 1: 'photo' is none of the pictures: read as a heading" ]
    twist-decode -q --labels l.csv photos/ant 2> err | twist-cat --header | grep -F '"11", "12"]'
    [ ! -s err ]
    tar -C photos/ant -cf a.tar --sort=name .
    [ "$(twist-decode --labels l.csv - < a.tar 2> err | samples)" = $'cmyk.jpg 10\npalette.gif 2\ns444.jpg 2' ]
    grep -F "l.csv: line 1: 'photo'" err
    printf '\357\273\277id,size,label\r\ncmyk,9,3\r\ns444,8,1\r\npalette,7,1\r\n' > l.csv # written by a spreadsheet
    [ "$(twist-decode --labels l.csv photos/ant 2> err | samples)" = $'photos/ant/cmyk.jpg 3\nphotos/ant/palette.gif 1\nphotos/ant/s444.jpg 1' ]
    [ ! -s err ]
    printf 'photo,species\ncmyk,x\ns444,y\npalette,y\n' > l.csv # as well a row of another folder's picture
    twist-decode --labels l.csv photos/ant 2> err | twist-cat --header | grep -F '"classes": ["species", "x", "y"]'
    [ "$(cat err)" = "twist-decode: l.csv: line 1: 'photo' is none of the pictures, but 'species' is a class" ]
}

@test "a short name in a label file that several pictures have labels them all, and is named" {
    photos
    cp photos/ant/s444.jpg photos/bee/
    cp photos/ant/s444.jpg photos/cow/
    cp photos/ant/s444.jpg photos/ant/grey.jpg
    find photos -name '*.jpg' | sort > list
    cat list >> list.twice && cat list >> list.twice
    printf 's444.jpg\t1\ngrey.jpg\t2\ns420\t3\ncmyk\t0\n' > labels
    twist-decode --labels labels --list list 2> err | samples | grep -c 's444.jpg 1' | grep -Fx 3
    [ "$(cat err)" = "twist-decode: labels: 's444.jpg' names more than one picture, photos/ant/s444.jpg and photos/bee/s444.jpg among them: all have its label" ]
    sed 's/$/\t5/' list > full # the same picture twice is one picture
    twist-decode --labels full --list list.twice -o x.tws 2> err
    [ ! -s err ]
    # labels of the list, without a file of labels
    { cat full && echo photos/bee/rgb24.bmp; } | twist-decode --list - -o x.tws 2> err
    [[ "$(cat err)" == "twist-decode: 1 of "*" pictures have no label, so none has one in the stream; photos/bee/rgb24.bmp is one of them" ]]
}

@test "--max-errors and --rejects: how many bad pictures are too many, and which they were" {
    photos
    : > photos/ant/empty.jpg
    : > photos/bee/$'tab\tline\n\\.jpg'
    head -c 200 "$GOLDEN/s444.jpg" > photos/cow/cut.jpg
    twist-decode --max-errors=3 --rejects=bad -o a.tws photos 2> err
    [ "$(wc -l < bad)" -eq 3 ]
    sed -n 1p bad | grep -Fx $'photos/ant/empty.jpg\tempty file'
    sed -n 2p bad | grep -Fx $'photos/bee/tab\\tline\\n\\\\.jpg\tempty file'
    grep $'^photos/cow/cut.jpg\tbad JPEG: ' bad
    twist-decode --max-errors=25% -o b.tws photos 2> err
    cmp <(twist-cat --no-history a.tws | tail -c 300) <(twist-cat --no-history b.tws | tail -c 300)
    for most in 2 0 24% 0%; do
        for how in skip substitute; do
            run twist-decode --on-error=$how --max-errors=$most --rejects=bad -o c.tws photos
            [ "$status" -eq 1 ]
            [[ "$output" == *"bad images"*"more than"* || "$output" == *"more than"*"bad images"* ]]
            [ ! -e c.tws ]
            [ -s bad ] # those met so far
        done
    done
    tar_of t.tar # read from first to last: a share is known at the end only
    run twist-decode --max-errors=24% -o c.tws - < t.tar
    [ "$status" -eq 1 ]
    [[ "$output" == *"3 bad images of 12, more than 24 %"* ]]
    run twist-decode --rejects=/dev/full -o c.tws photos
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full: No space left"* ]]
    twist-decode -q --shard=1/2 --rejects=bad photos > c.tws 2> err # its rows would be in wrong places
    run twist-cat --table t.tsv --rejects bad c.tws
    [ "$status" -eq 1 ]
    [[ "$output" == *"c.tws: a share of the data, 1/2: --rejects needs a whole stream"* ]]
    rm c.tws
    for most in x -1 101% % ""; do
        run twist-decode --max-errors="$most" photos
        [ "$status" -eq 2 ]
    done
}

@test "-v and --log say how long was waited for input and for output" {
    photos
    tar_of a.tar
    (sleep 0.6; cat a.tar) | twist-decode -v --log log - 2> err | (sleep 0.7; cat > /dev/null)
    grep -E '^twist-decode: 9 samples in [0-9.]+ s: waited 0\.[1-9][0-9]* s for input, [0-9.]+ s for output$' err
    twist-decode --log log --epochs=600 photos | (sleep 1; cat > /dev/null) # more than the pipe holds
    [ "$(grep -c '^{"program": "twist-decode", "samples": [0-9]*, "seconds": [0-9.]*, "waited_input": [0-9.]*, "waited_output": [0-9.]*}$' log)" -eq 2 ]
    awk -F'[ ,}]+' 'NR == 2 && $(NF - 1) < 0.1 {exit 1}' log
    run twist-decode --log /nowhere/log -o x.tws photos
    [ "$status" -eq 1 ]
    [[ "$output" == *"/nowhere/log"* ]]
    [ ! -e x.tws ] # known before the work
}
