#include "nn/exchange.h"

#include "nn/model.h"

/* Least floats of a message: 1 MB; between GPUs 8 MB, whose transfer takes as long as the fixed cost of a sum. */
enum { WORTH = 1 << 18, WORTH_OF_DEVICES = 1 << 21 };

void tw_exchange_start(tw_exchange *x, tw_net *net)
{
    *x = (tw_exchange){net, net->grads_bytes / sizeof(float)};
}

static int begin(tw_exchange *x, size_t first)
{
    const size_t n = x->from - first;
    const tw_net *net = x->net;
    x->from = first;
    if (n == 0)
        return 0;
    if (net->peers != NULL)
        return TW_BACKEND(net->be, net->be->peers_begin(net->peers, net->grads + first, n));
    return net->comm->sum_begin(net->comm, net->grads + first, n);
}

int tw_exchange_down_to(tw_exchange *x, int param)
{
    const tw_net *net = x->net;
    while (param < net->n_params && !net->param[param].trained)
        param++;
    if (net->comm->ranks == 1 || param >= net->n_params)
        return 0;
    const size_t first = (size_t)(net->param[param].grad - net->grads);
    return first + (net->peers != NULL ? WORTH_OF_DEVICES : WORTH) > x->from ? 0 : begin(x, first);
}

int tw_exchange_finish(tw_exchange *x)
{
    const tw_net *net = x->net;
    if (net->comm->ranks == 1)
        return 0;
    if (begin(x, 0) != 0)
        return -1;
    return net->peers != NULL ? TW_BACKEND(net->be, net->be->peers_wait(net->peers)) : net->comm->sum_wait(net->comm);
}
