/* Text commands that light LEDs in the colour and brightness set by sc and sb. */
#include "geometry.h"
#include "text.h"
#include "text_out.h"

#define NA_FULL_PERMILLE 1000u

struct region {
    uint32_t from_permille;
    uint32_t to_permille;
    char side; /* t, b, l, r, or 0 for all around */
};

static void paint(struct lsm_core *core, uint16_t led) {
    uint8_t level[3];
    lsm_text_painted(core, level);
    lsm_leds_put(&core->leds, led, 255, level);
}

static void begin(struct lsm_core *core) {
    if (core->text.auto_clear) {
        lsm_leds_clear(&core->leds);
    }
}

static uint8_t finish(struct lsm_core *core) {
    (void)lsm_leds_latch(&core->leds, NULL);
    if (lsm_leds_limited(&core->leds)) {
        lsm_put_text(LSM_TEXT("LIMITED."));
        lsm_put_milli((int32_t)(((uint64_t)core->leds.scale * 1000u + LSM_SCALE_ONE / 2u) / LSM_SCALE_ONE));
        lsm_put_text(LSM_TEXT("\n"));
    }
    return 0;
}

static bool on_side(struct lsm_point point, char side) {
    switch (side) {
    case 't':
        return point.y_um > 0;
    case 'b':
        return point.y_um < 0;
    case 'l':
        return point.x_um < 0;
    case 'r':
        return point.x_um > 0;
    default:
        return true;
    }
}

static uint8_t draw(struct lsm_core *core, struct region region) {
    begin(core);
    for (uint16_t led = 0; led < core->leds.count; led++) {
        if (lsm_led_na_within(&core->leds.board, led, region.from_permille, region.to_permille) &&
            on_side(lsm_led_position(&core->leds.board, led), region.side)) {
            paint(core, led);
        }
    }
    return finish(core);
}

static uint8_t dark(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    lsm_stop(core);
    return 0;
}

/* All numbers are checked before any LED changes. */
static uint8_t led_list(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t led = 0;
    uint8_t error = lsm_text_numbers(arguments, (uint16_t)(core->leds.count - 1u), &led, 1);
    if (error != 0) {
        return error;
    }
    begin(core);
    while (lsm_text_number(&arguments, &led)) {
        paint(core, led);
    }
    return finish(core);
}

static uint8_t fill(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    return draw(core, (struct region){0, NA_FULL_PERMILLE, 0});
}

static uint8_t bright_field(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    return draw(core, (struct region){0, core->text.na_percent * 10u, 0});
}

static uint8_t dark_field(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    return draw(core, (struct region){core->text.na_percent * 10u + 1u, NA_FULL_PERMILLE, 0});
}

/* Without arguments between nai and na. */
static uint8_t annulus(struct lsm_core *core, struct lsm_arguments arguments) {
    uint16_t ends[2] = {core->text.inner_na_percent, core->text.na_percent};
    if (arguments.count == 1) {
        return LSM_TEXT_ARGUMENT_COUNT;
    }
    uint8_t error = lsm_text_numbers(arguments, 100, ends, 2);
    if (error != 0) {
        return error;
    }
    if (ends[0] > ends[1]) {
        return LSM_TEXT_RANGE;
    }
    return draw(core, (struct region){ends[0] * 10u, ends[1] * 10u, 0});
}

/* t and b are the sides of larger and smaller y. */
static uint8_t half_disc(struct lsm_core *core, struct lsm_arguments arguments) {
    char side = arguments.count == 0 ? 't' : arguments.next[0];
    if (side != 't' && side != 'b' && side != 'l' && side != 'r') {
        return LSM_TEXT_RANGE;
    }
    return draw(core, (struct region){0, core->text.na_percent * 10u, side});
}

const LSM_FLASH struct lsm_text_command LSM_TEXT_LIGHT[] = {
    {"x", LSM_CHANGES_NOTHING, 0, 0, dark},
    {"l", LSM_CHANGES_ALWAYS, 1, UINT16_MAX, led_list},
    {"ff", LSM_CHANGES_ALWAYS, 0, 0, fill},
    {"bf", LSM_CHANGES_ALWAYS, 0, 0, bright_field},
    {"df", LSM_CHANGES_ALWAYS, 0, 0, dark_field},
    {"an", LSM_CHANGES_ALWAYS, 0, 2, annulus},
    {"dpc", LSM_CHANGES_ALWAYS, 0, 1, half_disc},
    {"", LSM_CHANGES_NOTHING, 0, 0, NULL},
};
