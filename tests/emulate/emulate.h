/* CUDA on the CPU, for tests: the project's own kernels run as they are written, thread by thread, on memory that host code
 * cannot touch, in streams that lag behind. Included by cuda/kernel.h after CUDA's own headers, instead of <<< >>>.
 * What a GPU would do at once is done one after the other: races between blocks and speed are not seen here. */
#ifndef EMULATE_H
#define EMULATE_H

#include <cuda_runtime.h>
#include <functional>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <tuple>

struct emu_thread {
    uint3 thread, block;
    dim3 block_size, grid_size;
};
extern emu_thread emu_now;

#define threadIdx emu_now.thread
#define blockIdx emu_now.block
#define blockDim emu_now.block_size
#define gridDim emu_now.grid_size

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ static /* blocks run one after the other */
#define __syncthreads() emu_sync_block()

extern unsigned long emu_writes; /* counts what changed device memory */

void emu_sync_block();
void emu_sync_warp();
extern uint64_t emu_slot[1024]; /* what threads of a block hand each other */

template <typename T> T __shfl_xor_sync(unsigned, T v, int lane)
{
    const unsigned me = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    T r;
    memcpy(&emu_slot[me], &v, sizeof v);
    emu_sync_warp();
    memcpy(&r, &emu_slot[me ^ (unsigned)lane], sizeof r);
    emu_sync_warp();
    return r;
}

template <typename T> T atomicAdd(T *p, T v)
{
    const T old = *p;
    *p += v;
    return old;
}

/* Puts the work on the stream. */
void emu_enqueue(cudaStream_t stream, std::function<void()> work);
/* The same for work that may have to wait for somebody else: it is called again until it returns true. */
void emu_enqueue_until(cudaStream_t stream, std::function<bool()> work);
/* Runs a kernel's threads. together: the threads of a block synchronise. */
void emu_run(dim3 grid, dim3 block, bool together, const std::function<void()> &thread);

template <typename... P, typename... A>
void emu_launch(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, bool together, A... argument)
{
    std::tuple<std::decay_t<P>...> value(argument...); /* as they are now */
    emu_enqueue(stream, [=] { emu_writes++, emu_run(grid, block, together, [&] { std::apply(kernel, value); }); });
}

#define TW_LAUNCH(kernel, grid, block, stream, ...) emu_launch(kernel, (grid), (block), (stream), false, __VA_ARGS__)
#define TW_LAUNCH_BLOCK(kernel, grid, block, stream, ...) emu_launch(kernel, (grid), (block), (stream), true, __VA_ARGS__)

#endif
