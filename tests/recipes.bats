# Goal: the seed's command lines and the recipes made of them are commands here: dry runs print what each program gets, small runs of
# each train, stop and go on; official options that have no place are refused with the reason; curves draws a run's log.

setup_file() {
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../bin}" && pwd)
    cd "$BATS_FILE_TMPDIR"
    "$BIN/twist-synth" -q -o photos --count=16 --val-count=0 --size=40
}

setup() {
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../bin}" && pwd)
    PATH=$BIN:$PATH
    PIPELINES=$BATS_TEST_DIRNAME/../pipelines
    export TWIST_BIN=$BIN
    PHOTOS=$BATS_FILE_TMPDIR/photos
    # what makes any recipe small
    TINY="--dim 8 --hid_dim 16 --batch-size 4 --size 32 --epochs 2 -q --num_workers 1 --threads 1"
    CROPS="--local_crops_number 2 --local-size 16"
    cd "$BATS_TEST_TMPDIR"
}

dry() { "$PIPELINES/pretrain" --data-path photos --output_dir out --dry-run "$@"; }

# The words of the last line of a dry run, one a line, sorted.
words() { tail -n 1 | tr ' ' '\n' | sort; }

# trains NAME OPTION...: a run of the recipe made small: two steps, then the rest of 8, each loss a number, teacher or not.
trains() {
    local name=$1
    shift
    "$PIPELINES/pretrain" --recipe "$name" --data-path "$PHOTOS" --output_dir run $TINY "$@" --max-steps 2 &&
        "$PIPELINES/pretrain" --recipe "$name" --data-path "$PHOTOS" --output_dir run $TINY "$@" &&
        [ "$(grep -c '"step":[0-9]*,"epoch":[01],"loss":-\{0,1\}[0-9]' run/log.jsonl)" -eq 8 ]
}

@test "each command line of the seed gives the same commands as its recipe" {
    dry --aug barlow --batch-size 256 --dim 32768 --epochs 800 | sort > typed
    dry --recipe resnet50-barlow | sort | diff typed -
    dry | words > typed # all defaults, which the recipe spells out
    dry --recipe resnet50 | words > recipe
    [ -z "$(comm -23 typed recipe)" ]
    "$BIN/twist-train" -h | grep -q -- '--dim N (4096)'
    dry --backbone 'resnet50w2' --batch-size 60 --bunch-size 240 --epochs 250 --mme_epochs 200 | diff - <(dry --recipe resnet50w2)
    for model in s:128:0.0005 b:64:0.00075; do
        IFS=: read -r size batch lr <<< "$model"
        dry --backbone vit_$size --batch-size $batch --bunch-size 256 --clip_norm 3.0 --epochs 300 --mme_epochs 300 --lam1 -0.6 --lam2 1.0 \
            --local_crops_number 6 --lr $lr --momentum_start 0.996 --momentum_end 1.0 --optim admw --use_momentum_encoder 1 \
            --weight_decay 0.06 --weight_decay_end 0.06 | diff - <(dry --recipe vit_$size)
    done
}

@test "later recipes differ from the seed's where their authors say so; options after --recipe win" {
    dry --recipe vit_s | words > old && dry --recipe vit_s-2022 | words > new
    [ "$(comm -13 old new | tr '\n' ' ')" = "--act=gelu --batch-size=64 --lr=0.0003 --weight-decay-end=0.12 " ]
    dry --recipe vit_b | words > old && dry --recipe vit_b-2022 | words > new
    [ "$(comm -13 old new | tr '\n' ' ')" = "--act=gelu --batch-size=32 --drop-path=0.1 " ]
    dry --recipe vit_b-2022 | grep -q -- '^twist-augment .*--local-crops-number=10'
    [[ "$(dry --recipe vit_s --lr 7 | tail -n 1)" == *"--lr=0.0005"*"--lr=7"* ]]
    printf '# mine\n--dim 5 # few\n\n--act gelu\n' > mine
    [[ "$(dry --recipe ./mine | tail -n 1)" == *"--dim=5 --act=gelu"* ]]
    dry --recipe resnet50-1000 | words | grep -qx -- --dim=1000
    dry --recipe resnet18-cifar10 | words | grep -qx -- --small-stem
    run dry --recipe none
    [ "$status" -eq 2 ]
    [[ "$output" == *"--recipe: none: no such recipe; there are: resnet18-cifar10 resnet50 "* ]]
}

@test "official options: taken where they hold anyway, refused with the reason where not" {
    dry --amp 0 --img_size 64 --determine 1 --pin-mem --enable_watch 1 --EPS 0.00001 --sched cosine --resume '' --start_epoch 0 > out
    grep -q -- 'twist-augment .*--size=64' out
    grep -q -- 'twist-train .*--precision=fp32' out
    ! grep -qE -- 'determine|pin|watch|EPS|sched|start' out || false
    for refused in '--EPS=1e-4' '--freeze_embedding=1' '--use-lmdb' '--eval_only=1' '--world_size=8' '--resume=other.pth' '--sched=step'; do
        run dry $refused
        [ "$status" -eq 2 ]
        name=$(tr _ - <<< "${refused%%=*}")
        [[ "$output" == "pretrain: $name"*": "* ]]
        [ ! -e out/checkpoint.safetensors ]
    done
}

@test "farm takes the recipes and the official words of pretrain: the same views, the same training" {
    for recipe in resnet50 resnet50w2 resnet50-barlow vit_b; do
        for extra in "--amp 0 --optim lars_oss --sched cosine" "--crops_interact_style self_label --epochs 900"; do
            dry --recipe $recipe $extra | grep '^twist-[at]' | sed 's/ |\{0,1\}$//' > pretrain
            farm=$("$PIPELINES/farm" --recipe $recipe --data-path photos --output_dir out $extra --dry-run | tr -d "'\\\\")
            echo "${farm%% -i pipe:*}" > farm
            grep -o 'twist-augment .*' <<< "$farm" | sed 's/ -j1//; s/ *$//' >> farm
            sort pretrain | diff - <(sort farm)
            grep -q -- "--shard=%r/%n/$(grep -o 'batch-size=[0-9]*' pretrain | tail -n 1 | tr -cd 0-9) " <<< "$farm"
        done
    done
    grep -q -- --mme-epochs=900 farm
    run "$PIPELINES/farm" --data-path photos --output_dir out --world_size 8 --dry-run
    [ "$status" -eq 2 ]
    [[ "$output" == "farm: --world-size: not supported: mpirun or srun"* ]]
}

@test "resnet50-barlow and resnet50, made small, train and go on" {
    trains resnet50-barlow
    rm -r run
    trains resnet50 $CROPS --mme_epochs 1
    [ -s run/mme_ckpt.safetensors ]
}

@test "resnet50w2's recipe, on a ResNet-18, trains into self-labeling and goes on" {
    trains resnet50w2 $CROPS --backbone resnet18 --mme_epochs 1
    [ "$(grep -c '"threshold":' run/log.jsonl)" -eq 4 ]
}

@test "the recipes of vision transformers, on a ViT-T, train with a teacher and go on" {
    for recipe in vit_s vit_b vit_s-2022 vit_b-2022; do
        trains $recipe $CROPS --backbone vit_t
        twist-ckpt --part=teacher --to=teacher.safetensors run/checkpoint.safetensors
        twist-ckpt teacher.safetensors | grep -q 'backbone.blocks.11.mlp.fc2.weight'
        rm -r run
    done
}

@test "curves draws the log of a run as one picture" {
    trains resnet50w2 $CROPS --backbone resnet18
    "$PIPELINES/curves" run > curves.svg
    [ "$(grep -c '<polyline' curves.svg)" -ge 9 ]
    [ "$(grep -c '<svg' curves.svg)" -eq "$(grep -c '</svg>' curves.svg)" ]
    "$PIPELINES/curves" run/log.jsonl | cmp - curves.svg
    # the points of the first curve are the losses: the least at the foot (156), the largest at the top (26)
    grep '"step":' run/log.jsonl | sed -E 's/.*"loss":([-0-9.e+]+).*/\1/' |
        awk '{y[n++] = $1; if (n == 1 || $1 < low) low = $1; if (n == 1 || $1 > high) high = $1}
             END {for (i = 0; i < n; i++) printf "%.1f\n", 156 - 130 * (y[i] - low) / (high - low)}' > want
    grep -m 1 -oE 'points="[^"]+' curves.svg | tr ' ' '\n' | sed -n 's/.*,//p' | diff want -
    run "$PIPELINES/curves" nothing
    [ "$status" -eq 1 ]
    [[ "$output" == "curves: nothing: no such log" ]]
    run "$PIPELINES/curves"
    [ "$status" -eq 2 ]
}
