/* Commands about the board as a whole. */
#include "bytes.h"
#include "commands.h"
#include "geometry.h"
#include "link.h"
#include "settings.h"

uint8_t lsm_run_ping(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count > LSM_REPLY_ROOM) {
        return LSM_STATUS_LENGTH;
    }
    lsm_reply_bytes(core, payload, count);
    return LSM_STATUS_OK;
}

static void greet(struct lsm_core *core) {
    lsm_stop(core);
    core->sequence.patterns = 0;
    core->sequence.committed = false;
    core->sequence.state = LSM_SEQUENCE_STATE_IDLE;
    core->leds.shutter_closed = false;
    lsm_settings_load(core);
    lsm_link_forget(&core->link);
    lsm_watchdog_hello(&core->watchdog, hal_now_ms());
}

uint8_t lsm_run_hello(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 1) {
        return LSM_STATUS_LENGTH;
    }
    uint8_t status = payload[0] == LSM_PROTOCOL_VERSION ? LSM_STATUS_OK : LSM_STATUS_VERSION;
    if (status == LSM_STATUS_OK) {
        greet(core);
    }
    lsm_reply_u16(core, LSM_PROTOCOL_VERSION);
    lsm_reply_u16(core, LSM_MAX_FRAME);
    lsm_reply_u16(core, LSM_RX_WINDOW);
    lsm_reply_u16(core, core->leds.count);
    lsm_reply_u32(core, core->watchdog.period_ms);
    lsm_reply_u32(core, LSM_WATCHDOG_CEILING_MS);
    lsm_reply_u32(core, core->leds.limit_ma);
    lsm_reply_u32(core, lsm_leds_ceiling_ma(&core->leds));
    lsm_reply_u8(core, LSM_FRAME_CHANNELS);
    lsm_reply_u32(core, LSM_SEQUENCE_BYTES);
    return status;
}

static uint8_t flag_if(bool condition, uint8_t flag) {
    return condition ? flag : 0;
}

static uint8_t flags(const struct lsm_core *core) {
    return (uint8_t)(flag_if(lsm_leds_lit(&core->leds), LSM_FLAG_LIT) |
                     flag_if(lsm_leds_limited(&core->leds), LSM_FLAG_LIMITED) |
                     flag_if(core->watchdog.live, LSM_FLAG_LIVE) |
                     flag_if(core->leds.shutter_closed, LSM_FLAG_SHUTTER_CLOSED) |
                     flag_if(core->defaults, LSM_FLAG_CONFIG_DEFAULTS));
}

uint8_t lsm_run_status(struct lsm_core *core, const uint8_t *payload, size_t count) {
    (void)payload;
    if (count != 0) {
        return LSM_STATUS_LENGTH;
    }
    lsm_reply_u8(core, flags(core));
    lsm_reply_u32(core, core->leds.latch);
    lsm_reply_u32(core, lsm_leds_latched_crc(&core->leds));
    lsm_reply_u32(core, core->watchdog.darkened);
    lsm_reply_u32(core, core->link.frames);
    lsm_reply_u32(core, core->link.damaged);
    lsm_reply_u32(core, core->watchdog.period_ms);
    lsm_reply_u32(core, core->leds.limit_ma);
    lsm_reply_u32(core, lsm_leds_current_ma(&core->leds));
    lsm_reply_u32(core, hal_now_ms());
    lsm_reply_u32(core, core->leds.latched_ms);
    return LSM_STATUS_OK;
}

/* A host in trouble may send anything behind STOP: it is obeyed whatever follows. */
uint8_t lsm_run_stop(struct lsm_core *core, const uint8_t *payload, size_t count) {
    (void)payload;
    (void)count;
    lsm_stop(core);
    lsm_reply_u32(core, core->leds.latch);
    return LSM_STATUS_OK;
}

uint8_t lsm_run_geom_read(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 3) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t first = lsm_get_u16(payload);
    uint32_t end = first + payload[2];
    if (payload[2] > LSM_LEDS_PER_GEOMETRY || payload[2] * 12u > LSM_REPLY_ROOM || end > core->leds.count) {
        return LSM_STATUS_RANGE;
    }
    for (uint32_t led = first; led < end; led++) {
        struct lsm_point point = lsm_led_position(&core->leds.board, (uint16_t)led);
        lsm_reply_u32(core, (uint32_t)point.x_um);
        lsm_reply_u32(core, (uint32_t)point.y_um);
        lsm_reply_u32(core, 0u - core->leds.board.distance_um);
    }
    return LSM_STATUS_OK;
}

/* A light that is on and now too strong goes out: the frame buffer may no longer hold what is latched. */
uint8_t lsm_run_set_limit(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 4) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t limit_ma = lsm_get_u32(payload);
    if (limit_ma == 0 || limit_ma > lsm_leds_ceiling_ma(&core->leds)) {
        return LSM_STATUS_RANGE;
    }
    core->leds.limit_ma = limit_ma;
    if (lsm_sequence_active(&core->sequence) || lsm_leds_current_ma(&core->leds) > limit_ma) {
        lsm_stop(core);
    }
    lsm_reply_u32(core, limit_ma);
    return LSM_STATUS_OK;
}

uint8_t lsm_run_watchdog(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 4) {
        return LSM_STATUS_LENGTH;
    }
    uint32_t period_ms = lsm_get_u32(payload);
    if (period_ms == 0 || period_ms > LSM_WATCHDOG_CEILING_MS) {
        return LSM_STATUS_RANGE;
    }
    core->watchdog.period_ms = period_ms;
    lsm_reply_u32(core, period_ms);
    return LSM_STATUS_OK;
}

/* Writing flash may stop the processor: not while a light or a pulse is on. */
uint8_t lsm_run_cfg_save(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 1) {
        return LSM_STATUS_LENGTH;
    }
    if (payload[0] > 1) {
        return LSM_STATUS_RANGE;
    }
    if (lsm_leds_lit(&core->leds) || lsm_sequence_active(&core->sequence) || lsm_trigger_pulsing(&core->trigger)) {
        return LSM_STATUS_BUSY;
    }
    uint32_t crc = 0;
    if (!lsm_settings_save(core, payload[0] == 1, &crc)) {
        return LSM_STATUS_FAULT;
    }
    lsm_reply_u32(core, crc);
    return LSM_STATUS_OK;
}
