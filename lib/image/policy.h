/* Augmentation policies: which views are made of a picture, and the random parameters of each. */
#ifndef TW_IMAGE_POLICY_H
#define TW_IMAGE_POLICY_H

#include "image/resample.h"
#include "image/steps.h"

#include "core/philox.h"

enum { TW_MAX_LAYERS = 8, TW_MAX_VIEWS = 1000, TW_MAX_SIZE = 8192 };

/* One kind of view. Fields ending in _p are probabilities, 0..1. Operations are applied in the order of the fields. */
typedef struct {
    int size;                 /* the view is size x size */
    int resize;               /* > 0 (evaluation): the short side is resized to this and the centre cropped, without any randomness */
    tw_filter filter;
    double scale[2];          /* range of the crop's area relative to the picture's; 0 < low <= high <= 1 */
    double late_scale[2];     /* the same from tw_policy.late_epoch on */
    double ratio[2];          /* range of the crop's width / height */
    double flip_p;            /* horizontal flip */
    int layers;               /* RandAugment: number of operations, drawn from fifteen, each applied with probability layer_p */
    double layer_p;
    double magnitude, deviation; /* mean and standard deviation of their level, which is normally distributed and clipped to 0..10 */
    double jitter_p;          /* ColorJitter: brightness, contrast, saturation and hue, in random order */
    double jitter[4];         /* the largest change of each, in this order (0: not changed; hue at most 0.5 turns) */
    double grey_p;
    double blur_p, sigma[2];
    double solarize_p;        /* threshold 128 */
    double erase_p;           /* random erasing: a rectangle of 2 to 33 % of the area becomes noise */
} tw_view_kind;

typedef struct {
    tw_view_kind *kind; /* of view 0, 1, ... */
    int n;
    int64_t late_epoch;
} tw_policy;

typedef enum { TW_BARLOW, TW_MULTICROP, TW_MOCO, TW_RAND, TW_LINEAR, TW_EVAL } tw_policy_name;
extern const char *const tw_policy_names[];

/* Overrides of a named policy. Not overridden: a size of 0; negative min, max, probability, locals or filter. In parentheses: the policy's values. */
typedef struct {
    tw_policy_name name;
    int size, local_size, locals; /* global size (224), local size (96), local crops (12) */
    int resize;                   /* eval (size * 256 / 224) */
    int filter;                   /* tw_filter */
    double min1, max1;            /* scale of all crops except local ones; multicrop: before late_epoch */
    double min2, max2;            /* scale of local crops, likewise */
    double blur_p, solarize_p, jitter_p, grey_p; /* of every view */
    int64_t late_epoch;           /* multicrop: from this epoch on the scales are (0.14, 1) and, for local crops, (0.05, 0.14) */
} tw_policy_options;

/* Makes the named policy (twist-method.md section 5) with overrides. 0, or -1 and tw_error(): a scale with low > high, or memory is short. */
int tw_policy_init(tw_policy *p, const tw_policy_options *o);
/* Reads a policy from a file (format: twist-augment(1)). 0, or -1 and tw_error() with the file, line and word. */
int tw_policy_read(tw_policy *p, const char *path, int64_t late_epoch);
void tw_policy_fini(tw_policy *p);

/* A crop of 8 to 100 % of the area, resized to 224 x 224, bicubic, and nothing else: the defaults of a kind in a policy file. */
extern const tw_view_kind tw_plain_view;
/* Checks the ranges of the kind's numbers. 0, or -1 and tw_error(). */
int tw_view_kind_check(const tw_view_kind *k);

/* The parameters drawn for one view; they determine it completely. Operations are applied in the order of the fields. */
typedef struct {
    int resize_w, resize_h; /* > 0 (evaluation): the picture is resized to this first; crop is then a rectangle of the result, which may
                             * extend beyond it (black) */
    tw_area crop;           /* without resize_w: in the picture, then resized to size x size */
    bool flip;
    int n_steps;
    tw_step step[TW_MAX_STEPS];
    bool grey;
    double sigma;           /* 0: no blur */
    bool solarize;
    tw_area erased;         /* height 0: none */
    tw_rng noise;           /* random numbers for the erased rectangle */
} tw_view;

/* Checks that a w x h picture is suitable for all views: no side longer than 2^30 pixels after Resize. 0, or -1 and tw_error(). */
int tw_view_check(const tw_policy *p, int w, int h);

/* Draws the parameters of view `number` (0 .. p->n - 1) of a w x h picture; index: its number in the data set. The random numbers are the stream
 * (seed, TW_USE_VIEW, index, epoch, number) of core/philox.h. The distributions are those of torchvision's RandomResizedCrop (ten tries, then a
 * central crop; at least one pixel), RandomHorizontalFlip, RandomApply(ColorJitter) and RandomGrayscale, of the official code's blur and solarize,
 * and of timm's RandAugment (increasing operations) and RandomErasing (one rectangle). */
void tw_view_draw(tw_view *v, const tw_policy *p, int number, int w, int h, uint64_t seed, int64_t index, int64_t epoch);

#endif
