#include "nn/exchange.h"

#include "nn/model.h"

enum { WORTH = 1 << 18 }; /* floats: a megabyte */

void tw_exchange_start(tw_exchange *x, tw_net *net)
{
    *x = (tw_exchange){net, net->grads_bytes / sizeof(float)};
}

static int begin(tw_exchange *x, size_t first)
{
    const size_t n = x->from - first;
    x->from = first;
    return n == 0 ? 0 : x->net->comm->sum_begin(x->net->comm, x->net->grads + first, n);
}

int tw_exchange_down_to(tw_exchange *x, int param)
{
    const tw_net *net = x->net;
    while (param < net->n_params && !net->param[param].trained)
        param++;
    if (net->comm->ranks == 1 || param >= net->n_params)
        return 0;
    const size_t first = (size_t)(net->param[param].grad - net->grads);
    return first + WORTH > x->from ? 0 : begin(x, first);
}

int tw_exchange_finish(tw_exchange *x)
{
    tw_comm *comm = x->net->comm;
    return comm->ranks == 1 ? 0 : begin(x, 0) == 0 ? comm->sum_wait(comm) : -1;
}
