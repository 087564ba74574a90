/* Runs the kernel on buffers of exactly the promised size, for a sanitizer to watch. Prints a checksum. */
#include "led_images.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

lsm_forward_fn lsm_forward_run;
lsm_backward_fn lsm_backward_run;

static REAL *numbers(int64_t count)
{
    REAL *made = malloc((size_t)count * sizeof(REAL));
    for (int64_t i = 0; i < count; i++)
        made[i] = (REAL)((double)(i * 7919 % 1009) / 1009 - 0.5);
    return made;
}

static int factors(int64_t n, lsm_geometry *g)
{
    static const int radices[] = {8, 7, 5, 3, 4, 2};
    int64_t twiddles = 0, length = n;
    g->stages = 0;
    for (int i = 0; i < 6; i++)
        for (; n % radices[i] == 0; n /= radices[i]) {
            g->radix[g->stages++] = radices[i];
            twiddles += length / radices[i] * (radices[i] - 1) * 2;
            length /= radices[i];
        }
    g->twiddle = numbers(twiddles);
    return n == 1;
}

static double run(int64_t n, int64_t k, int64_t step, int64_t margin, int with_table, int with_filter)
{
    enum { SAMPLES = 2, SOURCES = 4, GROUPS = 3 };
    static const int32_t starts[GROUPS + 1] = {0, 1, 1, SOURCES};
    int64_t spectrum_px = 2 * k + 1, side = n / step - 2 * margin;
    lsm_geometry g = {.sample_px = spectrum_px, .window_px = k, .grid_px = n, .step = step, .first = step * margin,
                      .camera_px = side, .groups = GROUPS, .image_batch_stride = GROUPS * side * side,
                      .group_start = starts};
    if (!factors(n, &g))
        return NAN;
    int32_t *row = malloc(SOURCES * sizeof *row), *column = malloc(SOURCES * sizeof *column);
    int32_t *extent = malloc((size_t)(SOURCES * k * 2) * sizeof *extent);
    for (int32_t s = 0; s < SOURCES; s++) {
        row[s] = (int32_t)((spectrum_px - 1 + s) % spectrum_px); /* windows that wrap around */
        column[s] = (int32_t)((spectrum_px - k + 2 * s) % spectrum_px);
        for (int64_t y = 0; y < k; y++) {
            extent[2 * (s * k + y)] = y % 3 == 2 ? 0 : (int32_t)(y % 2);
            extent[2 * (s * k + y) + 1] = y % 3 == 2 ? 0 : (int32_t)k;
        }
    }
    g.row = row, g.column = column, g.extent = extent;
    REAL *table = numbers(2 * SOURCES * k * k), *weight = numbers(SOURCES), *filter = numbers(n);
    g.table = with_table ? table : NULL;
    g.weight = with_table ? weight : NULL;
    g.transfer = with_filter ? filter : NULL;
    REAL *spectrum = numbers(2 * SAMPLES * spectrum_px * spectrum_px);
    REAL *images = numbers(SAMPLES * GROUPS * side * side);
    REAL *to_spectrum = numbers(2 * SAMPLES * spectrum_px * spectrum_px);
    REAL *to_table = numbers(2 * SOURCES * k * k), *to_weight = numbers(SOURCES);
    double sum = 0;
    if (lsm_forward_run(&g, spectrum, images, 0, SAMPLES * GROUPS) ||
        lsm_backward_run(&g, spectrum, images, to_spectrum, with_table ? to_table : NULL,
                         with_table ? to_weight : NULL, 0, SAMPLES * GROUPS))
        return NAN;
    for (int64_t i = 0; i < SAMPLES * GROUPS * side * side; i++)
        sum += (double)images[i] * (double)(i % 17);
    free(row), free(column), free(extent), free(table), free(weight), free(filter), free(spectrum), free(images);
    free(to_spectrum), free(to_table), free(to_weight), free((void *)g.twiddle);
    return sum;
}

int main(void)
{
    static const int64_t sides[] = {4, 7, 8, 12, 15, 16, 21, 40, 64};
    for (unsigned i = 0; i < sizeof sides / sizeof *sides; i++)
        for (int option = 0; option < 4; option++) {
            int64_t n = sides[i];
            int64_t step = n % 2 ? 1 : 2;
            double sum = run(n, n / 2 + 1, step, n > 12, option & 1, option & 2);
            if (!isfinite(sum))
                return 1;
            printf("%lld %d %.6g\n", (long long)n, option, sum);
        }
    return 0;
}
