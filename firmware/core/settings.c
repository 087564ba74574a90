#include "settings.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "core.h"

#define MAGIC 0x434D534Cu /* "LSMC" */
#define HEAD 12u          /* magic, limit, watchdog */
#define IN_BYTES 4u
#define OUT_BYTES 10u
#define BODY (HEAD + LSM_TRIGGER_PINS * (IN_BYTES + OUT_BYTES))
#define SIZE (BODY + 4u)

static void pack(const struct lsm_core *core, uint8_t bytes[SIZE]) {
    lsm_set_u32(bytes, MAGIC);
    lsm_set_u32(bytes + 4, core->leds.limit_ma);
    lsm_set_u32(bytes + 8, core->watchdog.period_ms);
    uint8_t *to = bytes + HEAD;
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++, to += IN_BYTES) {
        to[0] = core->trigger.in[pin].edge;
        lsm_set_u16(to + 1, core->trigger.in[pin].debounce_us);
        to[3] = core->trigger.in[pin].steps;
    }
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++, to += OUT_BYTES) {
        to[0] = core->trigger.out[pin].high;
        to[1] = core->trigger.out[pin].when;
        lsm_set_u32(to + 2, core->trigger.out[pin].delay_us);
        lsm_set_u32(to + 6, core->trigger.out[pin].width_us);
    }
    lsm_set_u32(bytes + BODY, lsm_crc32(bytes, BODY));
}

/* A limit that is too high for this build's LEDs is not believed, whatever the CRC says. */
static bool valid(const struct lsm_core *core, const uint8_t bytes[SIZE]) {
    uint32_t limit_ma = lsm_get_u32(bytes + 4);
    uint32_t period_ms = lsm_get_u32(bytes + 8);
    return lsm_get_u32(bytes) == MAGIC && lsm_get_u32(bytes + BODY) == lsm_crc32(bytes, BODY) && limit_ma != 0 &&
           limit_ma <= lsm_leds_ceiling_ma(&core->leds) && period_ms != 0 && period_ms <= LSM_WATCHDOG_CEILING_MS;
}

static void load_triggers(struct lsm_core *core, const uint8_t *from) {
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++, from += IN_BYTES) {
        struct lsm_trigger_in in = {from[0] & 3u, lsm_get_u16(from + 1), from[3] != 0};
        lsm_trigger_set_in(&core->trigger, &core->leds.board, pin, &in);
    }
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++, from += OUT_BYTES) {
        struct lsm_trigger_out out = {from[0] != 0, lsm_get_u32(from + 2), lsm_get_u32(from + 6), from[1]};
        lsm_trigger_set_out(&core->trigger, &core->leds.board, pin, &out);
    }
}

static void load_defaults(struct lsm_core *core) {
    const struct lsm_trigger_in in = {LSM_EDGE_NONE, 0, false};
    const struct lsm_trigger_out out = {true, 0, 100, LSM_TRIGGER_WHEN_NEVER};
    core->leds.limit_ma = lsm_leds_default_ma(&core->leds);
    core->watchdog.period_ms = LSM_WATCHDOG_DEFAULT_MS;
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++) {
        lsm_trigger_set_in(&core->trigger, &core->leds.board, pin, &in);
        lsm_trigger_set_out(&core->trigger, &core->leds.board, pin, &out);
    }
}

void lsm_settings_load(struct lsm_core *core) {
    uint8_t bytes[SIZE];
    hal_config_read(bytes, SIZE);
    core->defaults = !valid(core, bytes);
    if (core->defaults) {
        load_defaults(core);
        return;
    }
    core->leds.limit_ma = lsm_get_u32(bytes + 4);
    core->watchdog.period_ms = lsm_get_u32(bytes + 8);
    load_triggers(core, bytes + HEAD);
}

/* Flash wears: what is there already is not written again. */
bool lsm_settings_save(const struct lsm_core *core, bool forget, uint32_t *crc) {
    uint8_t wanted[SIZE];
    uint8_t found[SIZE];
    memset(wanted, 0xFF, SIZE);
    if (!forget) {
        pack(core, wanted);
    }
    *crc = lsm_get_u32(wanted + BODY);
    hal_config_read(found, SIZE);
    if (memcmp(found, wanted, SIZE) == 0) {
        return true;
    }
    if (!hal_config_write(wanted, SIZE)) {
        return false;
    }
    hal_config_read(found, SIZE);
    return memcmp(found, wanted, SIZE) == 0;
}
