/* Compiled once per instruction set, with SUFFIX. Loops run over small arrays, so that compilers can use vectors. */
#include "expose.h"

#include <math.h>

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define ENTRY(name) PASTE(name, SUFFIX)
#define INLINE static inline __attribute__((always_inline))

#define ROUNDS 10
/* counters that are worked on together, and the pixels that they serve */
#define BLOCKS 16
#define PIXELS (4 * BLOCKS)
/* below this charge the shot noise no longer shrinks; torch's path has it for its derivative */
#define LEAST_E 1e-3f

INLINE void words(uint32_t first_block, uint32_t number, uint32_t first, uint32_t second, uint32_t out[4][BLOCKS])
{
    uint32_t *a = out[0], *b = out[1], *c = out[2], *d = out[3];
    for (uint32_t i = 0; i < BLOCKS; i++) {
        a[i] = first_block + i;
        b[i] = number;
        c[i] = d[i] = 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            const uint64_t left = (uint64_t)a[i] * 0xD2511F53u, right = (uint64_t)c[i] * 0xCD9E8D57u;
            a[i] = (uint32_t)(right >> 32) ^ b[i] ^ first;
            b[i] = (uint32_t)right;
            c[i] = (uint32_t)(left >> 32) ^ d[i] ^ second;
            d[i] = (uint32_t)left;
        }
        first += 0x9E3779B9u;
        second += 0xBB67AE85u;
    }
}

INLINE int32_t digits(const lsm_exposure *g, float rate, float exposure_ms, int64_t pixel, uint32_t word)
{
    float mean = rate * exposure_ms * g->response[pixel] + g->dark_e_per_ms * exposure_ms;
    mean = mean > 0 ? mean : 0;
    float charge = mean + sqrtf(mean > LEAST_E ? mean : LEAST_E) * g->normal[word & 0xffff];
    charge = charge < g->full_well_e ? charge : g->full_well_e;
    charge += g->dark_e[pixel] + g->read_noise_e * g->normal[word >> 16];
    float adu = rintf(charge / g->gain_e_per_adu + g->offset_adu);
    adu = adu > 0 ? adu : 0;
    return (int32_t)(adu < g->most_adu ? adu : g->most_adu);
}

void ENTRY(lsm_expose)(const lsm_exposure *g, const float *rate, int32_t *adu, int64_t first_row, int64_t end_row)
{
    for (int64_t row = first_row; row < end_row; row++) {
        const float exposure_ms = g->exposure_ms[row], *light = rate + row * g->pixels;
        int32_t *out = adu + row * g->pixels;
        for (int64_t pixel = 0; pixel < g->pixels; pixel += PIXELS) {
            uint32_t random[4][BLOCKS];
            words((uint32_t)(pixel / 4), g->number[row], g->key[2 * row], g->key[2 * row + 1], random);
            const int64_t left = g->pixels - pixel, blocks = (left < PIXELS ? left + 3 : PIXELS) / 4;
            for (int64_t i = 0; i < blocks; i++)
                for (int64_t k = 0; k < 4 && 4 * i + k < left; k++) {
                    const int64_t p = pixel + 4 * i + k;
                    out[p] = digits(g, light[p], exposure_ms, p, random[k][i]);
                }
        }
    }
}
