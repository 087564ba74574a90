/* The frame buffer, what is allowed to shine, and what is latched. */
#ifndef LSM_LEDS_H
#define LSM_LEDS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "hal.h"
#include "pattern.h"

#define LSM_FRAME_BYTES (LSM_MAX_LEDS * LSM_FRAME_CHANNELS)

struct lsm_leds {
    struct lsm_board board;
    uint16_t count;
    uint8_t frame[LSM_FRAME_BYTES];
    uint8_t frame_colour[3]; /* used by frames of one channel */
#if LSM_KEEP_LATCHED
    uint8_t kept[LSM_FRAME_BYTES];
#endif
    struct lsm_pattern latched;
    bool stale;         /* `latched` shared its bytes with the frame buffer, which was written since */
    bool crc_known;
    uint32_t latched_crc;
    uint32_t latched_sum;
    uint32_t latched_ms;
    uint32_t latch; /* LED frames emitted since boot, dark ones included */
    uint32_t limit_ma;
    uint32_t scale; /* of the latched light; LSM_SCALE_ONE is 1 */
    bool shutter_closed;
};

/* Emits a dark frame. A board beyond LSM_MAX_LEDS keeps only its first rows. */
void lsm_leds_init(struct lsm_leds *leds, const struct lsm_board *board);

/* `level` in `colour` (255 and 255 are full drive). On a board with one channel the colour becomes that of
 * the whole frame. An LED that does not exist is ignored. */
void lsm_leds_put(struct lsm_leds *leds, uint16_t led, uint8_t level, const uint8_t colour[3]);

void lsm_leds_clear(struct lsm_leds *leds);
struct lsm_pattern lsm_leds_frame(const struct lsm_leds *leds);

/* Emits the frame buffer, scaled so that its estimated current stays within the limit. With a CRC-32 that is
 * not the frame buffer's nothing happens, and it returns false. */
bool lsm_leds_latch(struct lsm_leds *leds, const uint32_t *wanted_crc);

/* Emits a stored pattern, each level times scale / LSM_SCALE_ONE, rounded down. */
void lsm_leds_show(struct lsm_leds *leds, const struct lsm_pattern *pattern, uint32_t scale);

/* Clears the frame buffer and emits a dark frame. */
void lsm_leds_dark(struct lsm_leds *leds);

/* The scale that keeps a light with this sum of levels within the limit. */
uint32_t lsm_leds_allowed(const struct lsm_leds *leds, uint32_t level_sum);

/* What is on now; false where it cannot be told any more. */
bool lsm_leds_read(const struct lsm_leds *leds, uint16_t led, uint8_t level[3]);

uint32_t lsm_leds_latched_crc(struct lsm_leds *leds);

bool lsm_leds_lit(const struct lsm_leds *leds);
bool lsm_leds_limited(const struct lsm_leds *leds);
uint32_t lsm_leds_current_ma(const struct lsm_leds *leds);
uint32_t lsm_leds_default_ma(const struct lsm_leds *leds);
uint32_t lsm_leds_ceiling_ma(const struct lsm_leds *leds);

#endif
