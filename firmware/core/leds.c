#include "leds.h"

#include <string.h>

#include "geometry.h"
#include "protocol.h"

#define FULL_LEVEL 255u
#define GLOBAL_BRIGHTNESS 0xFFu /* 0xE0 | 31: dimming by the global field flickers at a few hundred hertz */

static void emit_zeros(uint32_t count) {
    static const uint8_t ZERO = 0;
    for (uint32_t i = 0; i < count; i++) {
        hal_led_write(&ZERO, 1);
    }
}

/* APA102: start frame, then brightness, blue, green, red per LED; half a clock per LED delays the data,
 * so as many extra bits follow, and an SK9822 latches only on another 32 zero bits. */
static void emit(struct lsm_leds *leds) {
    uint32_t led_count = leds->byte_count / 3u;
    hal_led_begin();
    emit_zeros(4);
    for (uint32_t i = 0; i < leds->byte_count; i += 3) {
        const uint8_t *rgb = leds->latched + i;
        const uint8_t bytes[4] = {GLOBAL_BRIGHTNESS, rgb[2], rgb[1], rgb[0]};
        hal_led_write(bytes, sizeof bytes);
    }
    emit_zeros(4 + (led_count + 15) / 16);
    hal_led_end();
    leds->latch++;
}

static uint32_t sum(const uint8_t *levels, uint32_t count) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += levels[i];
    }
    return total;
}

static uint32_t allowed_scale(const struct lsm_leds *leds) {
    uint64_t drawn = (uint64_t)sum(leds->wanted, leds->byte_count) * LSM_CHANNEL_MA;
    uint64_t allowed = (uint64_t)leds->limit_ma * FULL_LEVEL;
    return drawn <= allowed ? LSM_SCALE_ONE : (uint32_t)(allowed * LSM_SCALE_ONE / drawn);
}

void lsm_leds_latch(struct lsm_leds *leds) {
    leds->scale = allowed_scale(leds);
    for (uint32_t i = 0; i < leds->byte_count; i++) {
        uint32_t level = (uint32_t)(((uint64_t)leds->wanted[i] * leds->scale) / LSM_SCALE_ONE);
        leds->latched[i] = leds->shutter_closed ? 0 : (uint8_t)level;
    }
    leds->latched_sum = sum(leds->latched, leds->byte_count);
    emit(leds);
}

void lsm_leds_clear(struct lsm_leds *leds) {
    memset(leds->wanted, 0, sizeof leds->wanted);
}

void lsm_leds_dark(struct lsm_leds *leds) {
    lsm_leds_clear(leds);
    lsm_leds_latch(leds);
}

void lsm_leds_init(struct lsm_leds *leds, const struct lsm_board *board) {
    memset(leds, 0, sizeof *leds);
    leds->board = board;
    uint32_t led_count = lsm_led_count(board);
    leds->byte_count = (uint16_t)((led_count < LSM_MAX_LEDS ? led_count : LSM_MAX_LEDS) * 3u);
    leds->limit_ma = lsm_leds_default_ma(leds);
    lsm_leds_dark(leds);
}

void lsm_leds_set(struct lsm_leds *leds, uint16_t led, const uint8_t colour[3]) {
    uint32_t at = 3u * (uint32_t)led;
    if (at < leds->byte_count) {
        memcpy(leds->wanted + at, colour, 3);
    }
}

bool lsm_leds_lit(const struct lsm_leds *leds) {
    return leds->latched_sum != 0;
}

bool lsm_leds_limited(const struct lsm_leds *leds) {
    return leds->scale != LSM_SCALE_ONE;
}

uint32_t lsm_leds_current_ma(const struct lsm_leds *leds) {
    return (leds->latched_sum * LSM_CHANNEL_MA + FULL_LEVEL - 1) / FULL_LEVEL;
}

static uint32_t share_ma(const struct lsm_leds *leds, uint32_t permille) {
    uint32_t share = (uint32_t)leds->byte_count * LSM_CHANNEL_MA * permille / 1000u;
    return share != 0 ? share : 1;
}

uint32_t lsm_leds_default_ma(const struct lsm_leds *leds) {
    return share_ma(leds, LSM_DEFAULT_PERMILLE);
}

uint32_t lsm_leds_ceiling_ma(const struct lsm_leds *leds) {
    return share_ma(leds, LSM_CEILING_PERMILLE);
}
