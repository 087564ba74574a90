/* Text commands that change how the next light looks. Without an argument they tell the present value. */
#include <string.h>

#include "text.h"
#include "text_out.h"

static void answer(const char *name, uint32_t value) {
    lsm_put_text(name);
    lsm_put_number(value);
    lsm_put_text("\n");
}

/* One value for all three channels, or one for each. */
static uint8_t triple(uint8_t stored[3], const char *name, struct lsm_arguments arguments) {
    uint16_t value[3] = {0, 0, 0};
    uint16_t given = arguments.count;
    if (given == 2) {
        return LSM_TEXT_ARGUMENT_COUNT;
    }
    for (uint16_t i = 0; i < given; i++) {
        if (!lsm_text_number(&arguments, &value[i])) {
            return LSM_TEXT_NOT_A_NUMBER;
        }
        if (value[i] > 255) {
            return LSM_TEXT_RANGE;
        }
    }
    for (uint16_t i = 0; i < 3 && given > 0; i++) {
        stored[i] = (uint8_t)value[given == 1 ? 0 : i];
    }
    lsm_put_text(name);
    for (int i = 0; i < 3; i++) {
        lsm_put_text(".");
        lsm_put_number(stored[i]);
    }
    lsm_put_text("\n");
    return 0;
}

static uint8_t colour(struct lsm_core *core, struct lsm_arguments arguments) {
    return triple(core->text.colour, "SC", arguments);
}

static uint8_t brightness(struct lsm_core *core, struct lsm_arguments arguments) {
    return triple(core->text.brightness, "SB", arguments);
}

static uint8_t flag(struct lsm_arguments arguments, bool *value) {
    uint16_t number = 0;
    if (!lsm_text_number(&arguments, &number)) {
        return LSM_TEXT_NOT_A_NUMBER;
    }
    *value = number == 1;
    return number > 1 ? LSM_TEXT_RANGE : 0;
}

/* The shutter: closing it keeps the frame buffer, opening it shows that again. */
static uint8_t shutter(struct lsm_core *core, struct lsm_arguments arguments) {
    bool open = false;
    if (arguments.count == 1) {
        uint8_t error = flag(arguments, &open);
        if (error != 0) {
            return error;
        }
        core->leds.shutter_closed = !open;
        lsm_leds_latch(&core->leds);
    }
    answer("GS.", core->leds.shutter_closed ? 0 : 1);
    return 0;
}

static uint8_t auto_clear(struct lsm_core *core, struct lsm_arguments arguments) {
    bool wanted = false;
    if (arguments.count == 1) {
        uint8_t error = flag(arguments, &wanted);
        if (error != 0) {
            return error;
        }
        core->text.auto_clear = wanted;
    }
    answer("AC.", core->text.auto_clear ? 1 : 0);
    return 0;
}

/* Illuminate's hundredths: na.25 is 0.25, and a single digit is a tenth: na.5 is 0.50. */
static uint8_t numerical_aperture(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t percent = core->text.na_percent;
    if (arguments.count == 1) {
        size_t digits = strlen(arguments.next);
        if (!lsm_text_number(&arguments, &percent)) {
            return LSM_TEXT_NOT_A_NUMBER;
        }
        percent = digits == 1 ? (uint16_t)(percent * 10u) : percent;
        if (percent == 0 || percent > 100) {
            return LSM_TEXT_RANGE;
        }
        core->text.na_percent = percent;
    }
    answer(percent < 10 ? "NA.0" : "NA.", percent);
    return 0;
}

const struct lsm_text_command LSM_TEXT_SETTINGS[] = {
    {"sc", 0, 3, colour},     {"sb", 0, 3, brightness},         {"gs", 0, 1, shutter},
    {"ac", 0, 1, auto_clear}, {"na", 0, 1, numerical_aperture}, {NULL, 0, 0, NULL},
};
