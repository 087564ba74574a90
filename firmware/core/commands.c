#include "commands.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "geometry.h"
#include "link.h"

#define REPLY_ROOM (LSM_MAX_FRAME - 5u) /* seq, command, status and CRC take the rest */

static void put(struct lsm_core *core, const uint8_t *bytes, size_t count) {
    memcpy(core->link.reply + core->link.reply_count, bytes, count);
    core->link.reply_count += count;
}

static void put_u16(struct lsm_core *core, uint16_t value) {
    uint8_t bytes[2];
    lsm_set_u16(bytes, value);
    put(core, bytes, sizeof bytes);
}

static void put_u32(struct lsm_core *core, uint32_t value) {
    uint8_t bytes[4];
    lsm_set_u32(bytes, value);
    put(core, bytes, sizeof bytes);
}

static uint32_t latched_crc(const struct lsm_core *core) {
    return lsm_crc32(core->leds.latched, core->leds.byte_count);
}

static uint8_t ping(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count > REPLY_ROOM) {
        return LSM_STATUS_LENGTH;
    }
    put(core, payload, count);
    return LSM_STATUS_OK;
}

static uint8_t hello(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 1) {
        return LSM_STATUS_LENGTH;
    }
    uint8_t status = payload[0] == LSM_PROTOCOL_VERSION ? LSM_STATUS_OK : LSM_STATUS_VERSION;
    if (status == LSM_STATUS_OK) {
        lsm_watchdog_hello(&core->watchdog, hal_now_ms());
        lsm_link_forget(&core->link);
        core->leds.shutter_closed = false;
        core->leds.limit_ma = lsm_leds_default_ma(&core->leds);
        lsm_leds_dark(&core->leds);
    }
    put_u16(core, LSM_PROTOCOL_VERSION);
    put_u16(core, LSM_MAX_FRAME);
    put_u16(core, LSM_RX_WINDOW);
    put_u16(core, (uint16_t)(core->leds.byte_count / 3u));
    put_u32(core, core->watchdog.period_ms);
    put_u32(core, LSM_WATCHDOG_CEILING_MS);
    put_u32(core, core->leds.limit_ma);
    put_u32(core, lsm_leds_ceiling_ma(&core->leds));
    return status;
}

static uint8_t flags(const struct lsm_core *core) {
    uint8_t value = 0;
    value |= lsm_leds_lit(&core->leds) ? LSM_FLAG_LIT : 0u;
    value |= lsm_leds_limited(&core->leds) ? LSM_FLAG_LIMITED : 0u;
    value |= core->watchdog.live ? LSM_FLAG_LIVE : 0u;
    value |= core->leds.shutter_closed ? LSM_FLAG_SHUTTER_CLOSED : 0u;
    return value;
}

static uint8_t report(struct lsm_core *core, const uint8_t *payload, size_t count) {
    (void)payload;
    if (count != 0) {
        return LSM_STATUS_LENGTH;
    }
    uint8_t bits = flags(core);
    put(core, &bits, 1);
    put_u32(core, core->leds.latch);
    put_u32(core, latched_crc(core));
    put_u32(core, core->watchdog.darkened);
    put_u32(core, core->link.frames);
    put_u32(core, core->link.damaged);
    put_u32(core, core->watchdog.period_ms);
    put_u32(core, core->leds.limit_ma);
    put_u32(core, lsm_leds_current_ma(&core->leds));
    return LSM_STATUS_OK;
}

/* A host in trouble may send anything behind STOP: it is obeyed whatever follows. */
static uint8_t stop(struct lsm_core *core, const uint8_t *payload, size_t count) {
    (void)payload;
    (void)count;
    lsm_leds_dark(&core->leds);
    put_u32(core, core->leds.latch);
    return LSM_STATUS_OK;
}

static uint8_t fb_write(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count < 3) {
        return LSM_STATUS_LENGTH;
    }
    size_t offset = lsm_get_u16(payload);
    if (offset + count - 2 > core->leds.byte_count) {
        return LSM_STATUS_RANGE;
    }
    memcpy(core->leds.wanted + offset, payload + 2, count - 2);
    return LSM_STATUS_OK;
}

/* With a CRC-32 in the payload, a frame buffer that is not what the host meant is never lit. */
static uint8_t show(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 0 && count != 4) {
        return LSM_STATUS_LENGTH;
    }
    if (core->leds.shutter_closed) {
        return LSM_STATUS_NOT_ARMED;
    }
    if (count == 4 && lsm_get_u32(payload) != lsm_crc32(core->leds.wanted, core->leds.byte_count)) {
        return LSM_STATUS_CRC;
    }
    lsm_leds_latch(&core->leds);
    put_u32(core, core->leds.scale);
    put_u32(core, core->leds.latch);
    put_u32(core, latched_crc(core));
    put_u32(core, lsm_leds_current_ma(&core->leds));
    return lsm_leds_limited(&core->leds) ? LSM_STATUS_LIMITED : LSM_STATUS_OK;
}

static uint8_t fb_read(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 5) {
        return LSM_STATUS_LENGTH;
    }
    size_t offset = lsm_get_u16(payload + 1);
    size_t length = lsm_get_u16(payload + 3);
    if (payload[0] > LSM_BANK_LATCHED || length > REPLY_ROOM || offset + length > core->leds.byte_count) {
        return LSM_STATUS_RANGE;
    }
    put(core, (payload[0] == LSM_BANK_LATCHED ? core->leds.latched : core->leds.wanted) + offset, length);
    return LSM_STATUS_OK;
}

static uint8_t fb_fill(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 7) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t first = lsm_get_u16(payload);
    uint32_t end = first + lsm_get_u16(payload + 2);
    if (end * 3u > core->leds.byte_count) {
        return LSM_STATUS_RANGE;
    }
    for (uint32_t led = first; led < end; led++) {
        lsm_leds_set(&core->leds, (uint16_t)led, payload + 4);
    }
    return LSM_STATUS_OK;
}

static uint8_t geom_read(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 3) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t first = lsm_get_u16(payload);
    uint32_t end = first + payload[2];
    if (payload[2] > LSM_LEDS_PER_GEOMETRY || payload[2] * 12u > REPLY_ROOM || end * 3u > core->leds.byte_count) {
        return LSM_STATUS_RANGE;
    }
    for (uint32_t led = first; led < end; led++) {
        struct lsm_point point = lsm_led_position(core->leds.board, (uint16_t)led);
        put_u32(core, (uint32_t)point.x_um);
        put_u32(core, (uint32_t)point.y_um);
        put_u32(core, 0u - core->leds.board->distance_um);
    }
    return LSM_STATUS_OK;
}

/* A light that is on and now too strong goes out: the frame buffer may no longer hold what is latched. */
static uint8_t set_limit(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 4) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t limit_ma = lsm_get_u32(payload);
    if (limit_ma == 0 || limit_ma > lsm_leds_ceiling_ma(&core->leds)) {
        return LSM_STATUS_RANGE;
    }
    core->leds.limit_ma = limit_ma;
    if (lsm_leds_current_ma(&core->leds) > limit_ma) {
        lsm_leds_dark(&core->leds);
    }
    put_u32(core, limit_ma);
    return LSM_STATUS_OK;
}

static uint8_t watchdog(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 4) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t period_ms = lsm_get_u32(payload);
    if (period_ms == 0 || period_ms > LSM_WATCHDOG_CEILING_MS) {
        return LSM_STATUS_RANGE;
    }
    core->watchdog.period_ms = period_ms;
    put_u32(core, period_ms);
    return LSM_STATUS_OK;
}

static const struct lsm_command COMMANDS[] = {
    {LSM_CMD_PING, false, ping},           {LSM_CMD_HELLO, false, hello},
    {LSM_CMD_STATUS, false, report},       {LSM_CMD_STOP, false, stop},
    {LSM_CMD_FB_WRITE, true, fb_write},    {LSM_CMD_SHOW, true, show},
    {LSM_CMD_FB_READ, false, fb_read},     {LSM_CMD_FB_FILL, true, fb_fill},
    {LSM_CMD_GEOM_READ, false, geom_read}, {LSM_CMD_SET_LIMIT, true, set_limit},
    {LSM_CMD_WATCHDOG, true, watchdog},
};

const struct lsm_command *lsm_command_find(uint8_t code) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (COMMANDS[i].code == code) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}
