#include "cuda/device.h"

#include "core/error.h"

#include <string.h>

static int name_length(const char *call)
{
    return (int)strcspn(call, "(");
}

int tw_cuda_check(cudaError_t status, const char *call)
{
    if (status == cudaSuccess)
        return 0;
    cudaGetLastError(); /* clears the error, so that the next launch does not report it */
    return tw_fail("%.*s: %s", name_length(call), call, cudaGetErrorString(status));
}

int tw_cudnn_check(cudnnStatus_t status, const char *call)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return 0;
    char why[256] = "";
    cudnnGetLastErrorString(why, sizeof why);
    why[strcspn(why, "\n")] = '\0';
    return tw_fail("%.*s: %s%s%s", name_length(call), call, cudnnGetErrorString(status), why[0] != '\0' ? ": " : "", why);
}

int tw_cublas_check(cublasStatus_t status, const char *call)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    return tw_fail("%.*s: %s", name_length(call), call, cublasLtGetStatusString(status));
}
