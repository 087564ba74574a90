/* Every function of lamps.c on buffers of exactly their size, against sums in double precision. */
#include "lamps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

lsm_mix_fn lsm_mix_run;
lsm_mix_back_fn lsm_mix_back_run;
lsm_widen_fn lsm_widen_run;

static double decoded(uint16_t half)
{
    int exponent = (half >> 10) & 31, fraction = half & 1023;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -size : size;
}

static uint32_t state = 1;
static uint32_t next(void) { return state = state * 1664525u + 1013904223u; }
/* finite, of either sign, between 2^-24 and 4 */
static uint16_t half(void) { return (uint16_t)(((next() >> 8) % 0x4400u) | ((next() >> 3) & 0x8000u)); }
static float weight(void) { return next() >> 30 ? (float)(next() >> 8) / (1 << 23) - 1 : 0; }

static int differ(double found, double expected, double scale) { return fabs(found - expected) > 1e-5 * scale + 1e-30; }

static int every_half(void)
{
    int wrong = 0;
    uint16_t *images = malloc(65536 * sizeof *images);
    float *wide = malloc(65536 * sizeof *wide);
    const int64_t row = 0;
    int64_t count = 0;
    for (int h = 0; h < 65536; h++)
        if ((h & 0x7c00) != 0x7c00)
            images[count++] = (uint16_t)h;
    const lsm_lamps g = {1, count, 0, 0, images, &row};
    lsm_widen_run(&g, wide, 0, 1);
    for (int64_t i = 0; i < count; i++)
        wrong += wide[i] != (float)decoded(images[i]);
    free(images);
    free(wide);
    return wrong;
}

static int one(int64_t lamps, int64_t pixels, int64_t captures, int shared)
{
    enum { STORED = 3, ROWS = 4 };
    const int64_t rows[ROWS] = {2, 0, 2, 1}, sets = shared ? 1 : ROWS;
    size_t image = (size_t)(lamps * pixels), mixed = (size_t)(captures * pixels), set = (size_t)(captures * lamps);
    uint16_t *images = malloc(STORED * image * sizeof *images);
    float *weights = malloc((size_t)sets * set * sizeof *weights), *sums = malloc(ROWS * mixed * sizeof *sums);
    float *grad = malloc(ROWS * mixed * sizeof *grad), *products = malloc(ROWS * set * sizeof *products);
    for (size_t i = 0; i < STORED * image; i++)
        images[i] = half();
    for (size_t i = 0; i < (size_t)sets * set; i++)
        weights[i] = weight();
    for (size_t i = 0; i < ROWS * mixed; i++)
        grad[i] = weight();
    const lsm_lamps g = {lamps, pixels, captures, shared ? 0 : (int64_t)set, images, rows};
    /* in two parts, as two threads share them */
    lsm_mix_run(&g, weights, sums, 0, 1);
    lsm_mix_run(&g, weights, sums, 1, ROWS);
    lsm_mix_back_run(&g, grad, products, 0, 3);
    lsm_mix_back_run(&g, grad, products, 3, ROWS);
    int wrong = 0;
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t c = 0; c < captures; c++) {
            const float *w = weights + (shared ? 0 : r * (int64_t)set) + c * lamps;
            for (int64_t p = 0; p < pixels; p++) {
                double sum = 0;
                for (int64_t l = 0; l < lamps; l++)
                    sum += (double)w[l] * decoded(images[(rows[r] * lamps + l) * pixels + p]);
                wrong += differ(sums[(r * captures + c) * pixels + p], sum, 4.0 * (double)lamps);
            }
            for (int64_t l = 0; l < lamps; l++) {
                double sum = 0;
                for (int64_t p = 0; p < pixels; p++)
                    sum += (double)grad[(r * captures + c) * pixels + p] * decoded(images[(rows[r] * lamps + l) * pixels + p]);
                wrong += differ(products[(r * captures + c) * lamps + l], sum, 4.0 * (double)pixels);
            }
        }
    free(images);
    free(weights);
    free(sums);
    free(grad);
    free(products);
    return wrong;
}

int main(void)
{
    const int64_t lamps[] = {1, 2, 5, 9}, pixels[] = {1, 4, 16, 31, 81}, captures[] = {1, 2, 3, 4, 5, 9};
    int wrong = every_half(), runs = 0;
    printf("every half: %d wrong\n", wrong);
    for (int l = 0; l < 4; l++)
        for (int p = 0; p < 5; p++)
            for (int c = 0; c < 6; c++)
                for (int shared = 0; shared < 2; shared++, runs++)
                    wrong += one(lamps[l], pixels[p], captures[c], shared);
    printf("%d runs, %d wrong\n", runs, wrong);
    return wrong != 0;
}
