#include "synth/scene.h"

#include "core/philox.h"
#include "synth/texture.h"

#include <math.h>
#include <stdbool.h>

#define PI 3.14159265358979323846

#define PATCHES 2.6 /* number of patches of light along a side */

enum { MOST_OBJECTS = 5, MOST_COVERS = 1, FINE = 3 /* samples per pixel along each axis */ };

/* Lengths are relative to the picture's side; tones are in [0, 1], before lighting. */
typedef struct {
    double x, y, radius, cos, sin; /* of the outline: place, size, orientation */
    double period, u, v;           /* of the texture, in the object's own frame */
    double tone[2];
    uint32_t salt;
} object;

typedef struct {
    double x, y, half_length, half_width, cos, sin, tone; /* a bar with round ends */
} cover;

typedef struct {
    object object[MOST_OBJECTS];
    cover cover[MOST_COVERS];
    int objects, covers;
    uint32_t salt;                 /* of the clouds and lights */
    double light, warm;            /* strength of the spatial variation of brightness and colour of the light */
    double noise;                  /* standard deviation in levels */
} scene;

static void turn(double *c, double *s, tw_rng *r)
{
    const double a = tw_rng_between(r, 0, 2 * PI);
    *c = cos(a);
    *s = sin(a);
}

/* Draws that must be in order are in separate statements or declarators: C does not fix the evaluation order of arguments. */
static object draw_object(tw_rng *r, double around)
{
    object o;
    const double angle = around + tw_rng_between(r, -0.4, 0.4), distance = tw_rng_between(r, 0.15, 0.36);
    o.x = 0.5 + distance * cos(angle);
    o.y = 0.5 + distance * sin(angle);
    o.radius = tw_rng_between(r, 0.30, 0.42);
    turn(&o.cos, &o.sin, r);
    o.period = tw_rng_between(r, 0.145, 0.165);
    o.u = tw_rng_between(r, -0.25, 0.25);
    o.v = tw_rng_between(r, -0.25, 0.25);
    const double middle = tw_rng_between(r, 0.42, 0.58), swing = tw_rng_between(r, 0.28, 0.35);
    const double sign = tw_rng_below(r, 2) == 0 ? -1 : 1;
    o.tone[0] = middle - sign * swing;
    o.tone[1] = middle + sign * swing;
    o.salt = tw_rng_u32(r);
    return o;
}

static cover draw_cover(tw_rng *r)
{
    cover c;
    c.x = tw_rng_between(r, 0, 1);
    c.y = tw_rng_between(r, 0, 1);
    c.half_length = tw_rng_between(r, 0, 0.3);
    c.half_width = tw_rng_between(r, 0.03, 0.09);
    turn(&c.cos, &c.sin, r);
    c.tone = tw_rng_between(r, 0.1, 0.9);
    return c;
}

static scene draw_scene(uint64_t seed, uint32_t part, uint64_t index)
{
    tw_rng r;
    scene s;
    tw_rng_init(&r, seed, TW_USE_SYNTH, index, part, 0);
    s.objects = 3 + (int)tw_rng_below(&r, MOST_OBJECTS - 2);
    const double start = tw_rng_between(&r, 0, 2 * PI);
    for (int i = 0; i < s.objects; i++) /* around the centre, so that every crop contains parts of some objects */
        s.object[i] = draw_object(&r, start + 2 * PI * i / s.objects);
    s.covers = (int)tw_rng_below(&r, MOST_COVERS + 1);
    for (int i = 0; i < s.covers; i++)
        s.cover[i] = draw_cover(&r);
    s.salt = tw_rng_u32(&r);
    s.light = tw_rng_between(&r, 0.1, 0.3);
    s.warm = tw_rng_between(&r, 0.05, 0.15);
    s.noise = tw_rng_between(&r, 2, 5);
    return s;
}

/* Value noise in [0, 1): random values on a grid of cell size 1 / f, interpolated. */
static double smooth(double x, double y, double f, uint32_t salt)
{
    const double fx = floor(x * f), fy = floor(y * f), a = x * f - fx, b = y * f - fy;
    const double wa = a * a * (3 - 2 * a), wb = b * b * (3 - 2 * b);
    const int64_t ix = (int64_t)fx, iy = (int64_t)fy;
    const double top = (1 - wa) * tw_synth_hash(ix, iy, salt) + wa * tw_synth_hash(ix + 1, iy, salt);
    const double low = (1 - wa) * tw_synth_hash(ix, iy + 1, salt) + wa * tw_synth_hash(ix + 1, iy + 1, salt);
    return (1 - wb) * top + wb * low;
}

static double ground(const scene *s, double x, double y)
{
    return 0.5 + 0.25 * (0.6 * smooth(x, y, 4, s->salt) + 0.4 * smooth(x, y, 9, s->salt + 1) - 0.5);
}

static bool covered(const cover *c, double x, double y)
{
    const double dx = x - c->x, dy = y - c->y, along = fabs(dx * c->cos + dy * c->sin), across = dy * c->cos - dx * c->sin;
    const double over = along > c->half_length ? along - c->half_length : 0;
    return over * over + across * across < c->half_width * c->half_width;
}

/* The tone at a point: that of the topmost thing drawn there. */
static double tone_at(const scene *s, int k, double x, double y)
{
    for (int i = s->covers - 1; i >= 0; i--)
        if (covered(&s->cover[i], x, y))
            return s->cover[i].tone;
    for (int i = s->objects - 1; i >= 0; i--) {
        const object *o = &s->object[i];
        const double dx = x - o->x, dy = y - o->y, along = dx * o->cos + dy * o->sin, across = dy * o->cos - dx * o->sin;
        if (tw_synth_inside(k, along / o->radius, across / o->radius))
            return o->tone[tw_synth_tone(k, along / o->period + o->u, across / o->period + o->v, o->salt)];
    }
    return ground(s, x, y);
}

void tw_synth_draw(uint8_t *rgb, int S, int k, uint64_t seed, uint32_t part, uint64_t index)
{
    const scene s = draw_scene(seed, part, index);
    tw_rng grain;
    tw_rng_init(&grain, seed, TW_USE_SYNTH, index, part, 1);
    for (int py = 0; py < S; py++)
        for (int px = 0; px < S; px++) {
            double tone = 0;
            for (int i = 0; i < FINE * FINE; i++)
                tone += tone_at(&s, k, (px + (i % FINE + 0.5) / FINE) / S, (py + (i / FINE + 0.5) / FINE) / S);
            tone /= FINE * FINE;
            /* light in patches: with light from one side, crops of the same picture could be recognised by it */
            const double x = (px + 0.5) / S, y = (py + 0.5) / S;
            const double light = 0.9 * exp(s.light * (2 * smooth(x, y, PATCHES, s.salt + 2) - 1));
            const double warm = s.warm * (2 * smooth(x, y, PATCHES, s.salt + 3) - 1);
            const double gain[3] = {light * (1 + warm), light, light * (1 - warm)};
            for (int c = 0; c < 3; c++) {
                const double level = 255 * tone * gain[c] + s.noise * tw_rng_normal(&grain);
                *rgb++ = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level + 0.5);
            }
        }
}
