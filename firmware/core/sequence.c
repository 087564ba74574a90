#include "sequence.h"

#include <string.h>

#include "checksum.h"
#include "core.h"

static uint32_t total_bytes(const struct lsm_sequence *sequence) {
    return sequence->patterns * sequence->pattern_bytes;
}

static struct lsm_pattern stored(const struct lsm_sequence *sequence, uint16_t index) {
    struct lsm_pattern pattern = {sequence->bytes + index * sequence->pattern_bytes, sequence->bits, {0, 0, 0}};
    memcpy(pattern.colour, sequence->colour, sizeof pattern.colour);
    return pattern;
}

bool lsm_sequence_active(const struct lsm_sequence *sequence) {
    return sequence->state >= LSM_SEQUENCE_STATE_ARMED && sequence->state <= LSM_SEQUENCE_STATE_EXPOSING;
}

uint8_t lsm_sequence_begin(struct lsm_core *core, uint16_t patterns, uint8_t bits, const uint8_t colour[3]) {
    struct lsm_sequence *sequence = &core->sequence;
    uint32_t size = lsm_pattern_size(bits, core->leds.count);
    if (lsm_sequence_active(sequence)) {
        return LSM_STATUS_BUSY;
    }
    if (size == 0 || patterns == 0) {
        return LSM_STATUS_RANGE;
    }
    if (patterns > LSM_SEQUENCE_BYTES / size) {
        return LSM_STATUS_MEMORY;
    }
    sequence->pattern_bytes = size;
    sequence->patterns = patterns;
    sequence->bits = bits;
    memcpy(sequence->colour, colour, sizeof sequence->colour);
    sequence->committed = false;
    sequence->state = LSM_SEQUENCE_STATE_IDLE;
    memset(sequence->bytes, 0, sizeof sequence->bytes);
    return LSM_STATUS_OK;
}

uint8_t lsm_sequence_data(struct lsm_core *core, uint32_t offset, const uint8_t *bytes, uint32_t count) {
    struct lsm_sequence *sequence = &core->sequence;
    if (lsm_sequence_active(sequence)) {
        return LSM_STATUS_BUSY;
    }
    if (offset > total_bytes(sequence) || count > total_bytes(sequence) - offset) {
        return LSM_STATUS_RANGE;
    }
    memcpy(sequence->bytes + offset, bytes, (size_t)count);
    sequence->committed = false;
    return LSM_STATUS_OK;
}

uint32_t lsm_sequence_crc(const struct lsm_sequence *sequence) {
    return lsm_crc32(sequence->bytes, (size_t)total_bytes(sequence));
}

uint8_t lsm_sequence_commit(struct lsm_core *core, uint32_t crc) {
    struct lsm_sequence *sequence = &core->sequence;
    if (sequence->patterns == 0) {
        return LSM_STATUS_NOT_ARMED;
    }
    sequence->committed = crc == lsm_sequence_crc(sequence);
    return sequence->committed ? (uint8_t)LSM_STATUS_OK : (uint8_t)LSM_STATUS_CRC;
}

/* One scale for all patterns, so that their images can be compared. */
static uint32_t common_scale(const struct lsm_core *core) {
    const struct lsm_sequence *sequence = &core->sequence;
    uint32_t most = 0;
    for (uint16_t i = 0; i < sequence->patterns; i++) {
        struct lsm_pattern pattern = stored(sequence, i);
        uint32_t sum = lsm_pattern_sum(&pattern, core->leds.count);
        most = sum > most ? sum : most;
    }
    return lsm_leds_allowed(&core->leds, most);
}

static void show(struct lsm_core *core) {
    struct lsm_sequence *sequence = &core->sequence;
    struct lsm_pattern pattern = stored(sequence, sequence->index);
    lsm_trigger_close(&core->trigger);
    lsm_trigger_cancel(&core->trigger);
    sequence->state = LSM_SEQUENCE_STATE_UPDATING;
    lsm_leds_show(&core->leds, &pattern, sequence->scale);
    sequence->shown_us = hal_now_us();
    sequence->steps++;
}

static void finish(struct lsm_core *core, uint8_t state) {
    lsm_trigger_close(&core->trigger);
    lsm_trigger_cancel(&core->trigger);
    core->sequence.state = state;
    lsm_leds_dark(&core->leds);
    lsm_trigger_fire(&core->trigger, &core->leds.board, LSM_TRIGGER_WHEN_END);
}

static bool timed(const struct lsm_sequence *sequence) {
    return sequence->plan.period_us != 0;
}

uint8_t lsm_sequence_arm(struct lsm_core *core, const struct lsm_sequence_plan *plan) {
    struct lsm_sequence *sequence = &core->sequence;
    if (lsm_sequence_active(sequence)) {
        return LSM_STATUS_BUSY;
    }
    if (plan->longest_ms == 0 || plan->longest_ms > LSM_SEQUENCE_CEILING_MS ||
        plan->settle_us > LSM_PULSE_CEILING_US || (plan->period_us != 0 && plan->settle_us >= plan->period_us)) {
        return LSM_STATUS_RANGE;
    }
    if (!sequence->committed || core->leds.shutter_closed) {
        return LSM_STATUS_NOT_ARMED;
    }
    lsm_leds_dark(&core->leds);
    sequence->plan = *plan;
    sequence->scale = common_scale(core);
    sequence->index = 0;
    sequence->round = 0;
    sequence->steps = 0;
    sequence->missed = 0;
    sequence->armed_ms = hal_now_ms();
    sequence->shown_us = hal_now_us();
    sequence->beat_us = sequence->shown_us;
    (void)lsm_trigger_missed(&core->trigger);
    lsm_trigger_reset(&core->trigger);
    sequence->state = LSM_SEQUENCE_STATE_ARMED;
    core->trigger.listening = timed(sequence) ? 0 : 1;
    core->trigger.ready = timed(sequence) ? 0 : 1;
    if (!plan->at_first_step) {
        show(core);
    }
    return sequence->scale == LSM_SCALE_ONE ? LSM_STATUS_OK : LSM_STATUS_LIMITED;
}

static void advance(struct lsm_core *core) {
    struct lsm_sequence *sequence = &core->sequence;
    if (sequence->state == LSM_SEQUENCE_STATE_EXPOSING) {
        sequence->index++;
        if (sequence->index == sequence->patterns) {
            sequence->index = 0;
            sequence->round++;
        }
        if (sequence->plan.rounds != 0 && sequence->round == sequence->plan.rounds) {
            finish(core, LSM_SEQUENCE_STATE_DONE);
            return;
        }
    }
    show(core);
}

uint8_t lsm_sequence_step(struct lsm_core *core) {
    struct lsm_sequence *sequence = &core->sequence;
    if (!lsm_sequence_active(sequence)) {
        return LSM_STATUS_NOT_ARMED;
    }
    if (sequence->state == LSM_SEQUENCE_STATE_UPDATING) {
        return LSM_STATUS_BUSY;
    }
    advance(core);
    return LSM_STATUS_OK;
}

void lsm_sequence_stop(struct lsm_core *core) {
    core->trigger.listening = 0;
    lsm_trigger_close(&core->trigger);
    lsm_trigger_cancel(&core->trigger);
    if (core->sequence.state != LSM_SEQUENCE_STATE_DONE && core->sequence.state != LSM_SEQUENCE_STATE_FAULT) {
        core->sequence.state = LSM_SEQUENCE_STATE_IDLE;
    }
}

/* How many beats of the period have come since the last one that was counted. */
static uint32_t beats(struct lsm_sequence *sequence) {
    uint32_t fresh = (hal_now_us() - sequence->beat_us) / sequence->plan.period_us;
    sequence->beat_us += fresh * sequence->plan.period_us;
    return fresh;
}

/* The pattern has settled: edges and beats count from here on, and the camera may begin. */
static void settle(struct lsm_core *core) {
    struct lsm_sequence *sequence = &core->sequence;
    if (timed(sequence)) {
        sequence->missed += beats(sequence);
    }
    sequence->state = LSM_SEQUENCE_STATE_EXPOSING;
    core->trigger.ready = core->trigger.listening;
    lsm_trigger_fire(&core->trigger, &core->leds.board, LSM_TRIGGER_WHEN_PATTERN);
    if (sequence->steps == 1) {
        lsm_trigger_fire(&core->trigger, &core->leds.board, LSM_TRIGGER_WHEN_START);
    }
}

/* Steps are due at multiples of the period, however long each takes to show. */
static bool step_is_due(struct lsm_core *core) {
    struct lsm_sequence *sequence = &core->sequence;
    if (timed(sequence)) {
        uint32_t fresh = beats(sequence);
        sequence->missed += fresh > 1 ? fresh - 1u : 0u;
        return fresh != 0;
    }
    if (!core->trigger.pending) {
        return false;
    }
    core->trigger.pending = 0;
    return true;
}

void lsm_sequence_tick(struct lsm_core *core) {
    struct lsm_sequence *sequence = &core->sequence;
    if (lsm_sequence_active(sequence)) {
        if (hal_now_ms() - sequence->armed_ms >= sequence->plan.longest_ms) {
            finish(core, LSM_SEQUENCE_STATE_FAULT);
        } else if (sequence->state == LSM_SEQUENCE_STATE_UPDATING) {
            if (hal_now_us() - sequence->shown_us >= sequence->plan.settle_us) {
                settle(core);
            }
        } else if (step_is_due(core)) {
            advance(core);
        }
    }
    sequence->missed += lsm_trigger_missed(&core->trigger);
    lsm_trigger_tick(&core->trigger, &core->leds.board);
}
