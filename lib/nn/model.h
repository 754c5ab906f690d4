/* Inside lib/nn: the network itself. Its builders (resnet.c, head.c) first declare the tensors of a part in the official
 * order, then add the layers that use them. */
#ifndef TW_NN_MODEL_H
#define TW_NN_MODEL_H

#include "nn/backbones.h"
#include "nn/backend.h"
#include "nn/graph.h"
#include "nn/net.h"

/* TRUNCATED: normal, redrawn beyond +-2 (absolute, not deviations). */
typedef enum { TW_INIT_ZERO, TW_INIT_ONE, TW_INIT_NORMAL, TW_INIT_UNIFORM, TW_INIT_TRUNCATED } tw_init;

typedef struct {
    tw_init kind;
    double scale; /* standard deviation of NORMAL and TRUNCATED; UNIFORM is over [-scale, scale] */
} tw_init_rule;

struct tw_net {
    tw_net_config config; /* its strings are not kept and must not be read */
    tw_comm *comm, *norms, *bunch; /* the ranks that sum the gradients; that share the norms' statistics; the last norm's */
    tw_peers *peers, *bunch_peers; /* comm and bunch on devices that sum by themselves; NULL: comm and bunch sum, or have one rank */
    const tw_backend *be;
    tw_dev *dev;
    tw_param *param;
    tw_init_rule *rule; /* one per tensor */
    int n_params;
    size_t param_cap, rule_cap;
    void *values;       /* all tensors as one block; host memory */
    void *device;       /* the values in device memory: values itself where that is host memory */
    float *buffers;     /* part of device: see tw_net_buffers */
    size_t buffers_bytes;
    float *grads;
    size_t grads_bytes;
    tw_graph backbone, head;
    int feature_dim;
    bool last_norm;     /* the head ends in a norm */
    uint64_t version;   /* counts tw_net_changed */
    bool failed;        /* sticky while building */
};

/* Each declares the tensors of the layer called name and returns the number of the first one (errors: net->failed).
 * conv: weight. norm: weight and bias if affine, running_mean, running_var, num_batches_tracked. layer norm: weight, bias.
 * linear: weight, bias; truncated: initialised as vision transformers are (twist-method.md 1). */
int tw_declare_conv(tw_net *net, const char *name, int C, int K, int size);
int tw_declare_norm(tw_net *net, const char *name, int C, bool affine);
int tw_declare_layer_norm(tw_net *net, const char *name, int C);
int tw_declare_token(tw_net *net, const char *name, int tokens, int C);   /* the tensor `name` itself, [1,tokens,C]; no weight decay */
int tw_declare_patches(tw_net *net, const char *name, int K, int patch); /* weight [K,3,patch,patch], bias */
int tw_declare_linear(tw_net *net, const char *name, int C, int K, bool truncated);
int tw_declare_classifier(tw_net *net, const char *name, int C, int K); /* a linear layer with weight normal(0, 0.01), bias 0 */

/* resnet, vit: fill net->backbone and feature_dim. head, classifier: fill net->head and last_norm. 0, or -1 and tw_error(). */
int tw_build_resnet(tw_net *net, const tw_resnet_kind *k, bool small_stem);
int tw_build_vit(tw_net *net, const tw_vit_kind *k, const tw_net_config *c);
int tw_build_head(tw_net *net, const tw_net_config *c);
int tw_build_classifier(tw_net *net, int classes);

/* Allocates and initialises the tensors, in host and device memory, once all are declared. 0, or -1 and tw_error(). */
int tw_params_allocate(tw_net *net);
/* Allocates the gradients, zeroed, unless it has been done: called by each plan that trains. 0, or -1 and tw_error(). */
int tw_params_gradients(tw_net *net);
void tw_params_free(tw_net *net);

#endif
