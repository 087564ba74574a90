#include "leds.h"

#include <string.h>

#include "checksum.h"
#include "geometry.h"
#include "lane.h"
#include "protocol.h"

#define FULL_LEVEL 255u
#define FRAME_BITS (LSM_FRAME_CHANNELS == 3 ? 24 : 8)

/* Works on LSM_BLOCK LEDs at a time. */
struct walk {
    const struct lsm_leds *leds;
    const struct lsm_pattern *pattern;
    uint32_t scale;
    uint16_t next;
    uint8_t count;
    uint8_t levels[3u * LSM_BLOCK];
};

static bool step(struct walk *walk) {
    walk->count = lsm_block_size(walk->next, walk->leds->count);
    if (walk->count == 0) {
        return false;
    }
    lsm_pattern_block(walk->pattern, walk->next, walk->count, walk->levels);
    if (walk->scale != LSM_SCALE_ONE) {
        for (uint8_t i = 0; i < 3u * walk->count; i++) {
            walk->levels[i] = (uint8_t)(walk->levels[i] * walk->scale / LSM_SCALE_ONE);
        }
    }
    walk->next = (uint16_t)(walk->next + walk->count);
    return true;
}

struct measure {
    uint32_t sum;
    uint32_t crc;
};

static struct measure measured(const struct lsm_leds *leds, const struct lsm_pattern *pattern, uint32_t scale) {
    struct measure total = {0, LSM_CRC32_START};
    struct walk walk = {.leds = leds, .pattern = pattern, .scale = scale};
    while (step(&walk)) {
        for (uint8_t i = 0; i < 3u * walk.count; i++) {
            total.sum += walk.levels[i];
            total.crc = lsm_crc32_add(total.crc, walk.levels[i]);
        }
    }
    total.crc = lsm_crc32_end(total.crc);
    return total;
}

static void emit(struct lsm_leds *leds) {
    struct walk walk = {.leds = leds, .pattern = &leds->latched, .scale = leds->scale};
    leds->latched_sum = 0;
    lsm_lane_begin(leds->board.lane);
    while (step(&walk)) {
        uint16_t sum = 0;
        for (uint8_t i = 0; i < 3u * walk.count; i++) {
            sum = (uint16_t)(sum + walk.levels[i]);
        }
        leds->latched_sum += sum;
        lsm_lane_leds(leds->board.lane, walk.levels, walk.count);
    }
    lsm_lane_end(leds->board.lane, leds->count);
    leds->latch++;
    leds->latched_ms = hal_now_ms();
}

struct lsm_pattern lsm_leds_frame(const struct lsm_leds *leds) {
    struct lsm_pattern pattern = {leds->frame, FRAME_BITS, {0, 0, 0}};
    memcpy(pattern.colour, leds->frame_colour, sizeof pattern.colour);
    return pattern;
}

void lsm_leds_show(struct lsm_leds *leds, const struct lsm_pattern *pattern, uint32_t scale) {
    leds->latched = *pattern;
    leds->stale = false;
    leds->crc_known = false;
    leds->scale = scale;
    emit(leds);
}

/* The CRC is taken now, since a board without a second bank may not know it later. */
bool lsm_leds_latch(struct lsm_leds *leds, const uint32_t *wanted_crc) {
    struct lsm_pattern pattern = lsm_leds_frame(leds);
    struct measure frame = measured(leds, &pattern, LSM_SCALE_ONE);
    if (wanted_crc != NULL && *wanted_crc != frame.crc) {
        return false;
    }
#if LSM_KEEP_LATCHED
    memcpy(leds->kept, leds->frame, sizeof leds->kept);
    pattern.bytes = leds->kept;
#endif
    if (leds->shutter_closed) {
        pattern.bytes = NULL;
        frame.sum = 0;
    }
    lsm_leds_show(leds, &pattern, lsm_leds_allowed(leds, frame.sum));
    leds->crc_known = leds->scale == LSM_SCALE_ONE && !leds->shutter_closed;
    leds->latched_crc = frame.crc;
    (void)lsm_leds_latched_crc(leds);
    return true;
}

void lsm_leds_clear(struct lsm_leds *leds) {
    memset(leds->frame, 0, sizeof leds->frame);
    leds->stale = leds->latched.bytes == leds->frame;
}

void lsm_leds_dark(struct lsm_leds *leds) {
    static const struct lsm_pattern DARK = {NULL, 1, {0, 0, 0}};
    memset(leds->frame, 0, sizeof leds->frame);
    lsm_leds_show(leds, &DARK, LSM_SCALE_ONE);
}

static uint8_t at_most(uint8_t value, uint8_t most) {
    return value < most ? value : most;
}

void lsm_leds_init(struct lsm_leds *leds, const struct lsm_board *board) {
    memset(leds, 0, sizeof *leds);
    leds->board = *board;
    leds->board.trigger_inputs = at_most(board->trigger_inputs, LSM_TRIGGER_PINS);
    leds->board.trigger_outputs = at_most(board->trigger_outputs, LSM_TRIGGER_PINS);
    uint32_t led_count = lsm_led_count(board);
    leds->count = (uint16_t)(led_count < LSM_MAX_LEDS ? led_count : LSM_MAX_LEDS);
    leds->limit_ma = lsm_leds_default_ma(leds);
    lsm_leds_dark(leds);
}

void lsm_leds_put(struct lsm_leds *leds, uint16_t led, uint8_t level, const uint8_t colour[3]) {
    if (led >= leds->count) {
        return;
    }
    leds->stale = leds->latched.bytes == leds->frame;
#if LSM_FRAME_CHANNELS == 3
    for (uint8_t i = 0; i < 3; i++) {
        leds->frame[3u * (uint32_t)led + i] = lsm_share(level, colour[i]);
    }
#else
    bool black = (colour[0] | colour[1] | colour[2]) == 0;
    leds->frame[led] = black ? 0 : level;
    if (!black && level != 0) {
        memcpy(leds->frame_colour, colour, sizeof leds->frame_colour);
    }
#endif
}

uint32_t lsm_leds_allowed(const struct lsm_leds *leds, uint32_t level_sum) {
    uint64_t drawn = (uint64_t)level_sum * LSM_CHANNEL_MA;
    uint64_t allowed = (uint64_t)leds->limit_ma * FULL_LEVEL;
    return drawn <= allowed ? LSM_SCALE_ONE : (uint32_t)(allowed * LSM_SCALE_ONE / drawn);
}

bool lsm_leds_read(const struct lsm_leds *leds, uint16_t led, uint8_t level[3]) {
    lsm_pattern_level(&leds->latched, led, level);
    for (uint8_t i = 0; i < 3; i++) {
        level[i] = (uint8_t)(level[i] * leds->scale / LSM_SCALE_ONE);
    }
    return !leds->stale;
}

uint32_t lsm_leds_latched_crc(struct lsm_leds *leds) {
    if (!leds->crc_known) {
        leds->latched_crc = measured(leds, &leds->latched, leds->scale).crc;
        leds->crc_known = true;
    }
    return leds->latched_crc;
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
    uint32_t share = (uint32_t)leds->count * 3u * LSM_CHANNEL_MA * permille / 1000u;
    return share != 0 ? share : 1;
}

uint32_t lsm_leds_default_ma(const struct lsm_leds *leds) {
    return share_ma(leds, LSM_DEFAULT_PERMILLE);
}

uint32_t lsm_leds_ceiling_ma(const struct lsm_leds *leds) {
    return share_ma(leds, LSM_CEILING_PERMILLE);
}
