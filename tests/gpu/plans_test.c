/* Goal: cuDNN itself, without a device, takes the convolutions of ResNet-50, the attention of vision transformers and their products with a GELU as
 * lib/cuda describes them to it and has plans for an H200, forward and backward, in bf16 and fp16, in fp16 with the sums of the outputs too; a plan becomes
 * text and a plan again. Those of attention are fused kernels, which keep no matrix of T x T in memory. */
#include "../unit/test.h"

#include "cuda/attention.h"
#include "cuda/conv.h"
#include "cuda/linear.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

enum { MOST = 4 };

/* How cuDNN describes an H200 to itself, made from the chip's data sheet: cudnnBackendGetAttribute says the true one there. */
static const char h200[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"multiProcessorCount\":132,"
    "\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,"
    "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"
    "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":150754820096,\"smClockRateKHz\":1980000,\"memClockRateKHz\":3201000,"
    "\"l2CacheSize\":62914560,\"cudaDeviceId\":0,\"deviceVer\":900,\"driverVer\":13000,\"deviceName\":\"NVIDIA H200\"}";

static const tw_conv_shape shapes[] = {
    {.N = 64, .H = 224, .W = 224, .C = 3, .OH = 112, .OW = 112, .K = 64, .size = 7, .stride = 2, .pad = 3},
    {.N = 64, .H = 56, .W = 56, .C = 64, .OH = 56, .OW = 56, .K = 64, .size = 1, .stride = 1, .pad = 0},
    {.N = 64, .H = 224, .W = 224, .C = 3, .OH = 14, .OW = 14, .K = 384, .size = 16, .stride = 16, .pad = 0},
    {.N = 64, .H = 56, .W = 56, .C = 64, .OH = 56, .OW = 56, .K = 64, .size = 3, .stride = 1, .pad = 1},
    {.N = 64, .H = 56, .W = 56, .C = 64, .OH = 56, .OW = 56, .K = 256, .size = 1, .stride = 1, .pad = 0},
    {.N = 64, .H = 56, .W = 56, .C = 128, .OH = 28, .OW = 28, .K = 128, .size = 3, .stride = 2, .pad = 1},
    {.N = 64, .H = 56, .W = 56, .C = 256, .OH = 28, .OW = 28, .K = 512, .size = 1, .stride = 2, .pad = 0},
    {.N = 64, .H = 14, .W = 14, .C = 256, .OH = 14, .OW = 14, .K = 256, .size = 3, .stride = 1, .pad = 1},
    {.N = 64, .H = 14, .W = 14, .C = 512, .OH = 7, .OW = 7, .K = 512, .size = 3, .stride = 2, .pad = 1},
    {.N = 64, .H = 7, .W = 7, .C = 2048, .OH = 7, .OW = 7, .K = 512, .size = 1, .stride = 1, .pad = 0},
};

/* Whether a plan written as text is a plan again. */
static bool survives(cudnnBackendDescriptor_t plan, const tw_dnn_site *at)
{
    char *text = tw_dnn_save(plan);
    cudnnBackendDescriptor_t again = text == NULL ? NULL : tw_dnn_load(text, at);
    const bool one_line = text != NULL && strpbrk(text, "\t\n") == NULL; /* what the cache can keep */
    free(text);
    if (again != NULL)
        cudnnBackendDestroyDescriptor(again);
    return again != NULL && one_line;
}

static void plans(const tw_conv_shape *s, tw_dnn_pass pass, tw_dtype t, tw_conv_kind kind, const tw_dnn_site *at)
{
    cudnnBackendDescriptor_t plan[MOST];
    char key[160];
    tw_dnn b = {0};
    cudnnBackendDescriptor_t graph = tw_conv_graph(&b, pass, s, t, kind, at);
    const int n = graph == NULL ? 0 : tw_dnn_plans(plan, MOST, graph, at, (size_t)256 << 20);
    tw_conv_key(key, sizeof key, pass, s, t, kind);
    if (n < 1)
        printf("%s: %s\n", key, tw_error());
    CHECK(n >= 1);
    if (n >= 1 && pass == TW_DNN_FORWARD)
        CHECK(survives(plan[0], at));
    for (int i = 0; i < n; i++)
        cudnnBackendDestroyDescriptor(plan[i]);
    tw_dnn_fini(&b);
}

/* With a norm that is folded in. Most plans for these are compiled when they are made, which takes a second: one of the four kinds. */
static void folded(const tw_conv_shape *plain, tw_dtype t, const tw_dnn_site *at)
{
    for (int i = 0; i < 4; i++) {
        tw_conv_shape s = *plain;
        s.folded = true;
        s.add = i & 1;
        s.relu = i & 2;
        tw_dnn b = {0};
        cudnnBackendDescriptor_t graph = tw_conv_graph(&b, TW_DNN_FORWARD, &s, t, TW_CONV_AS_IT_IS, at), plan[MOST];
        CHECK(graph != NULL);
        const int n = graph != NULL && i == 2 ? tw_dnn_plans(plan, 1, graph, at, (size_t)256 << 20) : 0;
        CHECK(n >= 1 || i != 2);
        for (int k = 0; k < n; k++)
            cudnnBackendDestroyDescriptor(plan[k]);
        tw_dnn_fini(&b);
    }
}

static const tw_attention heads[] = {
    {.N = 256, .T = 197, .heads = 6, .width = 64, .train = true},
    {.N = 1536, .T = 37, .heads = 6, .width = 64, .train = true},
    {.N = 256, .T = 197, .heads = 12, .width = 64, .train = true},
    {.N = 512, .T = 197, .heads = 12, .width = 64, .train = true},
    {.N = 3072, .T = 37, .heads = 12, .width = 64, .train = true},
    {.N = 256, .T = 785, .heads = 6, .width = 64, .train = true},
    {.N = 7, .T = 5, .heads = 3, .width = 64, .train = true},
};

static void attention_plans(const tw_attention *a, bool backward, tw_dtype t, const tw_dnn_site *at)
{
    cudnnBackendDescriptor_t plan[MOST];
    char key[160];
    tw_dnn b = {0};
    cudnnBackendDescriptor_t graph = tw_attention_graph(&b, backward, a, t, at);
    const int n = graph == NULL ? 0 : tw_dnn_plans(plan, 1, graph, at, TW_ATTENTION_WORKSPACE);
    tw_attention_key(key, sizeof key, backward, a, t);
    if (n < 1)
        printf("%s: %s\n", key, tw_error());
    CHECK(n >= 1);
    const size_t pairs = (size_t)a->N * (size_t)a->heads * (size_t)(a->T * a->T) * 2;
    if (n >= 1) {
        CHECK(survives(plan[0], at));
        CHECK(backward || tw_dnn_workspace(plan[0]) < pairs);
    }
    for (int i = 0; i < n; i++)
        cudnnBackendDestroyDescriptor(plan[i]);
    tw_dnn_fini(&b);
}

/* Of a vision transformer's block: forward in training and alone, and backward. */
static void gelu_plans(int rows, int width, tw_dtype t, const tw_dnn_site *at)
{
    for (int i = 0; i < 3; i++) {
        const tw_gelu_shape s = {.backward = i == 2, .train = i > 0, .rows = rows, .C = i == 2 ? 4 * width : width, .K = i == 2 ? width : 4 * width};
        cudnnBackendDescriptor_t plan[MOST];
        char key[128];
        tw_dnn b = {0};
        cudnnBackendDescriptor_t graph = tw_linear_graph(&b, &s, t, at);
        const int n = graph == NULL ? 0 : tw_dnn_plans(plan, 1, graph, at, (size_t)256 << 20);
        tw_linear_key(key, sizeof key, &s, t);
        if (n < 1)
            printf("%s: %s\n", key, tw_error());
        CHECK(n >= 1);
        for (int k = 0; k < n; k++)
            cudnnBackendDestroyDescriptor(plan[k]);
        tw_dnn_fini(&b);
    }
}

/* Before cuDNN looks for a driver. */
static void load_null_driver(void)
{
    char path[PATH_MAX + 32];
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    if (n <= 0)
        return;
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/null_driver/libcuda.so.1");
    CHECK(dlopen(path, RTLD_NOW | RTLD_GLOBAL) != NULL);
}

/* What cuDNN allocates in libraries that it closes again cannot be told from what is lost. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

int main(void)
{
    load_null_driver();
    tw_dnn_site at = {.device = tw_dnn_device(h200)};
    CHECK(at.device != NULL);
    if (at.device == NULL)
        return test_done();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int pass = 0; pass < 3; pass++)
            if (i > 0 || pass != TW_DNN_DATA) /* nobody asks for the gradient of pictures */
                plans(&shapes[i], (tw_dnn_pass)pass, i % 2 == 0 ? TW_BF16 : TW_F16, TW_CONV_AS_IT_IS, &at);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        plans(&shapes[i], TW_DNN_FORWARD, TW_F16, TW_CONV_WITH_SUMS, &at);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].C >= 64) {
            plans(&shapes[i], TW_DNN_FORWARD, TW_F16, TW_CONV_NORM_THROUGH, &at);
            plans(&shapes[i], TW_DNN_WEIGHTS, TW_F16, TW_CONV_NORM_THROUGH, &at);
            if (shapes[i].size == 1 && shapes[i].stride == 1)
                plans(&shapes[i], TW_DNN_FORWARD, TW_F16, TW_CONV_NORM_APPLIED, &at);
        }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i += 2)
        for (int t = 0; t < 3; t++)
            folded(&shapes[i], t == 0 ? TW_F32 : t == 1 ? TW_BF16 : TW_F16, &at);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        for (int backward = 0; backward < 2; backward++)
            attention_plans(&heads[i], backward, i % 2 == 0 ? TW_BF16 : TW_F16, &at);
    gelu_plans(50432, 384, TW_BF16, &at);
    gelu_plans(64 * 197, 768, TW_F16, &at);
    cudnnBackendDestroyDescriptor(at.device);
    return test_done();
}
