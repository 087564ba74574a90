/* Transforms along the first axis of [n] vectors, one transform per lane: Stockham, radices 2 3 4 5 7 8.

   The sign is e^{+i}; swapping real and imaginary parts on both sides gives e^{-i}. Included once per
   precision, with REAL and LANES set; the names get a suffix by the including file. */

typedef REAL VEC __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE void butterfly2(VEC *r, VEC *i)
{
    VEC br = r[1], bi = i[1];
    r[1] = r[0] - br;
    i[1] = i[0] - bi;
    r[0] = r[0] + br;
    i[0] = i[0] + bi;
}

INLINE void butterfly4(VEC *r, VEC *i)
{
    VEC sum_r = r[0] + r[2], sum_i = i[0] + i[2], dif_r = r[0] - r[2], dif_i = i[0] - i[2];
    VEC odd_r = r[1] + r[3], odd_i = i[1] + i[3], turn_r = i[3] - i[1], turn_i = r[1] - r[3];
    r[0] = sum_r + odd_r;
    i[0] = sum_i + odd_i;
    r[1] = dif_r + turn_r;
    i[1] = dif_i + turn_i;
    r[2] = sum_r - odd_r;
    i[2] = sum_i - odd_i;
    r[3] = dif_r - turn_r;
    i[3] = dif_i - turn_i;
}

INLINE void butterfly8(VEC *r, VEC *i)
{
    const REAL h = (REAL)0.70710678118654752440;
    VEC er[4] = {r[0], r[2], r[4], r[6]}, ei[4] = {i[0], i[2], i[4], i[6]};
    VEC or[4] = {r[1], r[3], r[5], r[7]}, oi[4] = {i[1], i[3], i[5], i[7]};
    butterfly4(er, ei);
    butterfly4(or, oi);
    VEC w1r = (or[1] - oi[1]) * h, w1i = (or[1] + oi[1]) * h;
    VEC w2r = -oi[2], w2i = or[2];
    VEC w3r = (-or[3] - oi[3]) * h, w3i = (or[3] - oi[3]) * h;
    r[0] = er[0] + or[0];
    i[0] = ei[0] + oi[0];
    r[4] = er[0] - or[0];
    i[4] = ei[0] - oi[0];
    r[1] = er[1] + w1r;
    i[1] = ei[1] + w1i;
    r[5] = er[1] - w1r;
    i[5] = ei[1] - w1i;
    r[2] = er[2] + w2r;
    i[2] = ei[2] + w2i;
    r[6] = er[2] - w2r;
    i[6] = ei[2] - w2i;
    r[3] = er[3] + w3r;
    i[3] = ei[3] + w3i;
    r[7] = er[3] - w3r;
    i[7] = ei[3] - w3i;
}

/* cosine and sine of 2 pi j / R for j = 0..R-1 */
static const REAL COS3[3] = {(REAL)1, (REAL)-0.5, (REAL)-0.5};
static const REAL SIN3[3] = {(REAL)0, (REAL)0.86602540378443864676, (REAL)-0.86602540378443864676};
static const REAL COS5[5] = {(REAL)1, (REAL)0.30901699437494742410, (REAL)-0.80901699437494742410,
                             (REAL)-0.80901699437494742410, (REAL)0.30901699437494742410};
static const REAL SIN5[5] = {(REAL)0, (REAL)0.95105651629515357212, (REAL)0.58778525229247312917,
                             (REAL)-0.58778525229247312917, (REAL)-0.95105651629515357212};
static const REAL COS7[7] = {(REAL)1, (REAL)0.62348980185873353053, (REAL)-0.22252093395631440429,
                             (REAL)-0.90096886790241912624, (REAL)-0.90096886790241912624,
                             (REAL)-0.22252093395631440429, (REAL)0.62348980185873353053};
static const REAL SIN7[7] = {(REAL)0, (REAL)0.78183148246802980871, (REAL)0.97492791218182360702,
                             (REAL)0.43388373911755812048, (REAL)-0.43388373911755812048,
                             (REAL)-0.97492791218182360702, (REAL)-0.78183148246802980871};

INLINE void butterfly_odd(const int radix, const REAL *cosine, const REAL *sine, VEC *r, VEC *i)
{
    const int half = radix / 2;
    VEC sum_r[4], sum_i[4], dif_r[4], dif_i[4], first_r = r[0], first_i = i[0];
    for (int j = 1; j <= half; j++) {
        sum_r[j] = r[j] + r[radix - j];
        sum_i[j] = i[j] + i[radix - j];
        dif_r[j] = r[j] - r[radix - j];
        dif_i[j] = i[j] - i[radix - j];
        r[0] = r[0] + sum_r[j];
        i[0] = i[0] + sum_i[j];
    }
    for (int o = 1; o <= half; o++) {
        VEC even_r = first_r, even_i = first_i, odd_r = dif_r[1] * sine[o], odd_i = dif_i[1] * sine[o];
        for (int j = 1; j <= half; j++) {
            even_r += sum_r[j] * cosine[j * o % radix];
            even_i += sum_i[j] * cosine[j * o % radix];
            if (j > 1) {
                odd_r += dif_r[j] * sine[j * o % radix];
                odd_i += dif_i[j] * sine[j * o % radix];
            }
        }
        r[o] = even_r - odd_i;
        i[o] = even_i + odd_r;
        r[radix - o] = even_r + odd_i;
        i[radix - o] = even_i - odd_r;
    }
}

INLINE void butterfly3(VEC *r, VEC *i) { butterfly_odd(3, COS3, SIN3, r, i); }
INLINE void butterfly5(VEC *r, VEC *i) { butterfly_odd(5, COS5, SIN5, r, i); }
INLINE void butterfly7(VEC *r, VEC *i) { butterfly_odd(7, COS7, SIN7, r, i); }

/* A lane block: rows of one vector each, `stride` numbers apart; rows from `rows` on are zero. */
typedef struct {
    const REAL *re, *im;
    int64_t stride, rows;
} BLOCK;

INLINE VEC load(const REAL *from) { return *(const VEC *)from; }

#define DEFINE_STAGE(R)                                                                                              \
    INLINE void finish##R(VEC *r, VEC *i, const REAL *tw, VEC *out_r, VEC *out_i, int64_t s)                         \
    {                                                                                                                \
        butterfly##R(r, i);                                                                                          \
        out_r[0] = r[0];                                                                                             \
        out_i[0] = i[0];                                                                                             \
        for (int j = 1; j < R; j++) {                                                                                \
            REAL c = tw[2 * j - 2], sn = tw[2 * j - 1];                                                              \
            out_r[j * s] = r[j] * c - i[j] * sn;                                                                     \
            out_i[j * s] = i[j] * c + r[j] * sn;                                                                     \
        }                                                                                                            \
    }                                                                                                                \
    static void first##R(BLOCK x, int64_t n, const REAL *tw, VEC *out_r, VEC *out_i)                                 \
    {                                                                                                                \
        int64_t m = n / R;                                                                                           \
        for (int64_t p = 0; p < m; p++) {                                                                            \
            VEC r[R], i[R];                                                                                          \
            const REAL *at_r = x.re + p * x.stride, *at_i = x.im + p * x.stride;                                     \
            const REAL *w = tw + p * (2 * R - 2);                                                                    \
            if (p + (R / 2) * m >= x.rows) {                                                                         \
                for (int j = 0; j < R; j++) {                                                                        \
                    r[j] = i[j] = (VEC){0};                                                                          \
                    if (j < R / 2 && p + j * m < x.rows) {                                                           \
                        r[j] = load(at_r + j * m * x.stride);                                                        \
                        i[j] = load(at_i + j * m * x.stride);                                                        \
                    }                                                                                                \
                }                                                                                                    \
                finish##R(r, i, w, out_r + R * p, out_i + R * p, 1);                                                 \
            } else {                                                                                                 \
                for (int j = 0; j < R; j++) {                                                                        \
                    int inside = p + j * m < x.rows;                                                                 \
                    r[j] = inside ? load(at_r + j * m * x.stride) : (VEC){0};                                        \
                    i[j] = inside ? load(at_i + j * m * x.stride) : (VEC){0};                                        \
                }                                                                                                    \
                finish##R(r, i, w, out_r + R * p, out_i + R * p, 1);                                                 \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void middle##R(const VEC *x_r, const VEC *x_i, int64_t n, int64_t s, const REAL *tw, VEC *out_r,          \
                          VEC *out_i)                                                                                \
    {                                                                                                                \
        int64_t m = n / R;                                                                                           \
        for (int64_t p = 0; p < m; p++)                                                                              \
            for (int64_t q = 0; q < s; q++) {                                                                        \
                VEC r[R], i[R];                                                                                      \
                for (int j = 0; j < R; j++) {                                                                        \
                    r[j] = x_r[q + s * (p + m * j)];                                                                 \
                    i[j] = x_i[q + s * (p + m * j)];                                                                 \
                }                                                                                                    \
                finish##R(r, i, tw + p * (2 * R - 2), out_r + q + s * R * p, out_i + q + s * R * p, s);              \
            }                                                                                                        \
    }                                                                                                                \
    static void last##R(const VEC *x_r, const VEC *x_i, int64_t s, VEC *out_r, VEC *out_i)                           \
    {                                                                                                                \
        for (int64_t q = 0; q < s; q++) {                                                                            \
            VEC r[R], i[R];                                                                                          \
            for (int j = 0; j < R; j++) {                                                                            \
                r[j] = x_r[q + s * j];                                                                               \
                i[j] = x_i[q + s * j];                                                                               \
            }                                                                                                        \
            butterfly##R(r, i);                                                                                      \
            for (int j = 0; j < R; j++) {                                                                            \
                out_r[q + s * j] = r[j];                                                                             \
                out_i[q + s * j] = i[j];                                                                             \
            }                                                                                                        \
        }                                                                                                            \
    }

DEFINE_STAGE(2)
DEFINE_STAGE(3)
DEFINE_STAGE(4)
DEFINE_STAGE(5)
DEFINE_STAGE(7)
DEFINE_STAGE(8)

#define PICK(R, CALL)                                                                                                \
    switch (R) {                                                                                                     \
    case 2: CALL(2); break;                                                                                          \
    case 3: CALL(3); break;                                                                                          \
    case 4: CALL(4); break;                                                                                          \
    case 5: CALL(5); break;                                                                                          \
    case 7: CALL(7); break;                                                                                          \
    default: CALL(8); break;                                                                                         \
    }

/* Two buffers of n vectors each; `transform` leaves its result in one of them and says which. */
typedef struct {
    VEC *re[2], *im[2];
} SPACE;

static int transform(const lsm_geometry *g, BLOCK x, SPACE w)
{
    const REAL *tw = g->twiddle;
    int64_t length = g->grid_px, s = 1;
    int at = 0;
#define FIRST(R) first##R(x, length, tw, w.re[0], w.im[0])
    PICK(g->radix[0], FIRST)
#undef FIRST
    for (int64_t stage = 1; stage < g->stages; stage++) {
        int64_t before = g->radix[stage - 1], radix = g->radix[stage];
        tw += length / before * (2 * before - 2);
        length /= before;
        s *= before;
        int to = 1 - at;
        if (stage + 1 < g->stages) {
#define MIDDLE(R) middle##R(w.re[at], w.im[at], length, s, tw, w.re[to], w.im[to])
            PICK(radix, MIDDLE)
#undef MIDDLE
        } else {
#define LAST(R) last##R(w.re[at], w.im[at], s, w.re[to], w.im[to])
            PICK(radix, LAST)
#undef LAST
        }
        at = to;
    }
    return at;
}
