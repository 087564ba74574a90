/* Sums over lamps of images kept in half precision, and their gradient in the lamps' weights. */
#ifndef LSM_LAMPS_H
#define LSM_LAMPS_H

#include <stdint.h>

typedef struct {
    int64_t lamps, pixels, captures;
    int64_t weight_stride;  /* numbers from one row's weights to the next's; 0: one for all rows */
    const uint16_t *images; /* [stored, lamp, pixel] IEEE half precision, finite */
    const int64_t *rows;    /* [row] which of the stored */
} lsm_lamps;

/* mixed [row, capture, pixel] = sum over lamps of weight [row or 1, capture, lamp] times image. */
typedef void lsm_mix_fn(const lsm_lamps *, const float *weight, float *mixed, int64_t first_row, int64_t end_row);

/* grad_weight [row, capture, lamp] from grad_mixed [row, capture, pixel]. */
typedef void lsm_mix_back_fn(const lsm_lamps *, const float *grad_mixed, float *grad_weight, int64_t first_row,
                             int64_t end_row);

/* wide [row, lamp, pixel]: the images themselves. */
typedef void lsm_widen_fn(const lsm_lamps *, float *wide, int64_t first_row, int64_t end_row);

#endif
