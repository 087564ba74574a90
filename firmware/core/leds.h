/* The frame buffer, what of it is allowed to shine, and what is latched. */
#ifndef LSM_LEDS_H
#define LSM_LEDS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "hal.h"

struct lsm_leds {
    const struct lsm_board *board;
    uint16_t byte_count; /* 3 per LED: red, green, blue */
    uint8_t wanted[LSM_MAX_LEDS * 3u];
    uint8_t latched[LSM_MAX_LEDS * 3u];
    uint32_t latch; /* LED frames emitted since boot, dark ones included */
    uint32_t limit_ma;
    uint32_t scale; /* of the latched frame; LSM_SCALE_ONE is 1 */
    uint32_t latched_sum;
    bool shutter_closed;
};

/* Emits a dark frame. A board beyond LSM_MAX_LEDS keeps only its first rows. */
void lsm_leds_init(struct lsm_leds *leds, const struct lsm_board *board);

/* Emits the frame buffer, scaled so that its estimated current stays within the limit. */
void lsm_leds_latch(struct lsm_leds *leds);

/* Clears the frame buffer and emits a dark frame. */
void lsm_leds_dark(struct lsm_leds *leds);

void lsm_leds_clear(struct lsm_leds *leds);
void lsm_leds_set(struct lsm_leds *leds, uint16_t led, const uint8_t colour[3]);

bool lsm_leds_lit(const struct lsm_leds *leds);
bool lsm_leds_limited(const struct lsm_leds *leds);
uint32_t lsm_leds_current_ma(const struct lsm_leds *leds);
uint32_t lsm_leds_default_ma(const struct lsm_leds *leds);
uint32_t lsm_leds_ceiling_ma(const struct lsm_leds *leds);

#endif
