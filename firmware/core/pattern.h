/* Levels of all LEDs, packed with 1, 8 or 24 bits per LED. */
#ifndef LSM_PATTERN_H
#define LSM_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

struct lsm_pattern {
    const uint8_t *bytes; /* NULL: all dark */
    uint8_t bits;
    uint8_t colour[3]; /* what a level of 255, or a set bit, shows; unused for 24 bits */
};

/* Bytes of a pattern of `led_count` LEDs; 0 for a number of bits that does not exist. */
uint32_t lsm_pattern_size(uint8_t bits, uint16_t led_count);

/* Red, green and blue of one LED. */
void lsm_pattern_level(const struct lsm_pattern *pattern, uint16_t led, uint8_t level[3]);

/* The same for up to LSM_BLOCK LEDs at once, 3 * count levels: on a small processor several times faster. */
#define LSM_BLOCK 16u
void lsm_pattern_block(const struct lsm_pattern *pattern, uint16_t first, uint8_t count, uint8_t *levels);

/* How many LEDs the block at `first` has: LSM_BLOCK, fewer at the end, 0 behind it. */
uint8_t lsm_block_size(uint16_t first, uint16_t led_count);

/* Sum of all levels of all channels. */
uint32_t lsm_pattern_sum(const struct lsm_pattern *pattern, uint16_t led_count);

/* Whether LED `led` is set in a pattern of one bit per LED. */
bool lsm_bit(const uint8_t *bytes, uint16_t led);

/* level * share / 255, rounded. */
uint8_t lsm_share(uint8_t level, uint8_t share);

#endif
