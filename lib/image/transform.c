#include "image/steps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const unsigned char tw_fill[3] = {124, 116, 104};

/* The source position of the result's pixel (x, y): (a x + b y + c, d x + e y + f), in pixels; pixel centres are at half-integers. */
typedef struct {
    double a, b, c, d, e, f;
} affine;

/* Python's round(x, 15) */
static double round15(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.15f", x);
    return strtod(text, NULL);
}

/* As Image.rotate, around the centre. */
static affine rotation(double degrees, int w, int h)
{
    double angle = fmod(degrees, 360);
    if (angle < 0)
        angle += 360;
    angle = -(angle * (3.141592653589793 / 180));
    affine m = {round15(cos(angle)), round15(sin(angle)), 0, round15(-sin(angle)), round15(cos(angle)), 0};
    const double x = w / 2.0, y = h / 2.0;
    m.c = m.a * -x + m.b * -y + x;
    m.f = m.d * -x + m.e * -y + y;
    return m;
}

static affine matrix(const tw_step *s, int w, int h)
{
    affine m = {1, 0, 0, 0, 1, 0};
    switch (s->kind) {
    case TW_ROTATE:
        return rotation(s->value, w, h);
    case TW_SHEAR_X:
        m.b = s->value;
        break;
    case TW_SHEAR_Y:
        m.d = s->value;
        break;
    case TW_TRANSLATE_X:
        m.c = s->value * w;
        break;
    default:
        m.f = s->value * h;
    }
    return m;
}

/* Cubic interpolation of four neighbours, at d (0..1) between the second and the third, in the same steps as Pillow. */
static inline double cubic(double v1, double v2, double v3, double v4, double d)
{
    const double p2 = -v1 + v3, p3 = 2 * (v1 - v2) + v3 - v4, p4 = -v1 + v2 - v3 + v4;
    return v2 + d * (p2 + d * (p3 + d * p4));
}

static int within(int v, int size)
{
    return v < 0 ? 0 : v < size ? v : size - 1;
}

/* The four columns (or rows) around a position; beyond the border, the first or last is repeated. */
typedef struct {
    int at[4];
    double d;
} around;

static inline around neighbours(double place, int size)
{
    around n;
    place -= 0.5;
    const int whole = place < 0 ? -1 : (int)place; /* floor: place is at least -0.5 */
    n.d = place - whole;
    for (int i = 0; i < 4; i++)
        n.at[i] = within(whole - 1 + i, size);
    return n;
}

/* Interpolates one row along x. At a pixel's centre the result is exactly that pixel; likewise along y. */
static inline double across(const uint8_t *row, const around *x)
{
    return x->d == 0 ? row[x->at[1]] : cubic(row[x->at[0]], row[x->at[1]], row[x->at[2]], row[x->at[3]], x->d);
}

static inline uint8_t sample(const uint8_t *plane, size_t pitch, const around *x, const around *y)
{
    const uint8_t *second = plane + (size_t)y->at[1] * pitch;
    double v = across(second, x);
    if (y->d != 0)
        v = cubic(across(plane + (size_t)y->at[0] * pitch, x), v, across(plane + (size_t)y->at[2] * pitch, x),
                  across(plane + (size_t)y->at[3] * pitch, x), y->d);
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

int tw_step_transform(tw_workspace *ws, const tw_step *step)
{
    const tw_planes *v = &ws->view;
    const size_t size = v->pitch * (size_t)v->h;
    const affine m = matrix(step, v->w, v->h);
    uint8_t *from = tw_room_reserve(&ws->middle, 3 * size);
    if (from == NULL)
        return -1;
    for (size_t c = 0; c < 3; c++)
        memcpy(from + c * size, v->plane[c], size);
    for (int y = 0; y < v->h; y++)
        for (int x = 0; x < v->w; x++) {
            const size_t at = (size_t)y * v->pitch + (size_t)x;
            const double px = x + 0.5, py = y + 0.5;
            const double sx = m.a * px + m.b * py + m.c, sy = m.d * px + m.e * py + m.f;
            const bool outside = sx < 0 || sx >= v->w || sy < 0 || sy >= v->h;
            const around nx = neighbours(outside ? 0 : sx, v->w), ny = neighbours(outside ? 0 : sy, v->h);
            for (size_t c = 0; c < 3; c++)
                v->plane[c][at] = outside ? tw_fill[c] : sample(from + c * size, v->pitch, &nx, &ny);
        }
    return 0;
}
