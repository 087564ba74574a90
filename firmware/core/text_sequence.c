/* Text commands for stored sequences of on/off patterns, and for trigger pins. */
#include "text.h"
#include "text_out.h"

static uint8_t from_status(uint8_t status) {
    switch (status) {
    case LSM_STATUS_OK:
    case LSM_STATUS_LIMITED:
        return 0;
    case LSM_STATUS_MEMORY:
        return LSM_TEXT_MEMORY;
    case LSM_STATUS_RANGE:
        return LSM_TEXT_RANGE;
    default:
        return LSM_TEXT_BUSY;
    }
}

/* ssl.N: N patterns in the present colour and brightness, all dark until ssv fills them. */
static uint8_t set_length(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t patterns = 0;
    uint8_t colour[3];
    uint8_t error = lsm_text_numbers(arguments, UINT16_MAX, &patterns, 1);
    if (error != 0) {
        return error;
    }
    lsm_text_painted(core, colour);
    core->text.next_pattern = 0;
    return from_status(lsm_sequence_begin(core, patterns, 1, colour));
}

/* ssv.LED.LED...: the LEDs of the next pattern. */
static uint8_t set_values(struct lsm_core *core, struct lsm_arguments arguments) {
    struct lsm_sequence *sequence = &core->sequence;
    uint16_t led = 0;
    uint8_t error = lsm_text_numbers(arguments, (uint16_t)(core->leds.count - 1u), &led, 1);
    if (error != 0) {
        return error;
    }
    if (sequence->bits != 1 || core->text.next_pattern >= sequence->patterns) {
        return LSM_TEXT_RANGE;
    }
    sequence->committed = false;
    uint8_t *pattern = sequence->bytes + core->text.next_pattern * sequence->pattern_bytes;
    while (lsm_text_number(&arguments, &led)) {
        pattern[led / 8u] = (uint8_t)(pattern[led / 8u] | (1u << (led % 8u)));
    }
    core->text.next_pattern++;
    return 0;
}

/* rseq.MS: one round, a step every MS milliseconds. rseq.0: endless rounds, steps on trigger edges. */
static uint8_t run(struct lsm_core *core, struct lsm_arguments arguments) {
    struct lsm_sequence *sequence = &core->sequence;
    uint16_t period_ms = 0;
    uint8_t error = lsm_text_numbers(arguments, UINT16_MAX, &period_ms, 1);
    if (error != 0) {
        return error;
    }
    if (sequence->patterns == 0 || core->text.next_pattern < sequence->patterns) {
        return LSM_TEXT_RANGE;
    }
    (void)lsm_sequence_commit(core, lsm_sequence_crc(sequence));
    struct lsm_sequence_plan plan = {
        period_ms == 0, period_ms == 0 ? 0 : 1, period_ms * 1000ul, 0, LSM_TEXT_SEQUENCE_MS,
    };
    uint8_t status = lsm_sequence_arm(core, &plan);
    sequence->committed = false; /* a program must not take these patterns for its own */
    if (status == LSM_STATUS_LIMITED) {
        lsm_put_text(LSM_TEXT("LIMITED."));
        lsm_put_milli((int32_t)(((uint64_t)sequence->scale * 1000u + LSM_SCALE_ONE / 2u) / LSM_SCALE_ONE));
        lsm_put_text(LSM_TEXT("\n"));
    }
    return from_status(status);
}

static uint8_t end(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    lsm_stop(core);
    return 0;
}

static uint8_t print(struct lsm_core *core, struct lsm_arguments arguments) {
    const struct lsm_sequence *sequence = &core->sequence;
    (void)arguments;
    lsm_put_text(LSM_TEXT("{"));
    lsm_put_field(LSM_TEXT("patterns"), sequence->patterns);
    lsm_put_field(LSM_TEXT("bits"), sequence->bits);
    lsm_put_field(LSM_TEXT("filled"), core->text.next_pattern);
    lsm_put_field(LSM_TEXT("state"), sequence->state);
    lsm_put_field(LSM_TEXT("steps"), sequence->steps);
    lsm_put_field(LSM_TEXT("missed"), sequence->missed);
    lsm_put_text(LSM_TEXT("\"crc32\" : "));
    lsm_put_number(lsm_sequence_crc(sequence));
    lsm_put_text(LSM_TEXT("}\n"));
    return 0;
}

/* tr: a pulse on every output; tr.PIN: on one. */
static uint8_t pulse(struct lsm_core *core, struct lsm_arguments arguments) {
    uint8_t outputs = core->leds.board.trigger_outputs;
    uint16_t pin = 0;
    uint8_t error = lsm_text_numbers(arguments, UINT16_MAX, &pin, 1);
    if (error != 0) {
        return error;
    }
    if (pin >= outputs) {
        return LSM_TEXT_RANGE;
    }
    for (uint8_t i = 0; i < outputs; i++) {
        if (arguments.count == 0 || i == pin) {
            lsm_trigger_pulse(&core->trigger, i);
        }
    }
    return 0;
}

/* trinputmode.PIN.EDGE: 0 ignores the pin, 1 rising, 2 falling, 3 both edges step a sequence. */
static uint8_t input_mode(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t value[2] = {0, 0};
    uint8_t error = lsm_text_numbers(arguments, UINT16_MAX, value, 2);
    if (error != 0) {
        return error;
    }
    if (value[0] >= core->leds.board.trigger_inputs || value[1] > LSM_EDGE_BOTH) {
        return LSM_TEXT_RANGE;
    }
    struct lsm_trigger_in in = {(uint8_t)value[1], 0, value[1] != 0};
    lsm_trigger_set_in(&core->trigger, &core->leds.board, (uint8_t)value[0], &in);
    return 0;
}

/* troutputmode.PIN.WHEN: 0 never, 1 each pattern, 2 the first, 3 the end of a sequence. */
static uint8_t output_mode(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t value[2] = {0, 0};
    uint8_t error = lsm_text_numbers(arguments, UINT16_MAX, value, 2);
    if (error != 0) {
        return error;
    }
    if (value[0] >= core->leds.board.trigger_outputs || value[1] > LSM_TRIGGER_WHEN_END) {
        return LSM_TEXT_RANGE;
    }
    struct lsm_trigger_out out = core->trigger.out[value[0]];
    out.when = (uint8_t)value[1];
    lsm_trigger_set_out(&core->trigger, &core->leds.board, (uint8_t)value[0], &out);
    return 0;
}

const LSM_FLASH struct lsm_text_command LSM_TEXT_SEQUENCE[] = {
    {"ssl", LSM_CHANGES_ALWAYS, 1, 1, set_length},
    {"ssv", LSM_CHANGES_ALWAYS, 1, UINT16_MAX, set_values},
    {"rseq", LSM_CHANGES_ALWAYS, 1, 1, run},
    {"xseq", LSM_CHANGES_NOTHING, 0, 0, end},
    {"pseq", LSM_CHANGES_NOTHING, 0, 0, print},
    {"tr", LSM_CHANGES_ALWAYS, 0, 1, pulse},
    {"trinputmode", LSM_CHANGES_ALWAYS, 2, 2, input_mode},
    {"troutputmode", LSM_CHANGES_ALWAYS, 2, 2, output_mode},
    {"", LSM_CHANGES_NOTHING, 0, 0, NULL},
};
