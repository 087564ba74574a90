/* Compiled once per instruction set, with LANES and SUFFIX. Every image is read once, from end to end:
   what limits it is memory. */
#include "lamps.h"

#include <string.h>

#if defined(__F16C__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define ENTRY(name) PASTE(name, SUFFIX)
#define INLINE static inline __attribute__((always_inline))

typedef float VEC __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* lamps that are added at a time, so that the sum is loaded and stored less often */
#define TOGETHER 4
/* numbers of an image between what is summed and what is asked for of memory: far enough for its latency, and over
   the ends of pages, where processors stop looking ahead */
#define AHEAD 1024
/* captures whose gradients are summed in registers at a time */
#define AT_ONCE 4

INLINE float widen_one(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    float value;
    memcpy(&value, &bits, 4);
    value *= 0x1p112f; /* between the biases of the two exponents */
    memcpy(&bits, &value, 4);
    bits |= sign;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE VEC widen(const uint16_t *from)
{
#if LANES == 16 && defined(__AVX512F__)
    return (VEC)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
#elif LANES == 8 && defined(__F16C__)
    return (VEC)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
#else
    VEC wide;
    for (int i = 0; i < LANES; i++)
        wide[i] = widen_one(from[i]);
    return wide;
#endif
}

INLINE void add(const lsm_lamps *g, const uint16_t *images, const int64_t *lit, int count, const float *weight,
                float *sum)
{
    const int64_t pixels = g->pixels, whole = pixels - pixels % LANES;
    const uint16_t *from[TOGETHER];
    for (int k = 0; k < count; k++)
        from[k] = images + lit[k] * pixels;
    for (int64_t p = 0; p < whole; p += LANES) {
        VEC wide[TOGETHER];
        for (int k = 0; k < count; k++) {
            wide[k] = widen(from[k] + p);
            __builtin_prefetch(from[k] + p + AHEAD);
        }
        for (int64_t c = 0; c < g->captures; c++) {
            const float *w = weight + c * g->lamps;
            VEC total = *(VEC *)(sum + c * pixels + p);
            for (int k = 0; k < count; k++)
                total += wide[k] * w[lit[k]];
            *(VEC *)(sum + c * pixels + p) = total;
        }
    }
    for (int64_t p = whole; p < pixels; p++)
        for (int64_t c = 0; c < g->captures; c++)
            for (int k = 0; k < count; k++)
                sum[c * pixels + p] += widen_one(from[k][p]) * weight[c * g->lamps + lit[k]];
}

static int is_lit(const lsm_lamps *g, const float *weight, int64_t lamp)
{
    for (int64_t c = 0; c < g->captures; c++)
        if (weight[c * g->lamps + lamp] != 0)
            return 1;
    return 0;
}

void ENTRY(lsm_mix)(const lsm_lamps *g, const float *weight, float *mixed, int64_t first_row, int64_t end_row)
{
    const int64_t stored = g->lamps * g->pixels, size = g->captures * g->pixels;
    for (int64_t row = first_row; row < end_row; row++) {
        const uint16_t *images = g->images + g->rows[row] * stored;
        const float *w = weight + row * g->weight_stride;
        float *sum = mixed + row * size;
        memset(sum, 0, (size_t)size * sizeof *sum);
        int64_t lit[TOGETHER];
        int count = 0;
        for (int64_t lamp = 0; lamp < g->lamps; lamp++) {
            if (!is_lit(g, w, lamp))
                continue;
            lit[count++] = lamp;
            if (count == TOGETHER) {
                add(g, images, lit, TOGETHER, w, sum);
                count = 0;
            }
        }
        for (int k = 0; k < count; k++)
            add(g, images, lit + k, 1, w, sum);
    }
}

/* Products of `lamps` images with `captures` gradients; both are constants where this is called. */
INLINE void products(const lsm_lamps *g, const uint16_t *images, int lamps, const float *grad, int captures, float *out)
{
    const int64_t pixels = g->pixels, whole = pixels - pixels % LANES;
    VEC total[2][AT_ONCE];
    for (int k = 0; k < lamps; k++)
        for (int c = 0; c < captures; c++)
            total[k][c] = (VEC){0};
    for (int64_t p = 0; p < whole; p += LANES) {
        VEC wide[2];
        for (int k = 0; k < lamps; k++)
            wide[k] = widen(images + k * pixels + p);
        for (int c = 0; c < captures; c++) {
            VEC part = *(const VEC *)(grad + c * pixels + p);
            for (int k = 0; k < lamps; k++)
                total[k][c] += wide[k] * part;
        }
    }
    for (int k = 0; k < lamps; k++)
        for (int c = 0; c < captures; c++) {
            float sum = 0;
            for (int i = 0; i < LANES; i++)
                sum += total[k][c][i];
            for (int64_t p = whole; p < pixels; p++)
                sum += widen_one(images[k * pixels + p]) * grad[c * pixels + p];
            out[c * g->lamps + k] = sum;
        }
}

INLINE void row_products(const lsm_lamps *g, const uint16_t *images, const float *grad, int captures, float *out)
{
    int64_t lamp = 0;
    for (; lamp + 2 <= g->lamps; lamp += 2)
        products(g, images + lamp * g->pixels, 2, grad, captures, out + lamp);
    if (lamp < g->lamps)
        products(g, images + lamp * g->pixels, 1, grad, captures, out + lamp);
}

void ENTRY(lsm_mix_back)(const lsm_lamps *g, const float *grad_mixed, float *grad_weight, int64_t first_row,
                         int64_t end_row)
{
    for (int64_t row = first_row; row < end_row; row++) {
        const uint16_t *images = g->images + g->rows[row] * g->lamps * g->pixels;
        for (int64_t c = 0; c < g->captures; c += AT_ONCE) {
            const float *grad = grad_mixed + (row * g->captures + c) * g->pixels;
            float *out = grad_weight + (row * g->captures + c) * g->lamps;
            switch (g->captures - c) {
            case 1:
                row_products(g, images, grad, 1, out);
                break;
            case 2:
                row_products(g, images, grad, 2, out);
                break;
            case 3:
                row_products(g, images, grad, 3, out);
                break;
            default:
                row_products(g, images, grad, AT_ONCE, out);
            }
        }
    }
}

void ENTRY(lsm_widen)(const lsm_lamps *g, float *wide, int64_t first_row, int64_t end_row)
{
    const int64_t stored = g->lamps * g->pixels, whole = stored - stored % LANES;
    for (int64_t row = first_row; row < end_row; row++) {
        const uint16_t *from = g->images + g->rows[row] * stored;
        float *to = wide + row * stored;
        for (int64_t i = 0; i < whole; i += LANES)
            *(VEC *)(to + i) = widen(from + i);
        for (int64_t i = whole; i < stored; i++)
            to[i] = widen_one(from[i]);
    }
}
