/* Picks the widest instruction set that this processor has. */
#define _DEFAULT_SOURCE
#include "expose.h"
#include "lamps.h"
#include "led_images.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#define VARIANT(set)                                                                                                 \
    lsm_forward_fn lsm_forward_f32_##set, lsm_forward_f64_##set;                                                     \
    lsm_backward_fn lsm_backward_f32_##set, lsm_backward_f64_##set;                                                  \
    lsm_mix_fn lsm_mix_##set;                                                                                        \
    lsm_mix_back_fn lsm_mix_back_##set;                                                                              \
    lsm_widen_fn lsm_widen_##set;                                                                                    \
    lsm_expose_fn lsm_expose_##set;

typedef struct {
    const char *name;
    lsm_forward_fn *forward[2];
    lsm_backward_fn *backward[2];
    lsm_mix_fn *mix;
    lsm_mix_back_fn *mix_back;
    lsm_widen_fn *widen;
    lsm_expose_fn *expose;
} variant;

#define ENTRIES(set)                                                                                                 \
    {                                                                                                                \
        #set, {lsm_forward_f32_##set, lsm_forward_f64_##set}, {lsm_backward_f32_##set, lsm_backward_f64_##set},      \
            lsm_mix_##set, lsm_mix_back_##set, lsm_widen_##set, lsm_expose_##set                                     \
    }

VARIANT(generic)
#ifdef LSM_X86
VARIANT(avx2)
VARIANT(avx512)
#endif

static const variant *chosen(void)
{
    static const variant generic = ENTRIES(generic);
#ifdef LSM_X86
    static const variant avx2 = ENTRIES(avx2), avx512 = ENTRIES(avx512);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &avx2; /* a processor with AVX2 has F16C, which not every compiler can ask for */
#endif
    return &generic;
}

int lsm_abi(void) { return LSM_ABI; }

const char *lsm_instruction_set(void) { return chosen()->name; }

int lsm_forward(int is_double, const lsm_geometry *g, const void *spectrum, void *images, int64_t first_job,
                int64_t end_job)
{
    return chosen()->forward[is_double](g, spectrum, images, first_job, end_job);
}

int lsm_backward(int is_double, const lsm_geometry *g, const void *spectrum, const void *grad_images,
                 void *grad_spectrum, void *grad_table, void *grad_weight, int64_t first_job, int64_t end_job)
{
    return chosen()->backward[is_double](g, spectrum, grad_images, grad_spectrum, grad_table, grad_weight, first_job,
                                         end_job);
}

void lsm_mix(const lsm_lamps *g, const float *weight, float *mixed, int64_t first_row, int64_t end_row)
{
    chosen()->mix(g, weight, mixed, first_row, end_row);
}

void lsm_mix_back(const lsm_lamps *g, const float *grad_mixed, float *grad_weight, int64_t first_row, int64_t end_row)
{
    chosen()->mix_back(g, grad_mixed, grad_weight, first_row, end_row);
}

void lsm_widen(const lsm_lamps *g, float *wide, int64_t first_row, int64_t end_row)
{
    chosen()->widen(g, wide, first_row, end_row);
}

void lsm_expose(const lsm_exposure *g, const float *rate, int32_t *adu, int64_t first_row, int64_t end_row)
{
    chosen()->expose(g, rate, adu, first_row, end_row);
}

/* Fresh memory is four times faster to fill in pages of 2 MB than in pages of 4 kB, which is half the
   time of a large stack. A hint: the system may decline. */
void lsm_will_fill(void *memory, int64_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)1 << 21;
    uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page, end = ((uintptr_t)memory + (uintptr_t)bytes) / page * page;
    if (end > begin)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}
