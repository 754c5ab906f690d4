#include "synth/texture.h"

#include <math.h>

#define PI 3.14159265358979323846

const char *const tw_synth_names[TW_SYNTH_CLASSES] = {"cells", "checks", "crosses", "dots",  "maze",
                                                      "rings", "spokes", "stripes", "weave", "zigzag"};

double tw_synth_hash(int64_t x, int64_t y, uint32_t salt)
{
    uint64_t h = (uint64_t)x * 0x9e3779b97f4a7c15u ^ (uint64_t)y * 0xc2b2ae3d27d4eb4fu ^ (uint64_t)salt << 17;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u; /* the finaliser of splitmix64 */
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return (double)(h >> 31 & 0xffffffff) * 0x1p-32;
}

static double fraction(double x)
{
    return x - floor(x);
}

/* The walls of rounded polygonal cells: points nearly as far from the second nearest of scattered points as from the nearest. */
static bool cells(double u, double v, uint32_t salt)
{
    const int64_t cu = (int64_t)floor(u), cv = (int64_t)floor(v);
    double first = 9, second = 9;
    for (int64_t y = cv - 2; y <= cv + 2; y++)
        for (int64_t x = cu - 2; x <= cu + 2; x++) {
            const double du = (double)x + 0.1 + 0.8 * tw_synth_hash(x, y, salt) - u;
            const double dv = (double)y + 0.1 + 0.8 * tw_synth_hash(x, y, salt + 1) - v;
            const double d = sqrt(du * du + dv * dv);
            second = d < first ? first : d < second ? d : second;
            first = d < first ? d : first;
        }
    return second - first < 0.2494; /* covers half of the plane, by measurement */
}

static bool checks(double u, double v, uint32_t salt)
{
    (void)salt;
    return (fraction(u) < 0.5) == (fraction(v) < 0.5);
}

/* A plus sign in each cell: two bars of 0.89 x 0.35. */
static bool crosses(double u, double v, uint32_t salt)
{
    const double x = fabs(fraction(u) - 0.5), y = fabs(fraction(v) - 0.5);
    (void)salt;
    return (x < 0.175 && y < 0.445) || (y < 0.175 && x < 0.445);
}

/* Discs on a hexagonal lattice. */
static bool dots(double u, double v, uint32_t salt)
{
    const double row = sqrt(3) / 2, radius2 = row / (2 * PI); /* pi radius^2 = half of a cell's area */
    const double low = floor(v / row);
    (void)salt;
    for (double r = low; r <= low + 1; r++) {
        const double shift = fmod(fabs(r), 2) == 0 ? 0 : 0.5, du = fraction(u - shift + 0.5) - 0.5, dv = v - r * row;
        if (du * du + dv * dv < radius2)
            return true;
    }
    return false;
}

/* Truchet tiles: each has two quarter circles, in one of two random orientations, which join to winding paths. */
static bool maze(double u, double v, uint32_t salt)
{
    const double x = fraction(u), y = fraction(v), half = 0.5 / PI; /* half of a path's width; pi * half is the covered fraction */
    const bool turned = tw_synth_hash((int64_t)floor(u), (int64_t)floor(v), salt) < 0.5;
    const double a = turned ? 1 - x : x;
    return fabs(hypot(a, y) - 0.5) < half || fabs(hypot(1 - a, 1 - y) - 0.5) < half;
}

static bool rings(double u, double v, uint32_t salt)
{
    (void)salt;
    return fraction(hypot(u, v) + 0.25) < 0.5;
}

static bool spokes(double u, double v, uint32_t salt)
{
    (void)salt;
    return fraction(atan2(v, u) * (8 / (2 * PI))) < 0.5;
}

static bool stripes(double u, double v, uint32_t salt)
{
    (void)v, (void)salt;
    return fraction(u) < 0.5;
}

/* Square blocks of three stripes, alternately across and along. */
static bool weave(double u, double v, uint32_t salt)
{
    const bool across = (fraction(u / 3) < 0.5) == (fraction(v / 3) < 0.5);
    (void)salt;
    return fraction((across ? u : v) + 0.25) < 0.5;
}

static bool zigzag(double u, double v, uint32_t salt)
{
    (void)salt;
    return fraction(u + 1.2 * fabs(fraction(v / 2) - 0.5)) < 0.5;
}

bool tw_synth_tone(int k, double u, double v, uint32_t salt)
{
    static bool (*const texture[TW_SYNTH_CLASSES])(double, double, uint32_t) = {cells, checks, crosses, dots,  maze,
                                                                                rings, spokes, stripes, weave, zigzag};
    return texture[k](u, v, salt);
}
