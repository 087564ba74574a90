/* Commands that fill and show the frame buffer. */
#include "bytes.h"
#include "commands.h"
#include "link.h"

#define HEADER 6u /* bits, colour, first LED */
#define SPARSE_HEADER 4u

static void write_levels(struct lsm_leds *leds, const uint8_t *header, const uint8_t *levels, uint32_t led_count) {
    uint16_t first = lsm_get_u16(header + 4);
    for (uint16_t i = 0; i < led_count; i++) {
        uint16_t led = (uint16_t)(first + i);
        if (header[0] == 24) {
            lsm_leds_put(leds, led, 255, levels + 3u * (uint32_t)i);
        } else {
            uint8_t level = header[0] == 8 ? levels[i] : lsm_bit(levels, i) ? 255 : 0;
            lsm_leds_put(leds, led, level, header + 1);
        }
    }
}

/* With 1 bit per LED the last byte may reach beyond the last LED. */
uint8_t lsm_run_fb_write(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count <= HEADER) {
        return LSM_STATUS_LENGTH;
    }
    uint8_t bits = payload[0];
    uint32_t size = (uint32_t)(count - HEADER);
    uint32_t room = core->leds.count;
    if (lsm_pattern_size(bits, 1) == 0 || lsm_get_u16(payload + 4) >= room) {
        return LSM_STATUS_RANGE;
    }
    if (bits == 24 && LSM_FRAME_CHANNELS != 3) {
        return LSM_STATUS_MEMORY;
    }
    room -= lsm_get_u16(payload + 4);
    if (bits == 24 && size % 3u != 0) {
        return LSM_STATUS_LENGTH;
    }
    if (size > lsm_pattern_size(bits, (uint16_t)room)) {
        return LSM_STATUS_RANGE;
    }
    uint32_t led_count = size * 8u / bits;
    write_levels(&core->leds, payload, payload + HEADER, led_count < room ? led_count : room);
    return LSM_STATUS_OK;
}

/* With a CRC-32 in the payload, a frame buffer that is not what the host meant is never lit. */
uint8_t lsm_run_show(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 0 && count != 4) {
        return LSM_STATUS_LENGTH;
    }
    if (lsm_sequence_active(&core->sequence)) {
        return LSM_STATUS_BUSY;
    }
    if (core->leds.shutter_closed) {
        return LSM_STATUS_NOT_ARMED;
    }
    uint32_t wanted_crc = count == 4 ? lsm_get_u32(payload) : 0;
    if (!lsm_leds_latch(&core->leds, count == 4 ? &wanted_crc : NULL)) {
        return LSM_STATUS_CRC;
    }
    lsm_reply_u32(core, core->leds.scale);
    lsm_reply_u32(core, core->leds.latch);
    lsm_reply_u32(core, lsm_leds_latched_crc(&core->leds));
    lsm_reply_u32(core, lsm_leds_current_ma(&core->leds));
    return lsm_leds_limited(&core->leds) ? LSM_STATUS_LIMITED : LSM_STATUS_OK;
}

uint8_t lsm_run_fb_read(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 5) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t offset = lsm_get_u16(payload + 1);
    uint32_t length = lsm_get_u16(payload + 3);
    if (payload[0] > LSM_BANK_LATCHED || length > LSM_REPLY_ROOM || offset + length > 3u * (uint32_t)core->leds.count) {
        return LSM_STATUS_RANGE;
    }
    struct lsm_pattern frame = lsm_leds_frame(&core->leds);
    uint8_t level[3] = {0, 0, 0};
    for (uint32_t i = offset; i < offset + length; i++) {
        uint16_t led = (uint16_t)(i / 3u);
        if (payload[0] == LSM_BANK_FRAME_BUFFER) {
            lsm_pattern_level(&frame, led, level);
        } else if (!lsm_leds_read(&core->leds, led, level)) {
            return LSM_STATUS_BUSY;
        }
        lsm_reply_u8(core, level[i % 3u]);
    }
    return LSM_STATUS_OK;
}

uint8_t lsm_run_fb_fill(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 7) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t first = lsm_get_u16(payload);
    uint32_t end = first + lsm_get_u16(payload + 2);
    if (end > core->leds.count) {
        return LSM_STATUS_RANGE;
    }
    for (uint32_t led = first; led < end; led++) {
        lsm_leds_put(&core->leds, (uint16_t)led, 255, payload + 4);
    }
    return LSM_STATUS_OK;
}

uint8_t lsm_run_fb_sparse(struct lsm_core *core, const uint8_t *payload, size_t count) {
    uint8_t entry = count > 0 && payload[0] == 24 ? 5 : 3;
    if (count < SPARSE_HEADER || (count - SPARSE_HEADER) % entry != 0) {
        return LSM_STATUS_LENGTH;
    }
    if (payload[0] != 8 && payload[0] != 24) {
        return LSM_STATUS_RANGE;
    }
    if (payload[0] == 24 && LSM_FRAME_CHANNELS != 3) {
        return LSM_STATUS_MEMORY;
    }
    for (size_t at = SPARSE_HEADER; at < count; at += entry) {
        if (lsm_get_u16(payload + at) >= core->leds.count) {
            return LSM_STATUS_RANGE;
        }
    }
    for (size_t at = SPARSE_HEADER; at < count; at += entry) {
        bool full = payload[0] == 24;
        const uint8_t *colour = full ? payload + at + 2 : payload + 1;
        lsm_leds_put(&core->leds, lsm_get_u16(payload + at), full ? 255 : payload[at + 2], colour);
    }
    return LSM_STATUS_OK;
}
