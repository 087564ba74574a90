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

static void grey(const struct lsm_pattern *pattern, const uint8_t *from, uint8_t count, uint8_t *levels) {
    for (; count != 0; count--, from++, levels += 3) {
        levels[0] = lsm_share(*from, pattern->colour[0]);
        levels[1] = lsm_share(*from, pattern->colour[1]);
        levels[2] = lsm_share(*from, pattern->colour[2]);
    }
}

/* The mask moves on by itself: an 8-bit processor shifts one place at a time. */
static void on_off(const struct lsm_pattern *pattern, uint16_t first, uint8_t count, uint8_t *levels) {
    const uint8_t *from = pattern->bytes + first / 8u;
    uint8_t mask = (uint8_t)(1u << (first % 8u));
    for (; count != 0; count--, levels += 3) {
        bool on = (*from & mask) != 0;
        levels[0] = on ? pattern->colour[0] : 0;
        levels[1] = on ? pattern->colour[1] : 0;
        levels[2] = on ? pattern->colour[2] : 0;
        mask = (uint8_t)(mask << 1);
        if (mask == 0) {
            mask = 1;
            from++;
        }
    }
}

uint8_t lsm_block_size(uint16_t first, uint16_t led_count) {
    uint16_t rest = (uint16_t)(led_count - first);
    return (uint8_t)(rest < LSM_BLOCK ? rest : LSM_BLOCK);
}

void lsm_pattern_block(const struct lsm_pattern *pattern, uint16_t first, uint8_t count, uint8_t *levels) {
    if (pattern->bytes == NULL) {
        memset(levels, 0, 3u * (size_t)count);
        return;
    }
    if (pattern->bits == 24) {
        memcpy(levels, pattern->bytes + 3u * (uint32_t)first, 3u * (size_t)count);
        return;
    }
    if (pattern->bits == 8) {
        grey(pattern, pattern->bytes + first, count, levels);
    } else {
        on_off(pattern, first, count, levels);
    }
}

void lsm_pattern_level(const struct lsm_pattern *pattern, uint16_t led, uint8_t level[3]) {
    lsm_pattern_block(pattern, led, 1, level);
}

uint32_t lsm_pattern_sum(const struct lsm_pattern *pattern, uint16_t led_count) {
    uint32_t total = 0;
    uint8_t levels[3u * LSM_BLOCK];
    for (uint16_t led = 0; led < led_count; led = (uint16_t)(led + LSM_BLOCK)) {
        uint8_t count = lsm_block_size(led, led_count);
        lsm_pattern_block(pattern, led, count, levels);
        for (uint8_t i = 0; i < 3u * count; i++) {
            total += levels[i];
        }
    }
    return total;
}
