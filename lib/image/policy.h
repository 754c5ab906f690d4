/* Policies: which views are made of a picture, and what is drawn for each. */
#ifndef TW_IMAGE_POLICY_H
#define TW_IMAGE_POLICY_H

#include "image/resample.h"
#include "image/steps.h"

#include "core/philox.h"

enum { TW_MAX_LAYERS = 8, TW_MAX_VIEWS = 1000, TW_MAX_SIZE = 8192 };

/* One kind of view. Probabilities are 0..1. Operations are in the order of the fields. */
typedef struct {
    int size;                 /* the view is size x size */
    int resize;               /* > 0: short side to this, then the middle is cut out (evaluation), and nothing is drawn */
    tw_filter filter;
    double scale[2];          /* of the crop's area, relative to the picture's; 0 < low <= high <= 1 */
    double late_scale[2];     /* the same from tw_policy.late_epoch on */
    double ratio[2];          /* of the crop, width / height */
    double flip_p;
    int layers;               /* RandAugment: so many operations out of fifteen, each applied with layer_p */
    double layer_p;
    double magnitude, deviation; /* of 10; normally distributed */
    double jitter_p;          /* that brightness, contrast, saturation and hue change, in random order */
    double jitter[4];         /* by at most this much (tw_step_kind's order; hue at most 0.5) */
    double grey_p;
    double blur_p, sigma[2];
    double solarize_p;        /* threshold 128 */
    double erase_p;           /* a rectangle of 2 to 33 % becomes noise */
} tw_view_kind;

typedef struct {
    tw_view_kind *kind; /* of view 0, 1, ... */
    int n;
    int64_t late_epoch;
} tw_policy;

typedef enum { TW_BARLOW, TW_MULTICROP, TW_MOCO, TW_RAND, TW_LINEAR, TW_EVAL } tw_policy_name;
extern const char *const tw_policy_names[];

/* What may differ from a named policy; below 0 (min, max, p, locals, filter) and 0 (sizes): as the policy has it. */
typedef struct {
    tw_policy_name name;
    int size, local_size, locals; /* global size (224), local size (96), local crops (12) */
    int resize;                   /* eval (size * 256 / 224) */
    int filter;                   /* tw_filter */
    double min1, max1;            /* scale of all crops but local ones, until they harden */
    double min2, max2;            /* scale of local crops, likewise */
    double blur_p, solarize_p, jitter_p, grey_p; /* of every view */
    int64_t late_epoch;           /* multicrop hardens from there: scales (0.14, 1) and (0.05, 0.14) */
} tw_policy_options;

/* The named policy (twist-method.md section 5). 0, or -1 and tw_error(): a scale with low > high, no memory. */
int tw_policy_init(tw_policy *p, const tw_policy_options *o);
/* The policy written in a file (twist-augment(1) says how). 0, or -1 and tw_error() with the file, line and word. */
int tw_policy_read(tw_policy *p, const char *path, int64_t late_epoch);
void tw_policy_fini(tw_policy *p);

/* A crop of 8 to 100 %, bicubic to 224 x 224, and nothing else: what the kinds of a file begin as. */
extern const tw_view_kind tw_plain_view;
/* Whether the kind's numbers are within their bounds. 0, or -1 and tw_error(). */
int tw_view_kind_check(const tw_view_kind *k);

/* What was drawn for one view: enough to make it again. Operations in the order of the fields. */
typedef struct {
    int resize_w, resize_h; /* > 0: the picture is resized to this first, and crop is a rectangle of that, which may reach
                             * beyond it (black) */
    tw_area crop;           /* then resized to size x size */
    bool flip;
    int n_steps;
    tw_step step[TW_MAX_STEPS];
    bool grey;
    double sigma;           /* 0: no blur */
    bool solarize;
    tw_area erased;         /* height 0: none */
    tw_rng noise;           /* for the erased rectangle */
} tw_view;

/* Whether all views can be drawn of a picture of that size: what is resized stays within 2^30 pixels a side. 0, or -1 and tw_error(). */
int tw_view_check(const tw_policy *p, int w, int h);

/* Draws view number `number` of a w x h picture with that index in that epoch. The numbers are those of TW_USE_VIEW's stream
 * for (seed, index, epoch, number); distributions are those of torchvision's RandomResizedCrop (ten tries, then the middle, of a pixel at least),
 * RandomHorizontalFlip, RandomApply(ColorJitter), RandomGrayscale, of the official blur and solarize, and of timm's RandAugment
 * (increasing operations) and RandomErasing (one rectangle). */
void tw_view_draw(tw_view *v, const tw_policy *p, int number, int w, int h, uint64_t seed, int64_t index, int64_t epoch);

#endif
