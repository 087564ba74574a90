/* Camera frames of small images, with noise that depends on a key and a number alone.

   Bits come from Philox4x32-10 (Salmon et al., SC 2011): counter (block of four pixels, number, 0, 0), key of the
   row. Each pixel takes one word: its lower half for shot noise, its upper half for read noise. */
#ifndef LSM_EXPOSE_H
#define LSM_EXPOSE_H

#include <stdint.h>

typedef struct {
    int64_t pixels;
    float dark_e_per_ms, full_well_e, read_noise_e, gain_e_per_adu, offset_adu, most_adu;
    const float *response;   /* [pixel] at least 0 */
    const float *dark_e;     /* [pixel] offset of each pixel */
    const float *normal;     /* [65536] quantiles */
    const float *exposure_ms; /* [row] */
    const uint32_t *key;     /* [row, 2] */
    const uint32_t *number;  /* [row] */
} lsm_exposure;

/* adu [row, pixel] from rate [row, pixel] in electrons per ms. */
typedef void lsm_expose_fn(const lsm_exposure *, const float *rate, int32_t *adu, int64_t first_row, int64_t end_row);

#endif
