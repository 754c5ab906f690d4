# Goal: twist-knn classifies by DINO's weighted vote, lists neighbours, and refuses what it cannot measure.

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    EVAL=$(cd "$BATS_TEST_DIRNAME/golden/eval" && pwd)
    cd "$BATS_TEST_TMPDIR"
}

number() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" <<< "$output"; }

@test "accuracies are JSON, near what the classes allow, and the same for any -j and any endpoint" {
    run twist-knn --train "$EVAL/train.tws" --val "$EVAL/val.tws" -k 5,20
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == '{"k5": '*', "k5_top5": '*', "k20": '*'"temperature": 0.07, "train": 80, "val": 40}' ]]
    awk -v k="$(number k5)" -v five="$(number k20_top5)" 'BEGIN {exit !(k >= 0.9 && k <= 1 && five == 1)}' # 4 classes, far apart
    first=$output
    [ "$(twist-knn --train "$EVAL/train.tws" --val "$EVAL/val.tws" -k 5,5,20,5)" = "$first" ] # each number once
    for j in 1 3 8; do
        [ "$(twist-knn --train "pipe:cat $EVAL/train.tws" --val - -k 5,20 -j "$j" < "$EVAL/val.tws")" = "$first" ]
    done
}

@test "the golden figures of DINO's evaluation come out of the program" {
    run twist-knn --train "$EVAL/train.tws" --val "$EVAL/val.tws" -k 1,10,50 --temperature 0.07
    [ "$status" -eq 0 ]
    for k in 1 10 50; do
        awk -v got="$(number k$k)" -v want="$(sed -n "s/^$k \(.*\)/\1/p" "$EVAL/knn-stream.txt")" 'BEGIN {exit !(got - want < 1e-6 && want - got < 1e-6)}'
    done
}

@test "--neighbours prints each key and its neighbours' keys, itself first where it is there" {
    run twist-knn --train "$EVAL/train.tws" --val "$EVAL/train.tws" --neighbours 3
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 80 ]
    awk -F '\t' 'NF != 4 || $1 != $2 || $3 == $1 {exit 1}' <<< "$output"
    # most neighbours are of the same class, which the key names
    [ "$(awk -F '[\t/]' '{n += $1 == $5} END {print (n > 70)}' <<< "$output")" -eq 1 ]
    # no labels are wanted
    twist-knn --train "$EVAL/unlabelled.tws" --val "$EVAL/train.tws" --neighbours 10 -j 2 | awk -F '\t' 'NF != 11 {exit 1}'
}

@test "more neighbours than there are records: the defaults are left out, those asked for refused" {
    run twist-knn -q --train "$EVAL/train.tws" --val "$EVAL/val.tws"
    [ "$status" -eq 0 ]
    [[ "$output" == '{"k10": '*'"k20": '* && "$output" != *k100* ]]
    run twist-knn --train "$EVAL/train.tws" --val "$EVAL/val.tws"
    [[ "$output" == *"train.tws has only 80 samples: k = 100 is left out"* ]]
    for args in "-k 81" "--neighbours 81"; do
        run twist-knn --train "$EVAL/train.tws" --val "$EVAL/val.tws" $args
        [ "$status" -eq 1 ]
        [[ "$output" == *"81"*"has"*"80 samples"* ]]
    done
}

@test "bad streams exit 1 with one line that names file and cause" {
    good=$EVAL/train.tws
    for bad in "nan.tws=NaN" "odd.tws=7 features, where the first sample has 8" "cut.tws=end" "unlabelled.tws=no label" \
        "wide.tws=9 features, where $EVAL/train.tws has 8"; do
        file=$EVAL/${bad%%=*}
        run twist-knn --train "$file" --val "$good" -k 1
        echo "$output"
        [ "$status" -eq 1 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == "twist-knn: "*"${bad%%=*}"*"${bad#*=}"* ]]
        [ "${bad%%=*}" = wide.tws ] && continue
        run twist-knn --train "$good" --val "$file" -k 1
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-knn: "*"${bad%%=*}"*"${bad#*=}"* ]]
    done
    run twist-knn --train "$EVAL/../../../formats/views.tws" --val "$good" -k 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"views.tws: a stream of views: want features"* ]]
    run twist-knn --train "pipe:cat $good; exit 3" --val "$good" -k 1
    [ "$status" -eq 1 ]
    run twist-knn --train nowhere.tws --val "$good"
    [ "$status" -eq 1 ]
    [[ "$output" == *"nowhere.tws"* ]]
}

@test "empty streams, full disks and wrong command lines" {
    twist-cat --head 0 "$EVAL/val.tws" -o empty.tws
    run twist-knn --train empty.tws --val "$EVAL/val.tws" -k 1
    [ "$status" -eq 1 ]
    [[ "$output" == *"empty.tws: no samples"* ]]
    run twist-knn --train "$EVAL/val.tws" --val empty.tws -k 1
    [ "$status" -eq 1 ]
    for args in "-k 1" "--neighbours 30"; do
        run bash -c "twist-knn --train '$EVAL/train.tws' --val '$EVAL/val.tws' $args > /dev/full"
        [ "$status" -eq 1 ]
        [[ "$output" == *"standard output"* ]]
    done
    for args in "" "--train a" "--train - --val -" "--train a --val b -k 0" "--train a --val b -k 1,x" "--train a --val b --temperature 0" "a"; do
        run twist-knn $args
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-knn -h'"* ]]
    done
}

@test "--cosines behind the keys fall and begin with 1 for the record itself; --sheet shows the pictures" {
    run twist-knn --train "$EVAL/val.tws" --val "$EVAL/val.tws" --neighbours 4 --cosines
    [ "$status" -eq 0 ]
    awk -F '\t' 'NF != 9 || $1 != $2 || $3 < 0.999999 || $3 < $5 || $5 < $7 || $7 < $9 {exit 1}' <<< "$output"
    [ "$(cut -f 1,2,4,6,8 <<< "$output")" = "$(twist-knn --train "$EVAL/val.tws" --val "$EVAL/val.tws" --neighbours 4)" ]
    key=$(head -n 1 <<< "$output" | cut -f 4)
    mkdir -p "$(dirname "$key")"
    { printf 'P6 40 20 255\n'; head -c 2400 /dev/zero; } > "$key"
    twist-knn --train "$EVAL/val.tws" --val "$EVAL/val.tws" --neighbours 2 --sheet s.png > out 2> err
    grep 'no picture that can be read from here: white in the sheet' err # the records that have no file here
    [ "$(od -An -tu1 -j 16 -N 4 s.png | awk '{print $3 * 256 + $4}')" -ge 124 ] # a picture of 120 pixels, 3 times its 40
    run twist-knn --train "$EVAL/val.tws" --val "$EVAL/val.tws" --cosines
    [ "$status" -eq 2 ]
    run twist-knn --train "$EVAL/val.tws" --val "$EVAL/val.tws" --neighbours 2 --sheet -
    [ "$status" -eq 2 ]
    [[ "${lines[0]}" == "twist-knn: --sheet: '-': give a file"* ]]
    [ ! -e ./- ]
}

# 400 samples of two features, of the classes 0, FACTOR, ... 6 FACTOR
labelled() { # FACTOR
    local i tensor='\x85\xc4\x02nd\xc3\xc4\x04type\xa3<f4\xc4\x04kind\xc4\x00\xc4\x05shape\x91\x02\xc4\x04data\xc4\x08'
    printf '\x82\xa5twist\x01\xa4kind\xa8features'
    for ((i = 0; i < 400; i++)); do
        printf "\x84\xa3key\xa1k\xa5index\xcd$(printf '\\x%02x' $((i / 256)) $((i % 256)))\xa5label\xce$(printf '\\x%02x' \
            $((i % 7 * $1 >> 24)) $((i % 7 * $1 >> 16 & 255)) $((i % 7 * $1 >> 8 & 255)) $((i % 7 * $1 & 255)))"
        printf "\xa8features$tensor$(printf '\\x00\\x%02x\\x80\\x3f\\x%02x\\x00\\x80\\x3f' $((i * 37 % 256)) $((i * 11 % 256)))"
    done
    printf '\x82\xa3end\xc3\xa7samples\xcd\x01\x90'
}

@test "large labels take no more time than small ones, and give the same numbers" {
    for factor in 1 2700000; do
        labelled $factor > val.emb
        twist-cat -q --head=300 val.emb -o train.emb
        timeout 10 twist-knn --train train.emb --val val.emb -k 1,5,50,300 > $factor.json
    done
    cat 1.json
    cmp 1.json 2700000.json
}
