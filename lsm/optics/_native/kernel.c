/* Compiled once per instruction set and precision, with REAL, LANES, and ENTRY(name). */
#include "led_images.h"

#include <stdlib.h>
#include <string.h>

#include "fft.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define ENTRY(name) PASTE(name, SUFFIX)

/* What one thread needs. A plane is stored row by row; rows are `pitch` numbers apart, a whole number
   of vectors plus one, so that a column of vectors does not fall into few cache sets. */
typedef struct {
    const lsm_geometry *g;
    int64_t window_pitch, grid_pitch;
    REAL *window_re, *window_im; /* [k, k]: what the pupil passed, rows y */
    REAL *half_re, *half_im;     /* [k, n]: transformed along y; rows x of the window */
    REAL *sum;                   /* [n, n]: weighted intensity; rows x */
    REAL *image;                 /* [n, n]: rows y */
    SPACE space, other;          /* for transforms; `other` holds a second result */
    void *memory;
} WORK;

static int64_t padded(int64_t n) { return (n + LANES - 1) / LANES * LANES + LANES; }

static int open_work(WORK *w, const lsm_geometry *g)
{
    int64_t k = g->window_px, n = g->grid_px;
    w->g = g;
    w->window_pitch = padded(k);
    w->grid_pitch = padded(n);
    /* blocks of whole vectors are read and written in both directions */
    int64_t k_rows = padded(k), n_rows = padded(n);
    int64_t window = k_rows * w->window_pitch, half = k_rows * w->grid_pitch, plane = n_rows * w->grid_pitch;
    int64_t space = n_rows * LANES;
    int64_t total = 2 * window + 2 * half + 2 * plane + 8 * space;
    size_t bytes = ((size_t)total * sizeof(REAL) + 63) / 64 * 64;
    w->memory = aligned_alloc(64, bytes);
    if (!w->memory)
        return 1;
    memset(w->memory, 0, bytes);
    REAL *at = w->memory;
    w->window_re = at, at += window;
    w->window_im = at, at += window;
    w->half_re = at, at += half;
    w->half_im = at, at += half;
    w->sum = at, at += plane;
    w->image = at, at += plane;
    for (int i = 0; i < 2; i++) {
        w->space.re[i] = (VEC *)at, at += space;
        w->space.im[i] = (VEC *)at, at += space;
        w->other.re[i] = (VEC *)at, at += space;
        w->other.im[i] = (VEC *)at, at += space;
    }
    return 0;
}

INLINE void store(REAL *to, VEC v) { *(VEC *)to = v; }

/* to[i][j] = from[j][i] for one block of LANES x LANES. */
INLINE void transpose(const REAL *from, int64_t from_pitch, REAL *to, int64_t to_pitch)
{
#if defined(__GNUC__) && !defined(__clang__)
    typedef INDEX ORDER __attribute__((vector_size(LANES * sizeof(REAL))));
    VEC v[LANES];
    for (int i = 0; i < LANES; i++)
        v[i] = load(from + i * from_pitch);
#pragma GCC unroll 8
    for (int s = 1; s < LANES; s *= 2) {
        ORDER low, high;
        for (int i = 0; i < LANES; i++) {
            low[i] = (i & s) ? LANES + i - s : i;
            high[i] = (i & s) ? LANES + i : i + s;
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            if (!(i & s)) {
                VEC a = v[i], b = v[i + s];
                v[i] = __builtin_shuffle(a, b, low);
                v[i + s] = __builtin_shuffle(a, b, high);
            }
    }
    for (int i = 0; i < LANES; i++)
        store(to + i * to_pitch, v[i]);
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            to[i * to_pitch + j] = from[j * from_pitch + i];
#endif
}

static const int32_t *extent_of(const WORK *w, int64_t source, int64_t y)
{
    return w->g->extent + 2 * (source * w->g->window_px + y);
}

static const REAL *table_of(const WORK *w, int64_t sample, int64_t source)
{
    const lsm_geometry *g = w->g;
    if (!g->table)
        return NULL;
    return (const REAL *)g->table + 2 * (sample * g->table_batch_stride + source * g->window_px * g->window_px);
}

/* A run of `length` bins: from (complex) times table (complex, or null for 1), to split planes. */
INLINE void pass_pupil(const REAL *from, const REAL *table, int64_t length, REAL *re, REAL *im)
{
    if (!table) {
        for (int64_t i = 0; i < length; i++) {
            re[i] = from[2 * i];
            im[i] = from[2 * i + 1];
        }
        return;
    }
    for (int64_t i = 0; i < length; i++) {
        re[i] = from[2 * i] * table[2 * i] - from[2 * i + 1] * table[2 * i + 1];
        im[i] = from[2 * i] * table[2 * i + 1] + from[2 * i + 1] * table[2 * i];
    }
}

/* The spectrum under the pupil, into window_re and window_im; zero outside the aperture. */
static void gather(WORK *w, const REAL *spectrum, int64_t sample, int64_t source)
{
    const lsm_geometry *g = w->g;
    int64_t n = g->sample_px, k = g->window_px;
    const REAL *table = table_of(w, sample, source);
    for (int64_t y = 0; y < k; y++) {
        const int32_t *extent = extent_of(w, source, y);
        int64_t begin = extent[0], end = extent[1];
        REAL *re = w->window_re + y * w->window_pitch, *im = w->window_im + y * w->window_pitch;
        if (begin >= end)
            begin = end = k;
        for (int64_t i = 0; i < begin; i++)
            re[i] = im[i] = 0;
        for (int64_t i = end; i < w->window_pitch; i++)
            re[i] = im[i] = 0;
        const REAL *row = spectrum + 2 * n * ((g->row[source] + y) % n);
        for (int64_t x = begin; x < end;) {
            int64_t bin = (g->column[source] + x) % n;
            int64_t length = end - x < n - bin ? end - x : n - bin;
            pass_pupil(row + 2 * bin, table ? table + 2 * (y * k + x) : NULL, length, re + x, im + x);
            x += length;
        }
    }
}

/* window -> half: inverse transform along y, for each column x of the window. */
static void along_y(WORK *w)
{
    const lsm_geometry *g = w->g;
    for (int64_t x = 0; x < g->window_px; x += LANES) {
        BLOCK block = {w->window_re + x, w->window_im + x, w->window_pitch, g->window_px};
        int at = transform(g, block, w->space);
        const REAL *re = (const REAL *)w->space.re[at], *im = (const REAL *)w->space.im[at];
        for (int64_t y = 0; y < g->grid_px; y += LANES) {
            transpose(re + y * LANES, LANES, w->half_re + x * w->grid_pitch + y, w->grid_pitch);
            transpose(im + y * LANES, LANES, w->half_im + x * w->grid_pitch + y, w->grid_pitch);
        }
    }
}

/* half -> sum: inverse transform along x, and the weighted squared magnitude. */
static void along_x(WORK *w, REAL weight, int add)
{
    const lsm_geometry *g = w->g;
    int64_t n = g->grid_px;
    for (int64_t y = 0; y < n; y += LANES) {
        BLOCK block = {w->half_re + y, w->half_im + y, w->grid_pitch, g->window_px};
        int at = transform(g, block, w->space);
        const VEC *re = w->space.re[at], *im = w->space.im[at];
        for (int64_t x = 0; x < n; x++) {
            REAL *sum = w->sum + x * w->grid_pitch + y;
            VEC magnitude = (re[x] * re[x] + im[x] * im[x]) * weight;
            if (add)
                magnitude += load(sum);
            store(sum, magnitude);
        }
    }
}

/* The transfer function along the first axis of a plane [n, n], in place; two vector columns at a time. */
static void filter_rows(WORK *w, REAL *plane)
{
    const lsm_geometry *g = w->g;
    const REAL *transfer = g->transfer;
    int64_t n = g->grid_px, pitch = w->grid_pitch;
    /* the last columns are paired with padding; what an earlier image left there would show in the last bit */
    int64_t paired = (n + 2 * LANES - 1) / (2 * LANES) * (2 * LANES);
    for (int64_t i = 0; i < n && paired > n; i++)
        memset(plane + i * pitch + n, 0, (size_t)(paired - n) * sizeof(REAL));
    for (int64_t c = 0; c < n; c += 2 * LANES) {
        BLOCK pair = {plane + c, plane + c + LANES, pitch, n};
        /* real and imaginary part change places: the transform of sign e^{-i} */
        BLOCK swapped = {pair.im, pair.re, pitch, n};
        int at = transform(g, swapped, w->space);
        VEC *re = w->space.im[at], *im = w->space.re[at];
        for (int64_t f = 0; f < n; f++) {
            re[f] *= transfer[f];
            im[f] *= transfer[f];
        }
        BLOCK spectrum = {(const REAL *)re, (const REAL *)im, LANES, n};
        at = transform(g, spectrum, w->other);
        for (int64_t i = 0; i < n; i++) {
            store(plane + i * pitch + c, w->other.re[at][i]);
            store(plane + i * pitch + c + LANES, w->other.im[at][i]);
        }
    }
}

static void transpose_plane(const WORK *w, const REAL *from, REAL *to)
{
    int64_t n = w->g->grid_px, pitch = w->grid_pitch;
    for (int64_t i = 0; i < n; i += LANES)
        for (int64_t j = 0; j < n; j += LANES)
            transpose(from + i * pitch + j, pitch, to + j * pitch + i, pitch);
}

static int64_t image_offset(const lsm_geometry *g, int64_t sample, int64_t group)
{
    return sample * g->image_batch_stride + group * g->camera_px * g->camera_px;
}

static void write_image(const WORK *w, REAL *to)
{
    const lsm_geometry *g = w->g;
    for (int64_t y = 0; y < g->camera_px; y++) {
        const REAL *row = w->image + (g->first + y * g->step) * w->grid_pitch + g->first;
        if (g->step == 1)
            memcpy(to + y * g->camera_px, row, (size_t)g->camera_px * sizeof(REAL));
        else
            for (int64_t x = 0; x < g->camera_px; x++)
                to[y * g->camera_px + x] = row[x * g->step];
    }
}

int ENTRY(lsm_forward)(const lsm_geometry *g, const void *spectrum, void *images, int64_t first_job, int64_t end_job)
{
    WORK w;
    if (open_work(&w, g))
        return 1;
    const REAL *weight = g->weight;
    for (int64_t job = first_job; job < end_job; job++) {
        int64_t sample = job / g->groups, group = job % g->groups, begin = g->group_start[group];
        const REAL *bins = (const REAL *)spectrum + 2 * sample * g->sample_px * g->sample_px;
        if (begin == g->group_start[group + 1]) {
            memset((REAL *)images + image_offset(g, sample, group), 0,
                   (size_t)(g->camera_px * g->camera_px) * sizeof(REAL));
            continue;
        }
        for (int64_t source = begin; source < g->group_start[group + 1]; source++) {
            gather(&w, bins, sample, source);
            along_y(&w);
            along_x(&w, weight ? weight[source] : 1, source > begin);
        }
        if (g->transfer)
            filter_rows(&w, w.sum);
        transpose_plane(&w, w.sum, w.image);
        if (g->transfer)
            filter_rows(&w, w.image);
        write_image(&w, (REAL *)images + image_offset(g, sample, group));
    }
    free(w.memory);
    return 0;
}

/* grad image -> sum: the gradient of the intensity, rows x. */
static void spread_image(WORK *w, const REAL *grad)
{
    const lsm_geometry *g = w->g;
    int64_t n = g->grid_px;
    for (int64_t y = 0; y < n; y++)
        memset(w->image + y * w->grid_pitch, 0, (size_t)n * sizeof(REAL));
    for (int64_t y = 0; y < g->camera_px; y++) {
        REAL *row = w->image + (g->first + y * g->step) * w->grid_pitch + g->first;
        for (int64_t x = 0; x < g->camera_px; x++)
            row[x * g->step] = grad[y * g->camera_px + x];
    }
    if (g->transfer)
        filter_rows(w, w->image);
    transpose_plane(w, w->image, w->sum);
    if (g->transfer)
        filter_rows(w, w->sum);
}

/* half -> half: the field along x times twice its intensity's gradient, back to the window's x.
   Returns the sum of gradient times intensity, which is the gradient of the weight. */
static REAL back_along_x(WORK *w, REAL weight)
{
    const lsm_geometry *g = w->g;
    int64_t n = g->grid_px;
    REAL total = 0;
    for (int64_t y = 0; y < n; y += LANES) {
        VEC dot = {0};
        BLOCK block = {w->half_re + y, w->half_im + y, w->grid_pitch, g->window_px};
        int at = transform(g, block, w->space);
        VEC *re = w->space.re[at], *im = w->space.im[at];
        for (int64_t x = 0; x < n; x++) {
            VEC grad = load(w->sum + x * w->grid_pitch + y);
            dot += grad * (re[x] * re[x] + im[x] * im[x]);
            grad *= 2 * weight;
            re[x] *= grad;
            im[x] *= grad;
        }
        BLOCK swapped = {(const REAL *)im, (const REAL *)re, LANES, n};
        at = transform(g, swapped, w->other);
        for (int64_t x = 0; x < g->window_px; x++) {
            store(w->half_re + x * w->grid_pitch + y, w->other.im[at][x]);
            store(w->half_im + x * w->grid_pitch + y, w->other.re[at][x]);
        }
        for (int64_t i = 0; i < LANES && y + i < n; i++)
            total += dot[i];
    }
    return total;
}

/* half -> window: transform along y, keeping the window's rows. */
static void back_along_y(WORK *w)
{
    const lsm_geometry *g = w->g;
    for (int64_t x = 0; x < g->window_px; x += LANES) {
        REAL *re = (REAL *)w->other.re[0], *im = (REAL *)w->other.im[0];
        for (int64_t y = 0; y < g->grid_px; y += LANES) {
            transpose(w->half_re + x * w->grid_pitch + y, w->grid_pitch, re + y * LANES, LANES);
            transpose(w->half_im + x * w->grid_pitch + y, w->grid_pitch, im + y * LANES, LANES);
        }
        BLOCK swapped = {im, re, LANES, g->grid_px};
        int at = transform(g, swapped, w->space);
        for (int64_t y = 0; y < g->window_px; y++) {
            store(w->window_re + y * w->window_pitch + x, w->space.im[at][y]);
            store(w->window_im + y * w->window_pitch + x, w->space.re[at][y]);
        }
    }
}

/* window -> gradients of spectrum and table: the adjoint of `gather`. */
static void scatter(WORK *w, const REAL *spectrum, REAL *grad_spectrum, REAL *grad_table, int64_t sample,
                    int64_t source)
{
    const lsm_geometry *g = w->g;
    int64_t n = g->sample_px, k = g->window_px;
    const REAL *table = table_of(w, sample, source);
    REAL *to = grad_table ? grad_table + (table - (const REAL *)g->table) : NULL;
    for (int64_t y = 0; y < k; y++) {
        const int32_t *extent = extent_of(w, source, y);
        const REAL *re = w->window_re + y * w->window_pitch, *im = w->window_im + y * w->window_pitch;
        int64_t row = 2 * n * ((g->row[source] + y) % n);
        for (int64_t x = extent[0]; x < extent[1];) {
            int64_t bin = (g->column[source] + x) % n;
            int64_t length = extent[1] - x < n - bin ? extent[1] - x : n - bin;
            const REAL *from = spectrum + row + 2 * bin, *pupil = table ? table + 2 * (y * k + x) : NULL;
            REAL *grad = grad_spectrum + row + 2 * bin;
            for (int64_t i = 0; i < length; i++) {
                REAL p_re = pupil ? pupil[2 * i] : 1, p_im = pupil ? pupil[2 * i + 1] : 0;
                grad[2 * i] += p_re * re[x + i] + p_im * im[x + i];
                grad[2 * i + 1] += p_re * im[x + i] - p_im * re[x + i];
            }
            for (int64_t i = 0; to && i < length; i++) {
                REAL *cell = to + 2 * (y * k + x + i);
                cell[0] += from[2 * i] * re[x + i] + from[2 * i + 1] * im[x + i];
                cell[1] += from[2 * i] * im[x + i] - from[2 * i + 1] * re[x + i];
            }
            x += length;
        }
    }
}

int ENTRY(lsm_backward)(const lsm_geometry *g, const void *spectrum, const void *grad_images, void *grad_spectrum,
                        void *grad_table, void *grad_weight, int64_t first_job, int64_t end_job)
{
    WORK w;
    if (open_work(&w, g))
        return 1;
    const REAL *weight = g->weight;
    for (int64_t job = first_job; job < end_job; job++) {
        int64_t sample = job / g->groups, group = job % g->groups;
        int64_t offset = 2 * sample * g->sample_px * g->sample_px;
        const REAL *bins = (const REAL *)spectrum + offset;
        spread_image(&w, (const REAL *)grad_images + image_offset(g, sample, group));
        for (int64_t source = g->group_start[group]; source < g->group_start[group + 1]; source++) {
            gather(&w, bins, sample, source);
            along_y(&w);
            REAL dot = back_along_x(&w, weight ? weight[source] : 1);
            if (grad_weight)
                ((REAL *)grad_weight)[source] += dot;
            back_along_y(&w);
            scatter(&w, bins, (REAL *)grad_spectrum + offset, grad_table, sample, source);
        }
    }
    free(w.memory);
    return 0;
}
