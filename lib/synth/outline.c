#include "synth/texture.h"

#include <math.h>

#define PI 3.14159265358979323846

/* A regular polygon with n corners and inradius 1. */
static bool polygon(double x, double y, int n)
{
    const double sector = 2 * PI / n, a = atan2(y, x), mid = sector * floor(a / sector + 0.5);
    return x * cos(mid) + y * sin(mid) < 1;
}

static bool pentagon(double x, double y)
{
    return polygon(x, y, 5);
}

static bool square(double x, double y)
{
    return fabs(x) < 1 && fabs(y) < 1;
}

static bool plus(double x, double y)
{
    return (fabs(x) < 0.4 && fabs(y) < 1) || (fabs(y) < 0.4 && fabs(x) < 1);
}

static bool triangle(double x, double y)
{
    return polygon(x, y, 3);
}

static bool heart(double x, double y)
{
    const double h = x * x + y * y - 1;
    return h * h * h < x * x * y * y * y;
}

static bool disc(double x, double y)
{
    return x * x + y * y < 1;
}

/* A five-pointed star with radii 0.5 and 1. */
static bool star(double x, double y)
{
    const double sector = PI / 5, a = fabs(remainder(atan2(y, x), 2 * sector)), r = hypot(x, y);
    const double px = r * cos(a), py = r * sin(a), ix = 0.5 * cos(sector), iy = 0.5 * sin(sector);
    return (px - 1) * iy - py * (ix - 1) < 0; /* on the inner side of the edge from tip to notch */
}

static bool pill(double x, double y)
{
    const double over = fabs(x) < 1 ? 0 : fabs(x) - 1;
    return over * over + y * y < 0.5;
}

static bool hexagon(double x, double y)
{
    return polygon(x, y, 6);
}

static bool crescent(double x, double y)
{
    return x * x + y * y < 1 && (x - 0.6) * (x - 0.6) + y * y > 0.5;
}

bool tw_synth_inside(int k, double x, double y)
{
    /* Each outline as defined above, its area, and its centre, which is moved to (0, 0). */
    static const struct {
        bool (*inside)(double, double);
        double area, x, y;
    } outline[TW_SYNTH_CLASSES] = {
        {pentagon, 3.632713, 0, 0}, {square, 4, 0, 0},       {plus, 2.56, 0, 0}, {triangle, 5.196152, 0, 0}, {heart, 3.661961, 0, 0.2935},
        {disc, PI, 0, 0},           {star, 1.469463, 0, 0}, {pill, 4.399224, 0, 0}, {hexagon, 3.464102, 0, 0}, {crescent, 1.919948, -0.2968, 0},
    };
    const double scale = sqrt(outline[k].area / PI);
    return outline[k].inside(x * scale + outline[k].x, y * scale + outline[k].y);
}
