# Goal: what nvcc makes of the kernels, which the other tests run on an emulation, compiles and links without a warning. By nvcc's fastest way.

@test "libtwist-cuda.so: nvcc compiles every kernel without a warning, and nothing is undefined" {
    local root nvcc=${NVCC:-${CUDA_PATH:-/usr/local/cuda}/bin/nvcc}
    root=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
    [ -x "$nvcc" ] || skip "no nvcc"
    "$nvcc" --help | grep -q -e -Ofast-compile || skip "an nvcc that has no fast way (-Ofc)"
    run make -s -C "$root" -j2 "B=${B:-build}" "BIN=$BATS_TEST_TMPDIR" "CUDA_KERNELS=$BATS_TEST_TMPDIR/kernels" CUDA=1 CUDA_ARCH=90 CUDA_OPT=-Ofc=max \
        WERROR=-Werror "$BATS_TEST_TMPDIR/libtwist-cuda.so"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(nm -D --defined-only "$BATS_TEST_TMPDIR/libtwist-cuda.so" | grep -c ' [TRD] tw_backend')" -ge 1 ]
}
