#include "pattern.h"

#include <string.h>

uint32_t lsm_pattern_size(uint8_t bits, uint16_t led_count) {
    switch (bits) {
    case 1:
        return (led_count + 7u) / 8u;
    case 8:
        return led_count;
    case 24:
        return 3u * (uint32_t)led_count;
    default:
        return 0;
    }
}

/* Exact for all products of two bytes, without a division. */
uint8_t lsm_share(uint8_t level, uint8_t share) {
    uint16_t product = (uint16_t)((uint16_t)level * share + 128u);
    return (uint8_t)((uint16_t)(product + (product >> 8)) >> 8);
}

bool lsm_bit(const uint8_t *bytes, uint16_t led) {
    return ((uint32_t)bytes[led / 8u] >> (led % 8u) & 1u) != 0;
}

void lsm_pattern_level(const struct lsm_pattern *pattern, uint16_t led, uint8_t level[3]) {
    if (pattern->bytes == NULL) {
        memset(level, 0, 3);
    } else if (pattern->bits == 24) {
        memcpy(level, pattern->bytes + 3u * (uint32_t)led, 3);
    } else if (pattern->bits == 8) {
        for (uint8_t i = 0; i < 3; i++) {
            level[i] = lsm_share(pattern->bytes[led], pattern->colour[i]);
        }
    } else {
        bool on = lsm_bit(pattern->bytes, led);
        for (uint8_t i = 0; i < 3; i++) {
            level[i] = on ? pattern->colour[i] : 0;
        }
    }
}

uint32_t lsm_pattern_sum(const struct lsm_pattern *pattern, uint16_t led_count) {
    uint32_t total = 0;
    for (uint16_t led = 0; led < led_count; led++) {
        uint8_t level[3];
        lsm_pattern_level(pattern, led, level);
        total += (uint32_t)level[0] + level[1] + level[2];
    }
    return total;
}
