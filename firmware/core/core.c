#include "core.h"

#include <string.h>

#include "settings.h"
#include "stream.h"
#include "text.h"

void lsm_init(struct lsm_core *core, const struct lsm_board *board) {
    memset(core, 0, sizeof *core);
    lsm_leds_init(&core->leds, board);
    lsm_trigger_init(&core->trigger);
    lsm_watchdog_init(&core->watchdog, hal_now_ms());
    lsm_text_init(&core->text);
    lsm_settings_load(core);
}

void lsm_receive(struct lsm_core *core, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        lsm_stream_byte(core, bytes[i]);
    }
}

/* A running sequence has its own longest time; the silence counts from its end. */
void lsm_tick(struct lsm_core *core) {
    uint32_t now_ms = hal_now_ms();
    lsm_stream_idle(&core->stream, now_ms);
    lsm_sequence_tick(core);
    if (lsm_sequence_active(&core->sequence)) {
        lsm_watchdog_hold(&core->watchdog, now_ms);
    } else if (lsm_watchdog_expired(&core->watchdog, now_ms) && lsm_leds_lit(&core->leds)) {
        lsm_leds_dark(&core->leds);
        core->watchdog.darkened++;
    }
}

void lsm_trigger_edge(struct lsm_core *core, uint8_t pin) {
    lsm_trigger_note(&core->trigger, pin);
}

void lsm_stop(struct lsm_core *core) {
    lsm_sequence_stop(core);
    lsm_leds_dark(&core->leds);
}
