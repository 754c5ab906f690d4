/* Networks and files of weights: which network a file holds, its weights into a network, a network's tensors for a file.
 *
 * Names understood, of a backbone: the official state dict ("backbone.conv1.weight"), torchvision's ("conv1.weight"; "fc." is
 * its classifier), timm's and DINO's ("blocks.0.norm1.weight"); of a head: "projection_heads.", with the names of older official files too
 * ("cls_heads.0.0." for "last_linear.", "cls_heads.0.1." for "norm."); all also behind the words that other trainers put before them ("module.",
 * "model.", "state_dict.", MoCo's "encoder_q.", ...: identify.c).
 * Other tensors (an optimizer's, a teacher's) are ignored. */
#ifndef TW_CHECKPOINT_NETWORK_H
#define TW_CHECKPOINT_NETWORK_H

#include "checkpoint/checkpoint.h"
#include "nn/net.h"

/* Parts, to be or-ed; CLASSIFIER is "fc."; with TEACHER those of the file's momentum encoder ("teacher.") instead of the model's, with STUDENT
 * those of DINO's and iBOT's student ("student."), in whose files the teacher stands for the model. */
enum { TW_NETWORK_BACKBONE = 1, TW_NETWORK_HEAD = 2, TW_NETWORK_TEACHER = 4, TW_NETWORK_CLASSIFIER = 8, TW_NETWORK_STUDENT = 16 };

/* Finds out which network the file holds and fills backbone, small_stem, patch_size, pos_grid, head (whether there is one), hid_dim, dim,
 * proj_norm, lbn_type, act, drop; the other members of *c are left alone. Names and shapes of the tensors tell all but act and drop, which are taken
 * from the metadata ("relu" and 0 where it lacks them, or where there is no head). Metadata of ours (with small_stem) that contradict the tensors
 * are an error, as is a network that this version cannot run: the message says what it is. 0, or -1 and tw_error(). Strings are static. */
int tw_network_config(tw_net_config *c, const tw_checkpoint *f);
/* The same of the network that parts names: the model (0), TW_NETWORK_TEACHER or TW_NETWORK_STUDENT. */
int tw_network_config_of(tw_net_config *c, const tw_checkpoint *f, unsigned parts);

/* The activation of its head as its metadata name it, those of an official checkpoint too; borrowed. NULL: they do not. */
const char *tw_network_act(const tw_checkpoint *f);

/* In words what the file's network behind root ("": wherever names known here have it) looks like ("resnet18 with a head of 512 and 40 units"), cut
 * to size. 0, or -1 and tw_error() where there is none. */
int tw_network_text(char *text, size_t size, const tw_checkpoint *f, const char *root);

/* What tw_network_config reads back, as metadata for tw_safetensors_write: backbone, small_stem (0 or 1), patch_size of a vision
 * transformer and, with a head, hid_dim, dim, act, drop, proj_norm unless it is bn, lbn_type if it is identity. pair[0 .. n-1]
 * point into *d and *c. */
enum { TW_NETWORK_PAIRS = 9 };
typedef struct {
    const char *pair[TW_NETWORK_PAIRS][2];
    int n;
    char hid_dim[16], dim[16], drop[32], patch_size[16];
} tw_network_description;
void tw_network_describe(tw_network_description *d, const tw_net_config *c);

/* The file's weights into the parts of net, which the file must hold as exactly that network: every tensor there with the right shape, no layer
 * too many, all elements finite (f16, bf16 and f64 are converted; num_batches_tracked may lack, and is left alone if it is no i64). Calls
 * tw_net_upload. 0, or -1 and tw_error() naming the file, the tensor, and for a checkpoint of another network which one that is; the net's weights
 * are undefined then. Tensors beside the backbone (a classifier, an optimizer's) are not looked at. */
int tw_network_load(tw_net *net, const tw_checkpoint *f, unsigned parts);

/* The parts that the net has. */
unsigned tw_network_parts(tw_net *net);

/* The file's classifier, which tw_network_config does not look at: weight and bias of the layer fc (torchvision's, twist-finetune's), linear
 * (DINO's evaluation's) or head (timm's) beside its backbone, or where a state dict without a backbone has it. NULL: it has none. Borrowed. */
const tw_tensor *tw_network_classifier(const tw_checkpoint *f, const tw_tensor **bias);

/* The tensors of those parts in state-dict order, borrowed from net, into t (room for tw_net_params(net)). Returns their number.
 * Backbone and head have the official names; a backbone without head has torchvision's, without "backbone.". */
int tw_network_tensors(tw_named_tensor *t, tw_net *net, unsigned parts);

#endif
