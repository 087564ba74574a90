/* One intensity image per group of light sources, from the spectrum of a thin sample; and its adjoint.

   For each source: the k x k window of the spectrum, times the pupil, back to an n x n grid, squared
   magnitude. The sources of a group add up with their weights. With a transfer function the sum is
   averaged over the camera pixel. A thread works on one (sample, group) at a time, in its own scratch. */
#ifndef LSM_LED_IMAGES_H
#define LSM_LED_IMAGES_H

#include <stdint.h>

#define LSM_ABI 3
#define LSM_MAX_STAGES 16

/* Real numbers are float or double after the function's suffix; complex ones are interleaved. */
typedef struct {
    int64_t sample_px;              /* side of the spectrum, N */
    int64_t window_px;              /* side of the window under the pupil, k <= n, k <= N */
    int64_t grid_px;                /* side of the transform, n */
    int64_t step, first, camera_px; /* grid points first + i * step are the pixels i of the image */
    int64_t groups;                 /* images per sample */
    int64_t image_batch_stride;     /* numbers from one sample's first image to the next sample's */
    int64_t table_batch_stride;     /* complex numbers from one sample's table to the next; 0: one for all */
    int64_t stages;                 /* of the transform */
    int64_t radix[LSM_MAX_STAGES];
    const int32_t *row, *column;    /* [source] first bin of the window, 0..N-1; windows wrap around */
    const int32_t *extent;          /* [source, k, 2] first and one past the last bin inside the aperture */
    const int32_t *group_start;     /* [groups + 1] sources of a group lie side by side */
    const void *table;              /* [sample or 1, source, k, k] complex pupil, or null */
    const void *weight;             /* [source] or null for 1 */
    const void *transfer;           /* [n] pixel transfer function along one axis, or null for points */
    const void *twiddle;            /* per stage, per butterfly p, per output j >= 1: cosine, sine */
} lsm_geometry;

/* Jobs are numbered sample * groups + group. Return 0, or 1 when memory ran out or the radix is unknown. */
typedef int lsm_forward_fn(const lsm_geometry *, const void *spectrum, void *images, int64_t first_job, int64_t end_job);

/* Adds to grad_spectrum [sample, N, N]; adds to grad_table and grad_weight unless they are null. */
typedef int lsm_backward_fn(const lsm_geometry *, const void *spectrum, const void *grad_images, void *grad_spectrum,
                            void *grad_table, void *grad_weight, int64_t first_job, int64_t end_job);

#endif
