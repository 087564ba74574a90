#include "lane.h"

#define GLOBAL_BRIGHTNESS 0xFFu /* 0xE0 | 31: dimming by the global field flickers at a few hundred hertz */

/* WS2812 (datasheet: a bit lasts 1.25 us, high for 0.4 us means 0, for 0.8 us means 1; 280 us low latch) over
 * a data line clocked at 2.4 to 3.2 MHz: four line bits per bit, 1000 for 0 and 1110 for 1. */
#define WS2812_ZERO 0x8u
#define WS2812_ONE 0xEu
#define WS2812_LATCH_BYTES 120u

static void zeros(uint32_t count) {
    static const uint8_t ZERO = 0;
    for (uint32_t i = 0; i < count; i++) {
        hal_led_write(&ZERO, 1);
    }
}

void lsm_lane_begin(enum lsm_lane lane) {
    hal_led_begin();
    zeros(lane == LSM_LANE_APA102 ? 4u : 1u);
}

static void apa102(const uint8_t *levels, uint8_t count) {
    uint8_t bytes[4u * LSM_BLOCK];
    uint8_t *to = bytes;
    for (uint8_t i = 0; i < count; i++, to += 4, levels += 3) {
        to[0] = GLOBAL_BRIGHTNESS;
        to[1] = levels[2];
        to[2] = levels[1];
        to[3] = levels[0];
    }
    hal_led_write(bytes, 4u * (size_t)count);
}

static void ws2812(const uint8_t level[3]) {
    const uint8_t order[3] = {level[1], level[0], level[2]};
    uint8_t bytes[12];
    for (uint8_t i = 0; i < sizeof bytes; i++) {
        uint8_t pair = (uint8_t)(order[i / 4u] >> (6u - 2u * (i % 4u)));
        uint8_t high = (pair & 2u) != 0 ? WS2812_ONE : WS2812_ZERO;
        uint8_t low = (pair & 1u) != 0 ? WS2812_ONE : WS2812_ZERO;
        bytes[i] = (uint8_t)((unsigned)high << 4 | low);
    }
    hal_led_write(bytes, sizeof bytes);
}

void lsm_lane_leds(enum lsm_lane lane, const uint8_t *levels, uint8_t count) {
    if (lane == LSM_LANE_APA102) {
        apa102(levels, count);
        return;
    }
    for (uint8_t i = 0; i < count; i++) {
        ws2812(levels + 3u * (size_t)i);
    }
}

/* An APA102 delays the data by half a clock per LED, so as many extra bits follow, and an SK9822 latches only
 * on another 32 zero bits. */
void lsm_lane_end(enum lsm_lane lane, uint16_t led_count) {
    zeros(lane == LSM_LANE_APA102 ? 4u + (led_count + 15u) / 16u : WS2812_LATCH_BYTES);
    hal_led_end();
}
