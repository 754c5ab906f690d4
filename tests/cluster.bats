# Goal: twist-cluster measures a class head or k-means against labels, writes what was asked for, and refuses bad input by name.

. "$BATS_TEST_DIRNAME/noise.sh"

setup() {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$BIN:$PATH
    EVAL=$(cd "$BATS_TEST_DIRNAME/golden/eval" && pwd)
    cd "$BATS_TEST_TMPDIR"
}

number() { sed -n "s/.*\"$1\": *\([0-9.e-]*\).*/\1/p" <<< "$output"; }
near() { awk -v a="$1" -v b="$2" 'BEGIN {exit !(a - b < 1e-8 && b - a < 1e-8)}'; }

@test "the metrics of a class head are scikit-learn's and SciPy's, from files, pipes and standard input" {
    run twist-cluster "$EVAL/val.tws"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == '{"nmi": '*', "ami": '*', "ari": '*', "fmi": '*', "acc": '*', "acc5": '*', "purity": '*', "clusters": 4, "samples": 40, "labelled": 40}' ]]
    while read -r name value; do near "$(number "$name")" "$value"; done < "$EVAL/cluster-stream.txt"
    [ "$(wc -l < "$EVAL/cluster-stream.txt")" -eq 7 ]
    [ "$(twist-cluster < "$EVAL/val.tws")" = "$output" ]
    [ "$(twist-cluster -i "pipe:cat $EVAL/val.tws")" = "$output" ]
}

@test "k-means finds the classes, with the same result for any -j" {
    for extra in "" --spherical; do
        run twist-cluster --kmeans 4 -j 1 $extra --assignments a.tsv "$EVAL/train.tws"
        [ "$status" -eq 0 ]
        awk -v n="$(number nmi)" 'BEGIN {exit !(n > 0.75)}' # four clouds, hardly overlapping
        [[ "$output" == *'"clusters": 4, "inertia": '*', "iterations": '* ]]
        first=$output
        for j in 2 7; do
            [ "$(twist-cluster --kmeans 4 -j $j $extra --assignments b.tsv "$EVAL/train.tws")" = "$first" ]
            cmp a.tsv b.tsv
        done
        sed -n 2p a.tsv | grep -E $'^class [0-3]/000.png\t[0-3]\t\tclass [0-3]\tclass [0-3]$'
    done
    twist-cluster --kmeans 4 --progress "$EVAL/train.tws" 2>&1 > out | tr '\r' '\n' | grep -F 'k-means, run 1 of 3, seed 1 of 4'
    # more clusters than classes: some stand for no class
    run twist-cluster --kmeans 9 --restarts 1 --seed 3 "$EVAL/train.tws"
    [ "$(number clusters)" -eq 9 ]
    run twist-cluster -q --kmeans 81 "$EVAL/train.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cluster: --kmeans=81: "*"train.tws has 80 samples" ]]
}

# Twelve records of two features in three clouds, times 4^$1: that is added to the high byte of an f32.
clouds() {
    printf '\x82\xa5twist\x01\xa4kind\xa8features'
    for point in "00 3f 00 bf" "00 40 10 3f" "20 c0 40 3f"; do
        set -- "$1" $point
        for low in 00 01 03 07; do
            printf '\x83\xa3key\xa1k\xa5index\x00\xa8features'
            printf '\x85\xc4\x02nd\xc3\xc4\x04type\xa3<f4\xc4\x04kind\xc4\x00\xc4\x05shape\x91\x02\xc4\x04data\xc4\x08'
            printf %b "\\x00\\x$low\\x$2\\x$(printf %02x $((0x$3 + $1)))\\x00\\x$low\\x$4\\x$(printf %02x $((0x$5 + $1)))"
        done
    done
    printf '\x82\xa3end\xc3\xa7samples\x0c'
}

@test "k-means of the largest and the smallest features is that of the usual ones" {
    clouds 0 | twist-cluster --kmeans 3 --assignments a.tsv > usual
    grep -F '"clusters": 3,' usual
    inertia() { sed 's/.*"inertia": \([^,]*\),.*/\1/'; }
    for power in -48 -32 32 60; do
        clouds $power > in.tws
        run twist-cluster -j 1 --kmeans 3 --assignments b.tsv in.tws
        [ "$status" -eq 0 ]
        cmp a.tsv b.tsv
        awk -v a="$(inertia <<< "$output")" -v b="$(inertia < usual)" -v p=$power 'BEGIN {a = a / b / 16 ^ p; exit !(a > 0.99999 && a < 1.00001)}'
        [ "$(sed 's/"inertia": [^,]*,//' <<< "$output")" = "$(sed 's/"inertia": [^,]*,//' usual)" ]
    done
}

@test "--assignments lists every record; keys keep their tabs apart" {
    twist-cluster "$EVAL/val.tws" --assignments a.tsv
    [ "$(wc -l < a.tsv)" -eq 41 ]
    [ "$(head -n 1 a.tsv)" = $'key\tcluster\tprobability\tlabel\tclass' ]
    awk -F '\t' 'NF != 5 || (NR > 1 && ($3 <= 0.25 || $3 > 1)) {exit 1}' a.tsv
    right=$(awk -F '\t' 'NR > 1 && $4 == $5 {n++} END {print n / 40}' a.tsv)
    run twist-cluster "$EVAL/val.tws"
    near "$(number acc)" "$right"
}

@test "--match is written where it is not there, and used where it is, on labelled and unlabelled data" {
    run twist-cluster "$EVAL/val.tws" --match m.json
    [ "$status" -eq 0 ]
    [ "$(cat m.json)" = '{"clusters":4,"classes":["class 0","class 1","class 2","class 3"],"n_classes":4,"match":[2,3,0,1]}' ]
    first=$output
    [ "$(twist-cluster "$EVAL/val.tws" --match m.json)" = "$first" ]
    twist-cluster "$EVAL/unlabelled.tws" --match m.json --assignments a.tsv
    awk -F '\t' 'NR > 1 && ($4 != "" || $5 !~ /^class [0-3]$/) {exit 1}' a.tsv
    # a match that somebody wrote by hand counts, not the best one
    sed 's/\[2,3,0,1\]/[0,null,0,0]/' m.json > hand.json
    cp hand.json same.json
    run twist-cluster "$EVAL/val.tws" --match hand.json
    awk -v a="$(number acc)" 'BEGIN {exit !(a < 0.5)}'
    near "$(number nmi)" "$(sed 's/.*"nmi": \([0-9.]*\).*/\1/' <<< "$first")"
    cmp hand.json same.json
    echo '{}' > bad.json
    { cat hand.json; echo '}'; } > worse.json
    run twist-cluster "$EVAL/val.tws" --match bad.json
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cluster: bad.json: not a match of clusters and classes" ]]
    run twist-cluster "$EVAL/val.tws" --match worse.json
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cluster: worse.json: neither a match in JSON nor a classifier that names its classes" ]]
    # a classifier's outputs are the classes that it names; the file stays as it is
    twist-linear -q --train "$EVAL/train.tws" --val "$EVAL/val.tws" --epochs=1 -o classifier.safetensors
    cp classifier.safetensors before
    run twist-cluster "$EVAL/val.tws" --match classifier.safetensors --assignments a.tsv
    [ "$status" -eq 0 ]
    cmp classifier.safetensors before
    awk -F '\t' 'NR > 1 && $5 != "class " $2 {exit 1}' a.tsv
    cp "$EVAL/../checkpoint/backbone.safetensors" nameless.safetensors
    run twist-cluster "$EVAL/val.tws" --match nameless.safetensors
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cluster: nameless.safetensors: neither a match in JSON nor a classifier that names its classes" ]]
}

@test "without labels the metrics are null, and a match cannot be found" {
    run twist-cluster "$EVAL/unlabelled.tws" --report r --assignments a.tsv
    [ "$status" -eq 0 ]
    [[ "$output" == '{"nmi": null, "ami": null, "ari": null, "fmi": null, "acc": null, "acc5": null, "purity": null, "clusters": '*', "samples": 10, "labelled": 0}' ]]
    awk -F '\t' 'NR > 1 && ($4 != "" || $5 != "") {exit 1}' a.tsv
    [ "$(grep -c Confusion r/report.html)" -eq 0 ]
    run twist-cluster "$EVAL/unlabelled.tws" --match m.json
    [ "$status" -eq 1 ]
    [[ "$output" == *"m.json: no such file, and "*"unlabelled.tws has no labels"* ]]
    [ ! -e m.json ]
}

@test "--report is a page of its own with metrics, confusion matrix and pictures found from where it lies" {
    mkdir -p "class 2" "class 1" there/deep
    printf x > "class 2/000.png"
    printf x > "class 1/001.png"
    run twist-cluster "$EVAL/val.tws" --report there/deep/report
    [ "$status" -eq 0 ]
    page=there/deep/report/report.html
    grep -qF "<th>NMI</th><td>$(printf %.4f "$(number nmi)")</td>" $page
    [ "$(grep -c '<figure>' $page)" -eq 40 ]
    [ "$(grep -o '<img' $page | wc -l)" -eq 2 ]
    grep -qF 'src="../../../class%202/000.png"' $page
    # the cells of the confusion matrix add up to the samples
    [ "$(grep -o 'text-anchor="middle">[0-9]*' $page | awk -F '>' '{n += $2} END {print n}')" -eq 40 ]
    [ "$(grep -cE '(src|href)="?https?:|<script' $page)" -eq 0 ]
    [ "$(grep -o '<svg' $page | wc -l)" -eq "$(grep -o '</svg>' $page | wc -l)" ]
    twist-cluster "$EVAL/val.tws" --kmeans 5 --report . > out
    grep -qF 'src="class%201/001.png"' report.html
    for tag in table tr th td figure figcaption div svg g h1 h2 p style code text; do # every element is closed
        [ "$(grep -oE "<$tag[ >]" $page | wc -l)" -eq "$(grep -o "</$tag>" $page | wc -l)" ] || { echo "$tag"; return 1; }
    done
}

@test "names of classes and keys cannot break the page or the table" {
    twist-cluster "$EVAL/names.tws" --assignments a.tsv --report r
    [ "$(wc -l < a.tsv)" -eq 2 ]
    [ "$(sed -n 2p a.tsv)" = $'a\\t<i>\\n\\\\b"\t1\t0.731059\t<b>"&\\t</b>\t<b>"&\\t</b>' ]
    [ "$(grep -c '<i>\|<b>' r/report.html)" -eq 0 ]
}

@test "bad streams exit 1 with one line that names file and cause, and leave no file" {
    for bad in "cut.tws=without its end record" "odd-logits.tws=3 logits, where the first sample has 4" "nan-logits.tws=logits: value 1 is NaN"; do
        run twist-cluster "$EVAL/${bad%%=*}" --assignments a.tsv --match m.json --report r
        echo "$output"
        [ "$status" -eq 1 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == "twist-cluster: "*"${bad%%=*}"*"${bad#*=}"* ]]
        [ ! -e a.tsv ]
        [ ! -e m.json ]
        [ ! -e r/report.html ]
    done
    for bad in "nan.tws=NaN" "odd.tws=7 features, where the first sample has 8"; do
        run twist-cluster --kmeans 2 "$EVAL/${bad%%=*}"
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-cluster: "*"${bad%%=*}"*"${bad#*=}"* ]]
    done
    twist-cat --head 0 "$EVAL/val.tws" -o empty.tws
    for args in "" "--kmeans 2"; do
        run twist-cluster empty.tws $args
        [ "$status" -eq 1 ]
        [[ "$output" == *"empty.tws: no samples"* ]]
    done
    run twist-cluster "$EVAL/features-only.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"neither probs nor logits"*"--kmeans"* ]]
    run twist-cluster "$EVAL/../../../formats/views.tws"
    [ "$status" -eq 1 ]
    [[ "$output" == *"want features"* ]]
}

@test "full disks, missing folders and wrong command lines" {
    run bash -c "twist-cluster '$EVAL/val.tws' > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"standard output"* ]]
    run twist-cluster "$EVAL/val.tws" --assignments /dev/full
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full"* ]]
    for option in --assignments --match --report; do
        run twist-cluster "$EVAL/val.tws" $option /dev/null/x
        [ "$status" -eq 1 ]
        [[ "$output" == *"/dev/null"* ]]
    done
    for args in "a b" "-i a b" "--kmeans 0" "--spherical a" "--restarts 2 a" "--seed 1 a" "--kmeans x a" "--assignments - a" "--match - a"; do
        run twist-cluster $args
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-cluster -h'"* ]]
    done
    run twist-cluster --kmeans 4 --match m.json "$EVAL/train.tws"
    [ "$status" -eq 2 ]
    [[ "${lines[0]}" == "twist-cluster: --match and --kmeans exclude each other: k-means numbers its clusters differently"* ]]
    [ ! -e m.json ]
}

# png FILE: its width and height
png() { od -An -tu1 -j 16 -N 8 "$1" | awk '{print $3 * 256 + $4, $7 * 256 + $8}'; }

@test "--report draws the confusion matrix, and a sheet for each cluster with pictures" {
    mkdir -p "class 2" "class 1"
    { printf 'P6 40 40 255\n'; head -c 4800 /dev/zero; } > "class 2/000.png" # by content, not by name
    { printf 'P6 40 20 255\n'; head -c 2400 /dev/zero; } > "class 1/001.png"
    twist-cluster "$EVAL/val.tws" --report r --assignments a.tsv > out
    [ "$(png r/confusion.png)" = "640 512" ] # 5 columns of 4 classes and none, 4 rows
    n=$(grep -P '^class (2/000|1/001).png\t' a.tsv | cut -f 2 | sort -u)
    [ "$(ls r/cluster-*.png | wc -l)" -eq "$(wc -w <<< "$n")" ]
    for k in $n; do
        [ -s "r/cluster-$k.png" ]
        grep -qF "<a href=\"cluster-$k.png\">$k</a>" r/report.html
    done
    twist-cluster "$EVAL/unlabelled.tws" --report u > out
    [ ! -e u/confusion.png ]
}

@test "classes whose names are not UTF-8: files that Python reads, and the names' own bytes again" {
    local odd=$'caf\xe9' net="--random-init=resnet18 --small-stem"
    mkdir -p "photos/$odd" photos/thé
    for i in 1 2 3; do noisy 16 $i > "photos/$odd/$i.ppm"; noisy 16 $((100 + i)) > photos/thé/$i.ppm; done
    twist-decode -q photos | twist-augment -q --aug=eval --resize=16 --size=16 -o views.tws
    twist-embed -q $net -i views.tws -o f.emb
    twist-linear -q --train f.emb --val f.emb --epochs=1 -o c.safetensors
    twist-embed -q $net --head=c.safetensors --output=logits -i views.tws -o l.emb
    twist-cluster -q l.emb --match m.json
    grep -qF '["caf\udce9","thé"]' m.json
    for match in c.safetensors m.json; do # its names are the data's, to the byte
        twist-cluster -q l.emb --match $match --top 1 > top
        [ "$(wc -l < top)" -eq 6 ]
    done
    twist-cat --json l.emb | LC_ALL=C grep -qF '"classes": ["caf\udce9", "thé"]'
    if python3 -c '' 2> /dev/null; then python3 -c 'import json, os; assert os.fsencode(json.load(open("m.json"))["classes"][0]) == b"caf\xe9"'; fi
    if python3 -c 'import safetensors, numpy' 2> /dev/null; then
        python3 -c 'import json, os, safetensors
with safetensors.safe_open("c.safetensors", "np") as f: assert os.fsencode(json.loads(f.metadata()["classes"])[0]) == b"caf\xe9"'
    fi
    sed 's/caf\\udce9/'"$odd"'/' m.json > older.json # as it was once written
    LC_ALL=C grep -qF "$odd" older.json
    twist-cluster -q l.emb --match older.json --top 1 | cmp - top
}

@test "--top names what a record is taken for, through the match found on other data" {
    twist-cluster "$EVAL/val.tws" --match m.json --assignments a.tsv > out
    twist-cluster "$EVAL/val.tws" --match m.json --top 3 > top
    [ "$(wc -l < top)" -eq 40 ]
    awk -F '\t' 'NF != 7 || $3 < $5 || $5 < $7 {exit 1}' top
    diff <(cut -f 1-3 top) <(sed 1d a.tsv | awk -F '\t' '{print $1 "\t" $5 "\t" $3}')
    run twist-cluster "$EVAL/unlabelled.tws" --match m.json --top 1
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == *$'\tclass '[0-3]$'\t0.'* ]]
    run twist-cluster "$EVAL/unlabelled.tws" --top 1 # nothing to name them by
    [[ "${lines[0]}" == *$'\tcluster '[0-3]$'\t0.'* ]]
    run twist-cluster "$EVAL/val.tws" --top 6
    [ "$status" -eq 2 ]
}
