/* WebP through libwebp; of an animation the first frame. Alpha is dropped. */
#include "image/codec.h"

#include "core/error.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static int decode_still(tw_image *out, const uint8_t *bytes, size_t n)
{
    WebPDecoderConfig c;
    if (!WebPInitDecoderConfig(&c))
        return tw_fail("libwebp of another version");
    c.output.colorspace = MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA.rgba = out->data;
    c.output.u.RGBA.stride = out->w * 3;
    c.output.u.RGBA.size = (size_t)out->w * (size_t)out->h * 3;
    switch (WebPDecode(bytes, n, &c)) {
    case VP8_STATUS_OK:
        return 0;
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return tw_fail("bad WebP: the file is truncated");
    case VP8_STATUS_OUT_OF_MEMORY:
        return tw_fail("bad WebP: out of memory");
    default:
        return tw_fail("bad WebP: its data are damaged");
    }
}

/* Decodes the first frame; the canvas outside it is black. */
static int decode_animation(tw_image *out, const uint8_t *bytes, size_t n)
{
    WebPAnimDecoderOptions o;
    const WebPData data = {bytes, n};
    uint8_t *rgba;
    int time, rc = 0;
    if (!WebPAnimDecoderOptionsInit(&o))
        return tw_fail("libwebp of another version");
    o.color_mode = MODE_RGBA;
    WebPAnimDecoder *d = WebPAnimDecoderNew(&data, &o);
    if (d == NULL || !WebPAnimDecoderGetNext(d, &rgba, &time))
        rc = tw_fail("bad WebP: its data are damaged or truncated");
    for (size_t i = 0; rc == 0 && i < (size_t)out->w * (size_t)out->h; i++)
        memcpy(out->data + 3 * i, rgba + 4 * i, 3);
    WebPAnimDecoderDelete(d);
    return rc;
}

int tw_webp_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    WebPBitstreamFeatures f;
    const VP8StatusCode code = WebPGetFeatures(bytes, n, &f);
    if (code != VP8_STATUS_OK)
        return tw_fail("bad WebP: %s", code == VP8_STATUS_NOT_ENOUGH_DATA ? "the file is truncated" : "its header is damaged");
    const int more = f.has_animation ? 8 : f.format == 2 ? 4 : 0; /* bytes per pixel: two RGBA canvases; or a lossless picture, decoded as a whole */
    if (tw_image_check(f.width, f.height, o) != 0 || tw_image_resize(out, f.width, f.height, more, o) != 0)
        return -1;
    return f.has_animation ? decode_animation(out, bytes, n) : decode_still(out, bytes, n);
}
