# Goal: each recipe with its own backbone, on small views and with a small head: one step, then one more of the same run, whose losses
# are numbers. The wide ResNet and ViT-B want 4 GB of memory and of disk.

setup() {
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../../bin}" && pwd)
    cd "$BATS_TEST_TMPDIR"
    mkdir tree
    cp -r "$BATS_TEST_DIRNAME/../../pipelines" tree/
    ln -s "$BIN" tree/bin
    "$BIN/twist-synth" -q -o photos --count=8 --val-count=0 --size=40
}

@test "every recipe with its own backbone" {
    for file in tree/pipelines/recipes/*; do
        recipe=$(basename "$file")
        echo "$recipe"
        crops="--local_crops_number 2 --local-size 16"
        [ "$(tree/pipelines/pretrain --recipe "$recipe" --data-path x --output_dir x --dry-run | grep -c -- --aug=multicrop)" -eq 1 ] || crops=
        for steps in 1 2; do
            tree/pipelines/pretrain --recipe "$recipe" --data-path photos --output_dir run --dim 8 --hid_dim 16 --batch-size 4 --size 32 \
                $crops --epochs 1 --max-steps $steps -q
        done
        [ "$(grep -c '"step":[0-9]*,"epoch":0,"loss":-\{0,1\}[0-9]' run/log.jsonl)" -eq 2 ]
        rm -r run
    done
}
