/* Networks and files of weights: which network a file holds, loading weights into a network, listing a network's tensors for a file.
 *
 * Names understood, of a backbone: the official state dict's ("backbone.conv1.weight"), torchvision's ("conv1.weight"; "fc." is the classifier),
 * timm's and DINO's ("blocks.0.norm1.weight"); of a head: "projection_heads.", also the names of older official files ("cls_heads.0.0." for
 * "last_linear.", "cls_heads.0.1." for "norm."); all also with the prefixes of other trainers ("module.", "model.", "state_dict.", MoCo's
 * "encoder_q.", ...: identify.c). Other tensors (an optimizer's, a teacher's) are ignored. */
#ifndef TW_CHECKPOINT_NETWORK_H
#define TW_CHECKPOINT_NETWORK_H

#include "checkpoint/checkpoint.h"
#include "nn/net.h"

/* Parts, combined by |. CLASSIFIER is "fc.". With TEACHER the parts are those of the file's momentum encoder ("teacher."), with STUDENT those of
 * DINO's and iBOT's student ("student."), in whose files the teacher counts as the model. */
enum { TW_NETWORK_BACKBONE = 1, TW_NETWORK_HEAD = 2, TW_NETWORK_TEACHER = 4, TW_NETWORK_CLASSIFIER = 8, TW_NETWORK_STUDENT = 16 };

/* Finds out which network the file holds and sets backbone, small_stem, patch_size, pos_grid, head, hid_dim, dim, proj_norm, lbn_type, act and drop
 * of *c, and no other members; strings are static. All but act and drop follow from the tensors' names and shapes; these two are taken from the
 * metadata ("relu" and 0 if they are missing or there is no head). It is an error if this project's metadata (those with small_stem) contradict
 * the tensors, or if this version cannot run the network: the message says what it is. 0, or -1 and tw_error(). */
int tw_network_config(tw_net_config *c, const tw_checkpoint *f);
/* The same for the network that parts names: 0: the model, TW_NETWORK_TEACHER or TW_NETWORK_STUDENT. */
int tw_network_config_of(tw_net_config *c, const tw_checkpoint *f, unsigned parts);

/* The head's activation by the metadata (also those of an official checkpoint), borrowed; NULL: they do not say. */
const char *tw_network_act(const tw_checkpoint *f);

/* Describes the file's network under the prefix root ("": found by tw_identify's rules) in words ("resnet18 with a head of 512 and 40 units"), cut to
 * size. 0, or -1 and tw_error() if there is none. */
int tw_network_text(char *text, size_t size, const tw_checkpoint *f, const char *root);

/* The metadata for tw_safetensors_write from which tw_network_config recovers the config: backbone, small_stem (0 or 1), patch_size of a vision
 * transformer and, with a head, hid_dim, dim, act, drop, proj_norm unless it is bn, lbn_type if it is identity. pair[0 .. n-1] point into
 * *d and *c. */
enum { TW_NETWORK_PAIRS = 9 };
typedef struct {
    const char *pair[TW_NETWORK_PAIRS][2];
    int n;
    char hid_dim[16], dim[16], drop[32], patch_size[16];
} tw_network_description;
void tw_network_describe(tw_network_description *d, const tw_net_config *c);

/* Loads the file's weights into those parts of net, then calls tw_net_upload. The file must hold exactly that network: every tensor with the right
 * shape, no additional layers, all elements finite (f16, bf16 and f64 are converted; num_batches_tracked may be missing, and is ignored unless
 * it is i64). Tensors of other parts (a classifier, an optimizer's) are ignored. 0, or -1 and tw_error() naming the file, the tensor, and, if the
 * file is of another network, which; the net's weights are undefined then. */
int tw_network_load(tw_net *net, const tw_checkpoint *f, unsigned parts);

/* The parts that the net has. */
unsigned tw_network_parts(tw_net *net);

/* The file's classifier, which tw_network_config ignores: returns the weight and sets *bias, of the layer fc (torchvision, twist-finetune), linear
 * (DINO's evaluation) or head (timm), next to the backbone or in a state dict of its own. Borrowed from f. NULL: there is none. */
const tw_tensor *tw_network_classifier(const tw_checkpoint *f, const tw_tensor **bias);

/* Lists the tensors of those parts in t (room for tw_net_params(net)), in state-dict order, borrowed from net. Returns their number. Names are the
 * official ones if parts has HEAD; else the backbone's are torchvision's, without "backbone.". */
int tw_network_tensors(tw_named_tensor *t, tw_net *net, unsigned parts);

#endif
