# Goal: the pipelines are what a user types: dry runs print the commands, options go where they belong, a failing stage stops all and is
# named, a run typed again goes on; the demo runs from pictures to its report and shows that the network has learned.

setup() {
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../bin}" && pwd)
    TREE=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
    PIPELINES=$TREE/pipelines
    export TWIST_BIN=$BIN
    PATH=$BIN:$PATH
    cd "$BATS_TEST_TMPDIR"
}

# number KEY < JSON
number() { grep -oE "\"$1\": *-?[0-9.e+-]+" | head -n 1 | sed 's/.*: *//'; }
# figure PART KEY FILE: results.json's "PART": {..., "KEY": number}
figure() { tr -d ' \n' < "$3" | sed "s/.*\"$1\":{//" | number "$2"; }

@test "pretrain --dry-run prints the three commands, the seed's own options handed to the programs they belong to" {
    run "$PIPELINES/pretrain" --data-path photos --output_dir out --aug barlow --batch-size 256 --dim 32768 --epochs 800 --dry-run
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "twist-decode "*"--epochs=800"*"--on-error=substitute"*" photos |" ]]
    [[ "${lines[1]}" == "twist-augment "*"--aug=barlow"*"|" ]]
    [[ "${lines[2]}" == "twist-train -o out"*"--epochs=800"*"--batch-size=256"*"--dim=32768"* ]]
    [[ "$output" != *"barlow"*"twist-train"*"barlow"* ]]
    run "$PIPELINES/pretrain" --data-path photos --output_dir out --backbone 'resnet50w2' --batch-size 60 --bunch-size 240 --epochs 250 \
        --mme_epochs 200 --lam1 -0.6 --local_crops_number 6 --seed 3 --num_workers 4 --small-stem --shrink-to=300 --on-error=fail --dry-run
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "twist-decode "*"-j4 "*"--seed=3"*"--shrink-to=300 --on-error=fail photos |" ]]
    [[ "${lines[1]}" == "twist-augment "*"-j4 "*"--aug=multicrop --seed=3 --mme-epochs=200 --local-crops-number=6 |" ]]
    [[ "${lines[2]}" == "twist-train "*"--seed=3 --backbone=resnet50w2 --batch-size=60 --bunch-size=240 --mme-epochs=200 --lam1=-0.6 --small-stem"* ]]
    [[ "${lines[2]}" != *local-crops* ]]
    [ ! -e out ]
    # self-labeling on two views is said; where all epochs are of that kind, crops do not harden
    run "$PIPELINES/pretrain" --data-path photos --output_dir out --aug barlow --epochs 20 --mme_epochs 10 --dry-run
    [[ "${lines[0]}" == "pretrain: from epoch 10 on two views of barlow label each other"* ]]
    run "$PIPELINES/pretrain" --data-path photos --output_dir out --crops_interact_style self_label --epochs 820 --dry-run
    [[ "${lines[1]}" == *"--aug=multicrop --seed=0 --mme-epochs=820 |" ]]
}

@test "what --dry-run prints can be typed, also with names that the shell or the trainer would read otherwise" {
    mkdir -p "it's 50%e"
    run "$PIPELINES/pretrain" --data-path "it's 50%e" --output_dir 'o u t' --dry-run
    [ "$status" -eq 0 ]
    eval "printf '%s\n' $(sed 's/ *|$//' <<< "${lines[0]}")" > words
    [ "$(tail -n 1 words)" = "it's 50%e" ]
    eval "printf '%s\n' $(sed 's/^twist-train//' <<< "${lines[2]}")" > words
    grep -qx 'o u t' words
    # and the run itself looks into that folder
    run "$PIPELINES/pretrain" --data-path "it's 50%e" --output_dir 'o u t' --epochs=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"it's 50%e"* ]]
}

@test "farm: a percent sign in a name is one, %r is the rank where the ranks have files and sockets of their own" {
    run "$PIPELINES/farm" --data-path 'x%y' --output_dir 'o%s' --list 'l%e' --rejects 'r.%r' --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == *"--work=ipc://$PWD/o%%s/farm/feed.%r "*" --list=l%%e --rejects=r.%r "*" x%%y "* ]]
    run "$PIPELINES/pretrain" --data-path photos --output_dir out --verbose --epochs 2 --dry-run
    [ "$status" -eq 0 ]
    [[ "${lines[2]}" == "twist-train -o out --resume --epochs=2 --seed=0 --verbose"* ]]
    [[ "$output" != *"--root="* ]]
    mkdir far && ln -s / near
    run "$PIPELINES/farm" --data-path far/../near/tmp --output_dir o --dry-run
    [[ "$output" == *" --root=/ "*" $PWD/far/../near/tmp "* ]]
    run "$PIPELINES/farm" --data-path x --output_dir o --work 'tcp://127.0.0.1:555%r' --dry-run
    [[ "$output" == *"--work=tcp://127.0.0.1:555%r "* ]]
}

@test "the pipelines refuse missing values and unknown words by name, exit 2, and answer --help" {
    for p in pretrain linear semi embed cluster demo report curves; do
        run "$PIPELINES/$p" --help
        [ "$status" -eq 0 ]
        [[ "$output" == "usage: $p "* ]]
        run "$PIPELINES/$p" --version
        [ "$status" -eq 0 ]
        [[ "$output" == "$p (TWIST in C) "* ]]
    done
    "$PIPELINES/slurm/farm" --help | grep -q '^  sbatch --export=ALL,DATA='
    run "$PIPELINES/pretrain" --dry-run --ranks=2 --data-path x --output_dir y --batch_size=8
    [[ "$output" == "mpirun --bind-to none -n 2 twist-train -i 'pipe:twist-decode "*"--start-epoch=%e --skip=%s --shard=%r/%n/8 x | twist-augment "*" -o y --resume "* ]]
    run "$PIPELINES/pretrain" --output_dir out
    [ "$status" -eq 2 ]
    [[ "$output" == *"--data-path"* ]]
    run "$PIPELINES/pretrain" --data-path
    [ "$status" -eq 2 ]
    [[ "$output" == *"--data-path wants a value"* ]]
    run "$PIPELINES/pretrain" --dry-run=yes --data-path x --output_dir y
    [ "$status" -eq 2 ]
    run "$PIPELINES/demo" --no-such 1
    [ "$status" -eq 2 ]
    [[ "$output" == *"--no-such"* ]]
    run "$PIPELINES/demo" --count many
    [ "$status" -eq 2 ]
    [[ "$output" == *"--count: 'many'"* ]]
    run "$PIPELINES/linear" only-one
    [ "$status" -eq 2 ]
    for p in pretrain farm linear semi embed cluster; do
        run "$PIPELINES/$p" -j
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "$p: -j wants a value" ]]
        run "$PIPELINES/$p" -z 3
        [ "$status" -eq 2 ]
        [[ "${lines[0]}" == "$p: unknown option -z" ]]
    done
    run "$PIPELINES/pretrain" --dry-run --data-path x --output_dir y -j 3
    [[ "$output" == *" -j3 "* ]]
    [ -z "$(ls -A | grep -v tree)" ]
}

@test "pretrain names the stage that failed, exits 1 and leaves nothing running" {
    run "$PIPELINES/pretrain" --data-path nowhere --output_dir out --epochs=1
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-decode: nowhere: "* ]]
    [[ "$output" == *"pretrain: twist-decode failed (exit 1)"* ]]
    twist-synth -q -o p --count=64 --val-count=0 --size=16
    run "$PIPELINES/pretrain" --data-path p --output_dir out --epochs=1 --size=0
    [ "$status" -eq 1 ]
    [[ "$output" == *"pretrain: twist-augment failed (exit 2)"* ]]
    run "$PIPELINES/pretrain" --data-path p --output_dir out --epochs=1 --backbone=no-such
    [ "$status" -ne 0 ]
    [[ "$output" == *"twist-train: "*"no-such"* ]]
    ! pgrep -f "$PWD/p" || false
}

@test "linear, cluster and demo refuse a checkpoint or a folder that is not there, by name" {
    mkdir -p d/train d/val
    for p in linear cluster; do
        run "$PIPELINES/$p" d nothing.safetensors
        [ "$status" -eq 1 ]
        [[ "$output" == "$p: nothing.safetensors: "* ]]
        run "$PIPELINES/$p" nowhere nothing.safetensors
        [ "$status" -eq 1 ]
        [[ "$output" == "$p: nowhere: "* ]]
    done
    run "$PIPELINES/demo" --out o nowhere
    [ "$status" -eq 1 ]
    [[ "$output" == *"demo: nowhere: no such folder"* ]]
    run "$PIPELINES/demo" --out o d
    [ "$status" -eq 1 ]
    [[ "$output" == *"d/"* ]]
}

@test "demo touches no folder but its own, and nothing in it that it has not made" {
    mkdir -p own mine/pictures d/a
    touch own/a.png own/b.jpg mine/scan.png mine/notes.txt mine/table.tsv mine/pictures/holiday.jpg d/a/x.jpg
    run "$PIPELINES/demo" --out own own
    [ "$status" -eq 1 ]
    [[ "$output" == *"own: is the folder of the pictures"* ]]
    run "$PIPELINES/demo" --out mine --steps 1 --count 64 --val-count 8 --size 16
    [ "$status" -eq 1 ]
    [[ "$output" == *"mine: exists and was not made by the demo"* ]]
    run "$PIPELINES/demo" --out mine d
    [ "$status" -eq 1 ]
    [ "$(find own mine -type f | wc -l)" = 6 ]
    run "$PIPELINES/demo" --out new d # begins, and finds too few pictures
    [ "$status" -eq 1 ]
    echo kept > new/notes.txt
    run "$PIPELINES/demo" --out new nowhere
    [ "$status" -eq 1 ]
    run "$PIPELINES/demo" --out new d
    [[ "$output" == *"d: 1 pictures, where at least 64 are needed"* ]]
    [ "$(cat new/notes.txt)" = kept ]
}

@test "pipelines through a symbolic link; -o; recipes that say nothing; programs that are not there" {
    mkdir links
    for p in pretrain farm embed report; do ln -s "$PIPELINES/$p" links/$p; done
    run links/pretrain --data-path x -o out --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == *"twist-train -o out --resume"* ]]
    run links/farm --data-path x -o 'f a/%r' --dry-run
    [ "$status" -eq 0 ]
    echo '# nothing' > empty
    echo '--recipe empty' > again
    for r in empty again; do
        run timeout 20 links/pretrain --recipe $r --data-path x -o out --dry-run
        [ "$status" -eq 2 ]
        [[ "$output" == *"--recipe: $r: "* ]]
    done
    run env MPIRUN=nosuch links/pretrain --ranks 2 --data-path x -o out
    [ "$status" -eq 1 ]
    [[ "$output" == *"nosuch: not found; it starts the ranks"* ]]
    cp -R "$PIPELINES" alone
    run env -u TWIST_BIN PATH=/usr/bin:/bin alone/pretrain --data-path x -o out
    [ "$status" -eq 1 ]
    [[ "$output" == *"twist-decode is neither beside the pipelines nor on PATH"* ]]
}

# pictures N: the folder d of N labelled pictures, and the checkpoint c of a network that has learned nothing
pictures() {
    twist-synth -q -o s --count="$1" --val-count=0 --classes=2 --size=32
    mv s/train d
    twist-decode -q d --limit=8 | twist-augment -q --aug=barlow --size=32 |
        twist-train -q -o r --backbone=resnet18 --hid-dim=8 --dim=8 --batch-size=8 --epochs=1 --epoch-samples=8 --max-steps=1
}

@test "embed: names with blanks, percent and equals signs; a bad picture among them; a report of such a folder" {
    pictures 8
    head -c 200 "$(find d -name '*.jpg' | head -n 1)" > d/"$(ls d | head -n 1)"/bad.jpg
    mkdir 'sp ace'
    for name in 'my photos' 'a%b' 'lr=0.3' 'sp ace/x' -dash; do
        timeout 60 "$PIPELINES/embed" d --size 32 -q --weights r/checkpoint.safetensors -o "$name" < /dev/null
        [ -s "./$name.npy" ]
        cmp "./$name.npy" 'my photos.npy'
        cmp "./$name.tsv" 'my photos.tsv'
    done
    run "$PIPELINES/embed" d --size 32 -q --weights r/checkpoint.safetensors -o 'sp ace/'
    [ "$status" -eq 2 ]
    run "$PIPELINES/embed" --list - --size 32 -q --weights r/checkpoint.safetensors -o x
    [ "$status" -eq 2 ]
    [ -z "$(find . -name '.npy')" ]
    grep -q 'bad.jpg' 'my photos.tsv'
    mkdir -p 'x=1/run'
    cp r/log.jsonl 'x=1/run'
    find d -name '*0*.jpg' | head -n 3 | paste -s > 'x=1/neighbours.tsv'
    timeout 60 "$PIPELINES/report" 'x=1' < /dev/null
    grep -q 'class="query"' 'x=1/report.html'
}

@test "a signal to a pipeline's shell alone ends what it has started" {
    pictures 64
    mkfifo never
    "$PIPELINES/embed" d --list never --size 32 -q --weights r/checkpoint.safetensors -o e < /dev/null 3>&- &
    local shell=$! p
    until p=$(pgrep -P $shell twist-embed); do sleep 0.05; done
    kill -TERM $shell
    run wait $shell
    for _ in 1 2 3 4 5 6 7 8 9 10; do grep -qs '^State:.*[RSDT] ' "/proc/$p/status" || break; sleep 0.1; done
    ! grep -qs '^State:.*[RSDT] ' "/proc/$p/status"
}

@test "the options in every program's help are on its man page, and the other way round" {
    checked=0
    for page in "$TREE"/man/twist-*.1; do
        name=$(basename "$page" .1)
        [ -e "$TREE/src/$name.c" ] || continue
        checked=$((checked + 1))
        "$BIN/$name" -h | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u > in-help
        mandoc -T ascii -O width=200 "$page" | sed 's/.\x08//g' > page
        grep -oE -- '--[a-z][a-z0-9-]+' page | sort -u > in-page
        sed -n '/^OPTIONS/,/^[A-Z]* [A-Z]*$/p' page | grep -E '^     -' | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u > in-options
        [ -s in-options ] || { echo "$name: no options on its page"; return 1; }
        missing=$(comm -23 in-help in-page)
        [ -z "$missing" ] || { echo "$name: in its help, not on its page: $missing"; return 1; }
        missing=$(comm -13 in-help in-options)
        [ -z "$missing" ] || { echo "$name: on its page, not in its help: $missing"; return 1; }
    done
    [ $checked -gt 0 ]
}

@test "every program has a man page and a line in twist(7), answers -h and -V with 0 and an unknown option with 2" {
    for program in "$TREE"/src/twist-*.c; do
        name=$(basename "$program" .c)
        [ -e "$TREE/man/$name.1" ] || { echo "no page: $name"; return 1; }
        grep -q "^.It Xr $name 1" "$TREE/man/twist.7" || { echo "not in twist(7): $name"; return 1; }
        run "$BIN/$name" -h
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -le 26 ]
        run "$BIN/$name" -V
        [ "$status" -eq 0 ]
        run "$BIN/$name" --no-such-option
        [ "$status" -eq 2 ]
        [[ "$output" == *"no-such-option"* ]]
    done
}

@test "demo on a plain folder: no labels, so no accuracies, and it says so; the page has pictures and curves" {
    twist-synth -q -o p --count=70 --val-count=0 --size=24
    mkdir 'my pictures'
    i=0
    for f in p/train/*/*.jpg; do mv "$f" "my pictures/$((i++)).jpg"; done
    run "$PIPELINES/demo" --out out --steps 2 --size 16 'my pictures'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"no class folders, so what needs labels is left out"* ]]
    [[ "$output" == *"every fifth picture"* ]]
    [[ "$output" != *accuracy* ]]
    tr -d ' \n' < out/results.json | grep -F '{"knn":{"trained":null,"untrained":null,"pixels":null},"linear":{"trained":null,"untrained":null,"pixels":null},"nmi":null,"acc":null,"seconds":'
    grep -q 'accuracies and the agreement with classes are left out' out/report.html
    grep -q '<polyline' out/report.html
    [ "$(grep -o '<img' out/report.html | wc -l)" -gt 12 ]
    ! grep -oE '(src|href)="[^"#]*"' out/report.html | grep -v 'src="data:' || false # nothing outside the page
    ls p/train 'my pictures' | grep -q 69.jpg # his pictures are still there
}
