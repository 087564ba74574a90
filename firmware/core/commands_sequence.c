/* Commands about stored sequences and trigger pins. */
#include "bytes.h"
#include "commands.h"
#include "link.h"

static bool showing(const struct lsm_sequence *sequence) {
    return sequence->state == LSM_SEQUENCE_STATE_UPDATING || sequence->state == LSM_SEQUENCE_STATE_EXPOSING;
}

static uint16_t index_on(const struct lsm_sequence *sequence) {
    return showing(sequence) ? sequence->index : LSM_NO_PATTERN;
}

uint8_t lsm_run_seq_begin(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 6) {
        return LSM_STATUS_LENGTH;
    }
    uint8_t status = lsm_sequence_begin(core, lsm_get_u16(payload), payload[2], payload + 3);
    if (status == LSM_STATUS_OK) {
        lsm_reply_u32(core, core->sequence.pattern_bytes);
    }
    return status;
}

uint8_t lsm_run_seq_data(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count < 5) {
        return LSM_STATUS_LENGTH;
    }
    return lsm_sequence_data(core, lsm_get_u32(payload), payload + 4, (uint32_t)(count - 4));
}

uint8_t lsm_run_seq_commit(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 4) {
        return LSM_STATUS_LENGTH;
    }
    if (lsm_sequence_active(&core->sequence)) {
        return LSM_STATUS_BUSY;
    }
    uint8_t status = lsm_sequence_commit(core, lsm_get_u32(payload));
    lsm_reply_u32(core, lsm_sequence_crc(&core->sequence));
    return status;
}

uint8_t lsm_run_seq_arm(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 15) {
        return LSM_STATUS_LENGTH;
    }
    if (payload[0] > 1) {
        return LSM_STATUS_RANGE;
    }
    struct lsm_sequence_plan plan = {
        payload[0] == 1,           lsm_get_u16(payload + 1),  lsm_get_u32(payload + 3),
        lsm_get_u32(payload + 7), lsm_get_u32(payload + 11),
    };
    uint8_t status = lsm_sequence_arm(core, &plan);
    if (status == LSM_STATUS_OK || status == LSM_STATUS_LIMITED) {
        lsm_reply_u32(core, core->sequence.scale);
        lsm_reply_u32(core, core->leds.latch);
    }
    return status;
}

static uint32_t rest_ms(const struct lsm_sequence *sequence) {
    uint32_t passed_ms = hal_now_ms() - sequence->armed_ms;
    bool running = lsm_sequence_active(sequence) && passed_ms < sequence->plan.longest_ms;
    return running ? sequence->plan.longest_ms - passed_ms : 0;
}

uint8_t lsm_run_seq_status(struct lsm_core *core, const uint8_t *payload, size_t count) {
    (void)payload;
    if (count != 0) {
        return LSM_STATUS_LENGTH;
    }
    struct lsm_sequence *sequence = &core->sequence;
    sequence->missed += lsm_trigger_missed(&core->trigger);
    lsm_reply_u8(core, sequence->state);
    lsm_reply_u16(core, index_on(sequence));
    lsm_reply_u16(core, sequence->round);
    lsm_reply_u16(core, sequence->patterns);
    lsm_reply_u32(core, sequence->steps);
    lsm_reply_u32(core, sequence->missed);
    lsm_reply_u32(core, core->leds.latch);
    lsm_reply_u32(core, sequence->scale);
    lsm_reply_u32(core, rest_ms(sequence));
    lsm_reply_u32(core, core->trigger.lost_pulses);
    return LSM_STATUS_OK;
}

uint8_t lsm_run_seq_step(struct lsm_core *core, const uint8_t *payload, size_t count) {
    (void)payload;
    if (count != 0) {
        return LSM_STATUS_LENGTH;
    }
    uint8_t status = lsm_sequence_step(core);
    if (status == LSM_STATUS_OK) {
        lsm_reply_u16(core, index_on(&core->sequence));
        lsm_reply_u32(core, core->leds.latch);
    }
    return status;
}

uint8_t lsm_run_trig_in(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 5) {
        return LSM_STATUS_LENGTH;
    }
    if (payload[0] >= core->leds.board.trigger_inputs || payload[1] > LSM_EDGE_BOTH || payload[4] > 1) {
        return LSM_STATUS_RANGE;
    }
    struct lsm_trigger_in in = {payload[1], lsm_get_u16(payload + 2), payload[4] == 1};
    lsm_trigger_set_in(&core->trigger, &core->leds.board, payload[0], &in);
    return LSM_STATUS_OK;
}

uint8_t lsm_run_trig_out(struct lsm_core *core, const uint8_t *payload, size_t count) {
    if (count != 11) {
        return LSM_STATUS_LENGTH;
    }
    struct lsm_trigger_out out = {payload[1] == 1, lsm_get_u32(payload + 2), lsm_get_u32(payload + 6), payload[10]};
    if (payload[0] >= core->leds.board.trigger_outputs || payload[1] > 1 || out.when > LSM_TRIGGER_WHEN_END ||
        out.delay_us > LSM_PULSE_CEILING_US || out.width_us > LSM_PULSE_CEILING_US) {
        return LSM_STATUS_RANGE;
    }
    lsm_trigger_set_out(&core->trigger, &core->leds.board, payload[0], &out);
    return LSM_STATUS_OK;
}
