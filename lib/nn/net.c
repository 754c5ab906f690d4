#include "nn/net.h"

#include "core/error.h"
#include "core/mem.h"
#include "nn/model.h"

#include <stdlib.h>

static int build_backbone(tw_net *net, const tw_net_config *c)
{
    const tw_resnet_kind *resnet = tw_resnet_find(c->backbone);
    if (tw_backbone_check(c->backbone, c->small_stem) != 0)
        return -1;
    return resnet != NULL ? tw_build_resnet(net, resnet, c->small_stem) : tw_build_vit(net, tw_vit_find(c->backbone), c);
}

enum { PATIENCE = 600 }; /* seconds; long, as another rank may still be making its plans */

static tw_peers *meet(const tw_net *net, tw_comm *comm)
{
    tw_peers *p = net->be->peers_open(net->dev, comm, net->config.patience > 0 ? net->config.patience : PATIENCE);
    if (p == NULL)
        tw_backend_failed(net->be);
    return p;
}

/* Opens the all-reduce between devices, needed with several ranks where device memory is not host memory. */
static int open_peers(tw_net *net)
{
    const tw_net *beside = net->config.beside;
    if (net->be->unified || net->comm->ranks == 1)
        return 0;
    if (net->be->peers_open == NULL)
        return tw_fail("device %s: supports one rank only, not %d", net->be->name, net->comm->ranks);
    if (beside != NULL) {
        net->peers = beside->peers;
        net->bunch_peers = beside->bunch_peers;
        return 0;
    }
    if ((net->peers = meet(net, net->comm)) == NULL)
        return -1;
    net->bunch_peers = net->bunch == net->comm ? net->peers : net->bunch->ranks > 1 ? meet(net, net->bunch) : NULL;
    return net->bunch_peers != NULL || net->bunch->ranks == 1 ? 0 : -1;
}

static void close_peers(tw_net *net)
{
    if (net->peers == NULL || net->config.beside != NULL)
        return;
    if (net->bunch_peers != net->peers)
        net->be->peers_close(net->bunch_peers);
    net->be->peers_close(net->peers);
}

static int open_device(tw_net *net, const char *device, const tw_net_config *c)
{
    if (c->threads < 1)
        return tw_fail("%d threads: want 1 or more", c->threads);
    net->be = c->beside != NULL ? c->beside->be : tw_backend_open(device);
    if (net->be == NULL)
        return -1;
    net->dev = c->beside != NULL ? c->beside->dev : net->be->open(c->precision, c->threads);
    if (net->dev == NULL)
        return tw_backend_failed(net->be);
    net->be->enter(net->dev);
    return open_peers(net);
}

static int build(tw_net *net, const char *device, const tw_net_config *c)
{
    if (open_device(net, device, c) != 0 || build_backbone(net, c) != 0 || (c->head && tw_build_head(net, c) != 0))
        return -1;
    if (!c->head && c->classes > 0 && tw_build_classifier(net, c->classes) != 0)
        return -1;
    return tw_params_allocate(net);
}

tw_net *tw_net_new(const char *device, const tw_net_config *c)
{
    tw_net *net = tw_calloc(1, sizeof *net);
    if (net == NULL)
        return NULL;
    net->config = *c;
    net->config.backbone = net->config.act = net->config.proj_norm = net->config.lbn_type = NULL;
    net->comm = c->comm != NULL ? c->comm : tw_comm_single();
    net->norms = c->own_norms ? tw_comm_single() : net->comm;
    net->bunch = c->bunch != NULL ? c->bunch : net->comm;
    net->version = 1;
    if (build(net, device, c) == 0)
        return net;
    tw_net_free(net);
    return NULL;
}

void tw_net_free(tw_net *net)
{
    if (net == NULL)
        return;
    tw_params_free(net);
    tw_graph_fini(&net->backbone);
    tw_graph_fini(&net->head);
    close_peers(net);
    if (net->dev != NULL && net->config.beside == NULL)
        net->be->close(net->dev);
    free(net);
}

int tw_net_params(const tw_net *net)
{
    return net->n_params;
}

tw_param *tw_net_param(tw_net *net, int i)
{
    return &net->param[i];
}

int tw_net_feature_dim(const tw_net *net)
{
    return net->feature_dim;
}

int tw_net_classes(const tw_net *net)
{
    return net->config.head ? net->config.dim : net->config.classes;
}

tw_comm *tw_net_comm(const tw_net *net)
{
    return net->comm;
}

tw_peers *tw_net_peers(const tw_net *net)
{
    return net->peers;
}

void tw_net_changed(tw_net *net)
{
    net->version++;
}

int tw_net_zero_grad(tw_net *net)
{
    return net->grads == NULL ? 0 : TW_BACKEND(net->be, net->be->zero(net->dev, net->grads, net->grads_bytes));
}

int tw_net_download(tw_net *net)
{
    for (int i = 0; !net->be->unified && i < net->n_params; i++) {
        const tw_param *p = &net->param[i];
        if (p->device != NULL && TW_BACKEND(net->be, net->be->download(net->dev, p->value, p->device, p->n * sizeof *p->device)) != 0)
            return -1;
    }
    return 0;
}

int tw_net_upload(tw_net *net)
{
    for (int i = 0; !net->be->unified && i < net->n_params; i++) {
        const tw_param *p = &net->param[i];
        if (p->device != NULL && TW_BACKEND(net->be, net->be->upload(net->dev, p->device, p->value, p->n * sizeof *p->device)) != 0)
            return -1;
    }
    tw_net_changed(net);
    return 0;
}

const tw_backend *tw_net_backend(const tw_net *net)
{
    return net->be;
}

tw_dev *tw_net_device(const tw_net *net)
{
    return net->dev;
}

tw_dtype tw_net_precision(const tw_net *net)
{
    return net->config.precision;
}
