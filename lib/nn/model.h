/* Inside lib/nn: the network itself. Its builders (resnet.c, head.c) first declare the tensors of a part in the official
 * order, then add the layers that use them. */
#ifndef TW_NN_MODEL_H
#define TW_NN_MODEL_H

#include "nn/backbones.h"
#include "nn/backend.h"
#include "nn/graph.h"
#include "nn/net.h"

typedef enum { TW_INIT_ZERO, TW_INIT_ONE, TW_INIT_NORMAL, TW_INIT_UNIFORM, TW_INIT_TRUNCATED } tw_init; /* cut at +-2 */

typedef struct {
    tw_init kind;
    double scale; /* deviation of NORMAL and TRUNCATED, bound of UNIFORM */
} tw_init_rule;

struct tw_net {
    tw_net_config config; /* its strings are not kept */
    tw_comm *comm, *norms, *bunch; /* of the gradients, the norms, the last norm */
    tw_peers *peers, *bunch_peers; /* the same ranks, where the device sums itself; NULL: comm and bunch do, or are of one rank */
    const tw_backend *be;
    tw_dev *dev;
    tw_param *param;
    tw_init_rule *rule; /* one per tensor */
    int n_params;
    size_t param_cap, rule_cap;
    void *values;       /* one block each; host memory */
    void *device;       /* the values in device memory: values itself where that is host memory */
    float *buffers;     /* part of device: see tw_net_buffers */
    size_t buffers_bytes;
    float *grads;
    size_t grads_bytes;
    tw_graph backbone, head;
    int feature_dim;
    bool last_norm;     /* the head ends in one */
    uint64_t version;   /* counts tw_net_changed */
    bool failed;        /* sticky while building */
};

/* Declare the tensors of a layer called name; the number of the first one is returned.
 * conv: weight. norm: weight and bias if affine, running_mean, running_var, num_batches_tracked. layer norm: weight, bias.
 * linear: weight, bias; truncated: initialised as vision transformers are. */
int tw_declare_conv(tw_net *net, const char *name, int C, int K, int size);
int tw_declare_norm(tw_net *net, const char *name, int C, bool affine);
int tw_declare_layer_norm(tw_net *net, const char *name, int C);
int tw_declare_token(tw_net *net, const char *name, int tokens, int C);   /* [1,tokens,C], itself; no decay */
int tw_declare_patches(tw_net *net, const char *name, int K, int patch); /* weight [K,3,patch,patch], bias */
int tw_declare_linear(tw_net *net, const char *name, int C, int K, bool truncated);
int tw_declare_classifier(tw_net *net, const char *name, int C, int K); /* a linear: normal 0.01, bias 0 */

/* Fill net->backbone and feature_dim; net->head and last_norm. 0, or -1 and tw_error(). */
int tw_build_resnet(tw_net *net, const tw_resnet_kind *k, bool small_stem);
int tw_build_vit(tw_net *net, const tw_vit_kind *k, const tw_net_config *c);
int tw_build_head(tw_net *net, const tw_net_config *c);
int tw_build_classifier(tw_net *net, int classes);

/* Allocates and fills the tensors once all are declared. */
int tw_params_allocate(tw_net *net);
/* Memory for the gradients, zeroed, if there is none yet: the first plan that trains asks for it. 0, or -1 and tw_error(). */
int tw_params_gradients(tw_net *net);
void tw_params_free(tw_net *net);

#endif
