#include "trigger.h"

#include <string.h>

/* Keeps the compiler from moving plain stores over what switches the interrupt. */
#define LSM_BARRIER() __asm__ volatile("" ::: "memory")

void lsm_trigger_init(struct lsm_trigger *trigger) {
    memset(trigger, 0, sizeof *trigger);
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++) {
        trigger->out[pin].high = true;
        trigger->out[pin].width_us = 100;
    }
}

/* The interrupt is off while its settings change. */
void lsm_trigger_set_in(struct lsm_trigger *trigger, const struct lsm_board *board, uint8_t pin,
                        const struct lsm_trigger_in *wanted) {
    if (pin >= board->trigger_inputs || pin >= LSM_TRIGGER_PINS) {
        return;
    }
    hal_trigger_in(pin, LSM_EDGE_NONE);
    LSM_BARRIER();
    trigger->in[pin] = *wanted;
    trigger->bounced[pin] = 0;
    LSM_BARRIER();
    hal_trigger_in(pin, wanted->steps ? (enum lsm_edge)wanted->edge : LSM_EDGE_NONE);
}

void lsm_trigger_set_out(struct lsm_trigger *trigger, const struct lsm_board *board, uint8_t pin,
                         const struct lsm_trigger_out *wanted) {
    if (pin >= board->trigger_outputs || pin >= LSM_TRIGGER_PINS) {
        return;
    }
    trigger->out[pin] = *wanted;
    trigger->pulse[pin] = LSM_PULSE_IDLE;
    hal_trigger_out(pin, !wanted->high);
}

static bool bounces(struct lsm_trigger *trigger, uint8_t pin) {
    uint32_t now_us = hal_now_us();
    bool within = trigger->bounced[pin] && now_us - trigger->edge_us[pin] < trigger->in[pin].debounce_us;
    if (!within) {
        trigger->edge_us[pin] = now_us;
        trigger->bounced[pin] = 1;
    }
    return within;
}

void lsm_trigger_note(struct lsm_trigger *trigger, uint8_t pin) {
    if (pin >= LSM_TRIGGER_PINS || !trigger->listening ||
        (trigger->in[pin].debounce_us != 0 && bounces(trigger, pin))) {
        return;
    }
    if (trigger->ready) {
        trigger->ready = 0;
        trigger->pending = 1;
    } else if ((uint8_t)(trigger->missed - trigger->missed_seen) != LSM_MISSED_MOST) {
        trigger->missed = (uint8_t)(trigger->missed + 1u);
    }
}

void lsm_trigger_close(struct lsm_trigger *trigger) {
    trigger->ready = 0;
    if (trigger->pending) {
        trigger->pending = 0;
        trigger->dropped++;
    }
}

uint32_t lsm_trigger_missed(struct lsm_trigger *trigger) {
    uint8_t now = trigger->missed;
    uint32_t fresh = (uint8_t)(now - trigger->missed_seen) + trigger->dropped;
    trigger->missed_seen = now;
    trigger->dropped = 0;
    return fresh;
}

void lsm_trigger_reset(struct lsm_trigger *trigger) {
    trigger->lost_pulses = 0;
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++) {
        trigger->bounced[pin] = 0;
    }
}

void lsm_trigger_cancel(struct lsm_trigger *trigger) {
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++) {
        if (trigger->pulse[pin] == LSM_PULSE_DELAYED) {
            trigger->pulse[pin] = LSM_PULSE_IDLE;
            trigger->lost_pulses++;
        }
    }
}

void lsm_trigger_pulse(struct lsm_trigger *trigger, uint8_t pin) {
    if (trigger->pulse[pin] != LSM_PULSE_IDLE) {
        hal_trigger_out(pin, !trigger->out[pin].high);
        trigger->lost_pulses++;
    }
    trigger->pulse[pin] = LSM_PULSE_DELAYED;
    trigger->pulse_us[pin] = hal_now_us();
}

void lsm_trigger_fire(struct lsm_trigger *trigger, const struct lsm_board *board, uint8_t when) {
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS && pin < board->trigger_outputs; pin++) {
        if (trigger->out[pin].when == when) {
            lsm_trigger_pulse(trigger, pin);
        }
    }
    lsm_trigger_tick(trigger, board);
}

bool lsm_trigger_pulsing(const struct lsm_trigger *trigger) {
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS; pin++) {
        if (trigger->pulse[pin] != LSM_PULSE_IDLE) {
            return true;
        }
    }
    return false;
}

void lsm_trigger_tick(struct lsm_trigger *trigger, const struct lsm_board *board) {
    for (uint8_t pin = 0; pin < LSM_TRIGGER_PINS && pin < board->trigger_outputs; pin++) {
        const struct lsm_trigger_out *out = &trigger->out[pin];
        uint32_t now_us = hal_now_us();
        if (trigger->pulse[pin] == LSM_PULSE_DELAYED && now_us - trigger->pulse_us[pin] >= out->delay_us) {
            hal_trigger_out(pin, out->high);
            trigger->pulse[pin] = LSM_PULSE_ON;
            trigger->pulse_us[pin] = now_us;
        } else if (trigger->pulse[pin] == LSM_PULSE_ON && now_us - trigger->pulse_us[pin] >= out->width_us) {
            hal_trigger_out(pin, !out->high);
            trigger->pulse[pin] = LSM_PULSE_IDLE;
        }
    }
}
