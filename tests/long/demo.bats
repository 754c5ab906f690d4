# Goal: the demo keeps its promise: k-NN on what TWIST learned is 20 points better than on the same network untrained and than on
# raw pixels.

@test "make demo: the trained network beats the untrained one and the pixels by 20 points" {
    BIN=${BIN:-$BATS_TEST_DIRNAME/../../bin}
    mkdir "$BATS_TEST_TMPDIR/tree"
    cp -r "$BATS_TEST_DIRNAME/../../pipelines" "$BATS_TEST_TMPDIR/tree/"
    ln -s "$BIN" "$BATS_TEST_TMPDIR/tree/bin"
    cd "$BATS_TEST_TMPDIR/tree"
    pipelines/demo
    knn=$(sed -n 's/.*"knn": *{\([^}]*\)}.*/\1/p' demo/results.json)
    echo "$knn"
    awk -F'[:,]' '{ for (i = 1; i < NF; i += 2) { gsub(/[" ]/, "", $i); v[$i] = $(i + 1) } }
        END { exit !(v["trained"] - v["untrained"] >= 20 && v["trained"] - v["pixels"] >= 20) }' <<< "$knn"
}
