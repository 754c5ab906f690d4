/* The threads of a kernel: one after the other, or as fibers where those of a block wait for each other. */
#include "emulate.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <vector>

emu_thread emu_now;
uint64_t emu_slot[1024];

enum state { READY, AT_BLOCK, AT_WARP, OVER };
enum { STACK = 64 << 10 };

/* Made once by ucontext, then switched to by longjmp, which asks nothing of the system. */
struct fiber {
    jmp_buf back;
    state at = OVER;
    std::vector<char> stack;
};
static std::vector<fiber> fibers(1024);
static jmp_buf scheduler;
static unsigned running;
static bool in_fibers;
static const std::function<void()> *body;

static void die(const char *why)
{
    fprintf(stderr, "emulate: %s\n", why);
    abort();
}

static void wait_at(state s)
{
    if (!in_fibers)
        die("a kernel that synchronises was not started by TW_LAUNCH_BLOCK");
    fibers[running].at = s;
    if (_setjmp(fibers[running].back) == 0)
        _longjmp(scheduler, 1);
}

void emu_sync_block()
{
    wait_at(AT_BLOCK);
}

void emu_sync_warp()
{
    wait_at(AT_WARP);
}

static void enter_fiber()
{
    for (;;) {
        (*body)();
        wait_at(OVER);
    }
}

static void set_thread(unsigned i)
{
    const dim3 b = emu_now.block_size;
    emu_now.thread = {i % b.x, i / b.x % b.y, i / b.x / b.y};
}

/* All threads [from, to) that are not over wait there: on they go. */
static bool release(unsigned from, unsigned to, state where)
{
    bool any = false;
    for (unsigned i = from; i < to; i++) {
        if (fibers[i].at != OVER && fibers[i].at != where)
            return false;
        any = any || fibers[i].at == where;
    }
    for (unsigned i = from; i < to; i++)
        if (fibers[i].at == where)
            fibers[i].at = READY;
    return any;
}

/* Runs fiber i until it waits. */
static void resume(unsigned i)
{
    fiber &f = fibers[i];
    running = i;
    set_thread(i);
    if (_setjmp(scheduler) != 0)
        return;
    if (!f.stack.empty())
        _longjmp(f.back, 1);
    ucontext_t context;
    f.stack.resize(STACK);
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack.data();
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, enter_fiber, 0);
    setcontext(&context);
}

static void run_together(unsigned n, bool backwards)
{
    in_fibers = true;
    for (unsigned i = 0; i < n; i++)
        fibers[i].at = READY;
    for (bool left = true; left;) {
        bool moved = false;
        left = false;
        for (unsigned k = 0; k < n; k++) {
            const unsigned i = backwards ? n - 1 - k : k;
            if (fibers[i].at == READY) {
                resume(i);
                moved = true;
            }
            left = left || fibers[i].at != OVER;
        }
        for (unsigned w = 0; w < n; w += 32)
            moved = release(w, w + 32 < n ? w + 32 : n, AT_WARP) || moved;
        moved = release(0, n, AT_BLOCK) || moved;
        if (left && !moved)
            die("the threads of a block wait in different places");
    }
    in_fibers = false;
}

void emu_run(dim3 grid, dim3 block, bool together, const std::function<void()> &thread)
{
    static unsigned long runs;
    const unsigned n = block.x * block.y * block.z;
    const bool backwards = runs++ % 2 == 1; /* threads come in no promised order */
    if (n == 0 || n > 1024 || grid.y > 65535 || grid.z > 65535 || grid.x == 0 || grid.y == 0)
        die("a launch that no device takes");
    emu_now.block_size = block;
    emu_now.grid_size = grid;
    body = &thread;
    for (unsigned b = 0; b < grid.x * grid.y * grid.z; b++) {
        emu_now.block = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        if (together) {
            run_together(n, backwards);
            continue;
        }
        for (unsigned i = 0; i < n; i++) {
            set_thread(backwards ? n - 1 - i : i);
            thread();
        }
    }
}
