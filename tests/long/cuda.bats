# Promise: the CUDA backend compiles and links, warnings being errors; three steps on the emulation while no host code touches device memory.

@test "make CUDA=1 with warnings as errors" {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    command -v "${NVCC:-/usr/local/cuda/bin/nvcc}" || skip "no nvcc"
    make CUDA=1 WERROR=-Werror B=build/cuda BIN=build/cuda/bin build/cuda/bin/libtwist-cuda.so
    nm -D build/cuda/bin/libtwist-cuda.so | grep -q " D tw_backend_cuda\| R tw_backend_cuda\| B tw_backend_cuda"
}

@test "three steps, device memory out of the host's bounds" {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -x build/unit/cuda_train_test ] || skip "not built"
    EMULATE_GUARDED=1 run build/unit/cuda_train_test
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ]
}
