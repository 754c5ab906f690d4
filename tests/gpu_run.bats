# Goal: what a visit to a GPU is for is not lost with it: tests/gpu/run has written what it found when it is cut off, nothing hangs it, nothing is
# left running, and time that is over is not begun. The card and the tests are fakes here.

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir -p tree/tests/gpu tree/build/gpu/unit tree/build/gpu/bin tree/build/gpu/lib fake
    cp "$BATS_TEST_DIRNAME/gpu/run" tree/tests/gpu
    cd tree/build/gpu/unit
    for t in cuda_train_test cuda_test cuda_peers_test cuda_eval_test; do
        printf '#!/bin/sh\necho "7 passed, 0 failed"\n' > $t
    done
    printf '#!/bin/sh\nprintf "matmul\\tbf16\\t0.003\\t0.012\\n" > "$1"\necho "9 passed, 0 failed"\n' > cuda_test
    printf '#!/bin/sh\n[ "$1" != slow ] || exec sleep "$HANG"\necho "$* | as fast as light"\n' > gpu_bench
    cd "$BATS_TEST_TMPDIR"
    printf '#!/bin/sh\necho "NVIDIA Fake, 1.0, 1 MiB"\n' > fake/nvidia-smi
    printf '#!/bin/sh\ncase $1 in *bench.py) echo "peer $*" ;; esac\n' > fake/python3
    chmod +x fake/* tree/build/gpu/unit/*
    printf 'train bf16,fp16 resnet50 4 8 2:32\nembed bf16 resnet50 4 32\n' > cases
    export PATH=$PWD/fake:$PATH PYTHON=python3 OUT=$PWD/out CASES=$PWD/cases HANG=987.$$
}

@test "all parts into a table, ours before the peers, with the errors of the operations" {
    run tree/tests/gpu/run steps loss bench check peers
    [ "$status" -eq 0 ]
    [ "$(grep -c '| ok |' out/RESULTS.md)" = 19 ]
    grep -q '| three steps against the CPU | ok | [0-9]* s | 7 passed, 0 failed |' out/RESULTS.md
    grep -q '| resnet50 4 8 2:32 (train, fp16): ours | ok | [0-9]* s | resnet50 fp16 4 8 2:32 / as fast as light |' out/RESULTS.md
    grep -q '| resnet50 4 32 (embed, bf16): PyTorch, compiled and frozen | ok | [0-9]* s | peer tests/gpu/bench.py eval-frozen resnet50 4 32 |' out/RESULTS.md
    grep -qF '| matmul | bf16 | 0.003 | 0.012 |' out/RESULTS.md
    [ "$(grep -n 'fp16): ours' out/RESULTS.md | cut -d: -f1)" -lt "$(grep -n 'train, bf16): PyTorch' out/RESULTS.md | cut -d: -f1)" ]
    mkdir tree/tests/bench
    printf '#!/bin/sh\necho "$DEVICE $*"\n' > tree/tests/bench/cifar10
    chmod +x tree/tests/bench/cifar10
    DATA=a.tar TEST=b.tar run tree/tests/gpu/run cifar
    [ "$status" -eq 0 ]
    grep -q "200 epochs | ok | [0-9]* s | cuda $PWD/out/cifar a.tar b.tar |" out/RESULTS.md
    run tree/tests/gpu/run cifar
    [ "$status" -ne 0 ]
    run tree/tests/gpu/run benches
    [ "$status" -eq 2 ]
}

@test "PyTorch compiles beside what is not timed; what is timed is alone" {
    cat > fake/python3 <<'END'
#!/bin/sh
case $1 in *bench.py) ;; *) exit 0 ;; esac
while [ ! -e go ]; do sleep 0.05; done
echo "peer $*" >> order
echo peer
END
    cat > tree/build/gpu/unit/gpu_bench <<'END'
#!/bin/sh
echo "ours $*" >> order
[ "$1 $2" != "resnet18 fp16" ] || touch go
END
    run tree/tests/gpu/run warm steps loss
    [ "$status" -eq 0 ]
    [ "$(grep -c 'PyTorch, compiled.* (not timed) | ok |' out/RESULTS.md)" = 3 ]
    [ "$(cut -d ' ' -f 1 tree/order | uniq -c | awk '{printf "%s %s ", $1, $2}')" = "6 ours 3 peer 1 ours " ]
}

@test "plans that steps fail with are found, and the rest goes on without them; the first faults are told, not the last ones only" {
    cat > tree/build/gpu/unit/gpu_bench <<'END'
#!/bin/sh
bad() { echo "cuda: bad plan"; seq 90; exit 1; }
case "$1 $2 ${TWIST_PLAIN-none}" in
"vit_t bf16 sums" | "vit_t bf16 " | "resnet18 bf16 ") ;;
"vit_t bf16 "* | "resnet18 bf16 "*) bad ;;
"resnet18 fp32 "*) exit 3 ;;
"resnet18 fp16 "*) exit 137 ;;
esac
echo "$* PLAIN=$TWIST_PLAIN"
END
    run tree/tests/gpu/run steps loss
    [ "$status" -eq 1 ]
    grep -q '| a few steps, vit_t, fp32 | ok | [0-9]* s | vit_t fp32 8 64 2:32 PLAIN= |' out/RESULTS.md
    grep -qF "| the same with TWIST_PLAIN='onto' | FAILED (1) |" out/RESULTS.md
    grep -qF "| the same with TWIST_PLAIN='sums' | ok |" out/RESULTS.md
    ! grep -qF "TWIST_PLAIN='through'" out/RESULTS.md || false
    [ "$(grep -c '^| the same with' out/RESULTS.md)" = 6 ] # fp32: without such plans it fails too; bf16: the search, then none at all; fp16: it hangs
    grep -qF 'PLAIN= |' <(grep 'TWIST loss' out/RESULTS.md)
    grep -qx 'cuda: bad plan' out/RESULTS.md
}

@test "a part that hangs is ended and named; what would begin too late is left out" {
    printf 'train bf16 slow 4 8 2:32\ntrain bf16 resnet18 4 8 2:32\n' > cases
    run env LIMIT=1 tree/tests/gpu/run bench
    [ "$status" -eq 1 ]
    grep -qF '| slow 4 8 2:32 (train, bf16): ours | FAILED (124) |' out/RESULTS.md
    grep -qF '| resnet18 4 8 2:32 (train, bf16): ours | ok |' out/RESULTS.md
    run env DEADLINE=6 tree/tests/gpu/run bench
    grep -qF '| slow 4 8 2:32 (train, bf16): ours | FAILED (124) |' out/RESULTS.md
    grep -qF '| resnet18 4 8 2:32 (train, bf16): ours | left out: no time |' out/RESULTS.md
}

@test "cut off: what was found is there, and nothing runs on" {
    printf 'train bf16 resnet18 4 8 2:32\ntrain bf16 slow 4 8 2:32\n' > cases
    tree/tests/gpu/run bench 3>&- &
    local visit=$!
    until pgrep -fx "sleep $HANG" > pids; do sleep 0.05; done
    kill -TERM $visit
    wait $visit || true
    grep -qF '| resnet18 4 8 2:32 (train, bf16): ours | ok |' out/RESULTS.md
    while read -r p; do
        ! grep -qs '^State:.*[RSDT] ' "/proc/$p/status" || sleep 0.5
        ! grep -qs '^State:.*[RSDT] ' "/proc/$p/status"
    done < pids
}
