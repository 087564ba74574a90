/* Text commands that change how the next light looks. Without an argument they tell the present value. */
#include <string.h>

#include "text.h"
#include "text_out.h"

static void answer(const LSM_FLASH char *name, uint32_t value) {
    lsm_put_text(name);
    lsm_put_number(value);
    lsm_put_text(LSM_TEXT("\n"));
}

/* One value for all three channels, or one for each. */
static uint8_t triple(uint8_t stored[3], const LSM_FLASH char *name, struct lsm_arguments arguments) {
    uint16_t value[3] = {0, 0, 0};
    uint16_t given = arguments.count;
    if (given == 2) {
        return LSM_TEXT_ARGUMENT_COUNT;
    }
    uint8_t error = lsm_text_numbers(arguments, 255, value, 3);
    if (error != 0) {
        return error;
    }
    for (uint8_t i = 0; i < 3 && given > 0; i++) {
        stored[i] = (uint8_t)value[given == 1 ? 0 : i];
    }
    lsm_put_text(name);
    for (uint8_t i = 0; i < 3; i++) {
        lsm_put_text(LSM_TEXT("."));
        lsm_put_number(stored[i]);
    }
    lsm_put_text(LSM_TEXT("\n"));
    return 0;
}

static uint8_t colour(struct lsm_core *core, struct lsm_arguments arguments) {
    return triple(core->text.colour, LSM_TEXT("SC"), arguments);
}

static uint8_t brightness(struct lsm_core *core, struct lsm_arguments arguments) {
    return triple(core->text.brightness, LSM_TEXT("SB"), arguments);
}

/* The shutter: closing it keeps the frame buffer, opening it shows that again. Closing is always allowed. */
static uint8_t shutter(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t open = 0;
    uint8_t error = lsm_text_numbers(arguments, 1, &open, 1);
    if (error != 0) {
        return error;
    }
    if (arguments.count == 1) {
        if (open == 1 && (core->watchdog.live || lsm_sequence_active(&core->sequence))) {
            return LSM_TEXT_BUSY;
        }
        lsm_sequence_stop(core);
        core->leds.shutter_closed = open == 0;
        (void)lsm_leds_latch(&core->leds, NULL);
    }
    answer(LSM_TEXT("GS."), core->leds.shutter_closed ? 0 : 1);
    return 0;
}

static uint8_t auto_clear(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t wanted = core->text.auto_clear;
    uint8_t error = lsm_text_numbers(arguments, 1, &wanted, 1);
    if (error != 0) {
        return error;
    }
    core->text.auto_clear = wanted == 1;
    answer(LSM_TEXT("AC."), core->text.auto_clear ? 1 : 0);
    return 0;
}

/* Illuminate's hundredths: na.25 is 0.25, and a single digit is a tenth: na.5 is 0.50. */
static uint8_t percent(uint16_t *stored, uint16_t least, const LSM_FLASH char *name, struct lsm_arguments arguments) {
    uint16_t value = *stored;
    if (arguments.count == 1) {
        bool tenth = strlen(arguments.next) == 1;
        uint8_t error = lsm_text_numbers(arguments, 100, &value, 1);
        if (error != 0) {
            return error;
        }
        value = tenth ? (uint16_t)(value * 10u) : value;
        if (value < least) {
            return LSM_TEXT_RANGE;
        }
        *stored = value;
    }
    lsm_put_text(name);
    if (value < 10) {
        lsm_put_text(LSM_TEXT("0"));
    }
    answer(LSM_TEXT(""), value);
    return 0;
}

static uint8_t outer_na(struct lsm_core *core, struct lsm_arguments arguments) {
    return percent(&core->text.na_percent, 1, LSM_TEXT("NA."), arguments);
}

static uint8_t inner_na(struct lsm_core *core, struct lsm_arguments arguments) {
    return percent(&core->text.inner_na_percent, 0, LSM_TEXT("NAI."), arguments);
}

/* Hundredths of a millimetre. */
static uint8_t distance(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t hundredths = 0;
    uint8_t error = lsm_text_numbers(arguments, UINT16_MAX, &hundredths, 1);
    if (error != 0) {
        return error;
    }
    if (arguments.count == 1) {
        if (hundredths == 0) {
            return LSM_TEXT_RANGE;
        }
        core->leds.board.distance_um = hundredths * 10ul;
    }
    answer(LSM_TEXT("SAD."), core->leds.board.distance_um / 10u);
    return 0;
}

const LSM_FLASH struct lsm_text_command LSM_TEXT_SETTINGS[] = {
    {"sc", LSM_CHANGES_WITH_ARGUMENTS, 0, 3, colour},
    {"sb", LSM_CHANGES_WITH_ARGUMENTS, 0, 3, brightness},
    {"gs", LSM_CHANGES_NOTHING, 0, 1, shutter},
    {"ac", LSM_CHANGES_WITH_ARGUMENTS, 0, 1, auto_clear},
    {"na", LSM_CHANGES_WITH_ARGUMENTS, 0, 1, outer_na},
    {"nai", LSM_CHANGES_WITH_ARGUMENTS, 0, 1, inner_na},
    {"sad", LSM_CHANGES_WITH_ARGUMENTS, 0, 1, distance},
    {"", LSM_CHANGES_NOTHING, 0, 0, NULL},
};
