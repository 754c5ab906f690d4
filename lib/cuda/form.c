#include "cuda/form.h"

enum { FEW = 4 }; /* "few" channels, see form.h: at most */

tw_conv_form tw_conv_form_of(const tw_conv_shape *s, tw_dtype t)
{
    const int wide = (int)(16 / tw_dtype_size(t));
    const bool whole = s->size % 2 == 1 && s->pad == s->size / 2 && s->size > 1;
    const bool patches = s->C <= FEW && s->size > 1 && s->stride == s->size && s->pad == 0;
    const int block = patches ? s->size : t != TW_F32 && s->C <= FEW && s->stride == 2 && whole ? 2 : 1, channels = s->C * block * block;
    tw_conv_form f = {.plain = *s, .N = s->N, .H = s->H, .W = s->W, .P = (channels + wide - 1) / wide * wide, .OH = s->OH, .OW = s->OW, .K = s->K,
                      .size = s->size, .stride = s->stride, .before = s->pad, .after = s->pad, .block = block};
    if (block == 1)
        return f;
    f.lead = s->pad % 2;
    f.H = s->OH;
    f.W = s->OW;
    f.size = patches ? 1 : (s->size + f.lead + 1) / 2;
    f.stride = 1;
    f.before = (s->pad + f.lead) / 2;
    f.after = f.size - 1 - f.before;
    return f;
}
