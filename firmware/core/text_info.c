/* Text commands that only tell: identity, geometry, what is latched. */
#include "geometry.h"
#include "text.h"
#include "text_out.h"

static uint16_t led_count(const struct lsm_core *core) {
    return core->leds.count;
}

static uint8_t about(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    lsm_put_name(core->leds.board.name);
    lsm_put_text(LSM_TEXT(", learned-sensing-microscope LED controller " LSM_FIRMWARE_VERSION ", "));
    lsm_put_number(led_count(core));
    lsm_put_text(LSM_TEXT(" LEDs\n"));
    return 0;
}

static uint8_t version(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)core;
    (void)arguments;
    lsm_put_text(LSM_TEXT(LSM_FIRMWARE_VERSION "\n"));
    return 0;
}

/* Replies are machine-readable in both modes. */
static uint8_t mode(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)core;
    (void)arguments;
    return 0;
}

static void put_wavelengths(const struct lsm_board *board) {
    lsm_put_text(LSM_TEXT("\"color_channels\" : [\"r\", \"g\", \"b\"],\n\"color_channel_center_wavelengths_nm\" : "));
    lsm_put_text(LSM_TEXT("{\"r\" : "));
    lsm_put_number(board->wavelength_nm[0]);
    lsm_put_text(LSM_TEXT(", \"g\" : "));
    lsm_put_number(board->wavelength_nm[1]);
    lsm_put_text(LSM_TEXT(", \"b\" : "));
    lsm_put_number(board->wavelength_nm[2]);
    lsm_put_text(LSM_TEXT("},\n"));
}

static void put_own_properties(const struct lsm_core *core) {
    lsm_put_text(LSM_TEXT("\"lsm\" : {\n"));
    lsm_put_text(LSM_TEXT("\"firmware\" : \"" LSM_FIRMWARE_VERSION "\",\n"));
    lsm_put_field(LSM_TEXT("protocol"), LSM_PROTOCOL_VERSION);
    lsm_put_field(LSM_TEXT("rows"), core->leds.board.rows);
    lsm_put_field(LSM_TEXT("columns"), core->leds.board.columns);
    lsm_put_field(LSM_TEXT("pitch_um"), core->leds.board.pitch_um);
    lsm_put_field(LSM_TEXT("distance_um"), core->leds.board.distance_um);
    lsm_put_field(LSM_TEXT("limit_ma"), core->leds.limit_ma);
    lsm_put_field(LSM_TEXT("ceiling_ma"), lsm_leds_ceiling_ma(&core->leds));
    lsm_put_text(LSM_TEXT("\"watchdog_default_ms\" : "));
    lsm_put_number(LSM_WATCHDOG_DEFAULT_MS);
    lsm_put_text(LSM_TEXT("}\n"));
}

static uint8_t pprops(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    lsm_put_text(LSM_TEXT("{\n\"device_name\" : \""));
    lsm_put_name(core->leds.board.name);
    lsm_put_text(LSM_TEXT("\",\n"));
    lsm_put_field(LSM_TEXT("led_count"), led_count(core));
    put_wavelengths(&core->leds.board);
    lsm_put_field(LSM_TEXT("trigger_input_count"), core->leds.board.trigger_inputs);
    lsm_put_field(LSM_TEXT("trigger_output_count"), core->leds.board.trigger_outputs);
    lsm_put_field(LSM_TEXT("bit_depth"), 8);
    lsm_put_field(LSM_TEXT("serial_number"), core->leds.board.serial_number);
    lsm_put_field(LSM_TEXT("color_channel_count"), 3);
    lsm_put_field(LSM_TEXT("part_number"), 0);
    lsm_put_text(LSM_TEXT("\"mac_address\" : \"00:00:00:00:00:00\",\n\"interface_version\" : 2,\n"));
    put_own_properties(core);
    lsm_put_text(LSM_TEXT("}\n"));
    return 0;
}

typedef void (*put_led)(const struct lsm_core *core, uint16_t led);

static void put_cartesian(const struct lsm_core *core, uint16_t led) {
    struct lsm_point point = lsm_led_position(&core->leds.board, led);
    lsm_put_milli(point.x_um);
    lsm_put_text(LSM_TEXT(", "));
    lsm_put_milli(point.y_um);
    lsm_put_text(LSM_TEXT(", "));
    lsm_put_milli((int32_t)core->leds.board.distance_um);
}

static int32_t na_permille(int32_t offset_um, uint32_t distance_um) {
    int64_t half = offset_um < 0 ? -(int64_t)distance_um / 2 : (int64_t)distance_um / 2;
    return (int32_t)(((int64_t)offset_um * 1000 + half) / (int64_t)distance_um);
}

static void put_na(const struct lsm_core *core, uint16_t led) {
    struct lsm_point point = lsm_led_position(&core->leds.board, led);
    uint32_t distance_um = lsm_led_distance_um(&core->leds.board, led);
    lsm_put_milli(na_permille(point.x_um, distance_um));
    lsm_put_text(LSM_TEXT(", "));
    lsm_put_milli(na_permille(point.y_um, distance_um));
}

static void put_levels(const struct lsm_core *core, uint16_t led) {
    uint8_t level[3];
    (void)lsm_leds_read(&core->leds, led, level);
    lsm_put_number(level[0]);
    lsm_put_text(LSM_TEXT(","));
    lsm_put_number(level[1]);
    lsm_put_text(LSM_TEXT(","));
    lsm_put_number(level[2]);
}

/* Arguments: first LED, then the one behind the last. The light may have to go out during a long list. */
static uint8_t list(struct lsm_core *core, struct lsm_arguments arguments, const LSM_FLASH char *title, put_led put) {
    uint16_t first = 0;
    uint16_t end = led_count(core);
    if (arguments.count > 0 && !lsm_text_number(&arguments, &first)) {
        return LSM_TEXT_NOT_A_NUMBER;
    }
    if (arguments.count > 1 && !lsm_text_number(&arguments, &end)) {
        return LSM_TEXT_NOT_A_NUMBER;
    }
    if (first > end || end > led_count(core)) {
        return LSM_TEXT_RANGE;
    }
    lsm_put_text(title);
    for (uint16_t led = first; led < end; led++) {
        lsm_put_text(LSM_TEXT("\""));
        lsm_put_number(led);
        lsm_put_text(LSM_TEXT("\" : ["));
        put(core, led);
        if (led + 1 < end) {
            lsm_put_text(LSM_TEXT("],\n"));
        } else {
            lsm_put_text(LSM_TEXT("]\n"));
        }
        lsm_tick(core);
    }
    lsm_put_text(LSM_TEXT("}}\n"));
    return 0;
}

static uint8_t pledpos(struct lsm_core *core, struct lsm_arguments arguments) {
    return list(core, arguments, LSM_TEXT("{\"led_position_list_cartesian\" : {\n"), put_cartesian);
}

static uint8_t pledposna(struct lsm_core *core, struct lsm_arguments arguments) {
    return list(core, arguments, LSM_TEXT("{\"led_position_list_na\" : {\n"), put_na);
}

static uint8_t pvals(struct lsm_core *core, struct lsm_arguments arguments) {
    uint8_t level[3];
    if (!lsm_leds_read(&core->leds, 0, level)) {
        return LSM_TEXT_BUSY;
    }
    return list(core, arguments, LSM_TEXT("{\"led_values\" : {\n"), put_levels);
}

const LSM_FLASH struct lsm_text_command LSM_TEXT_INFO[] = {
    {"about", LSM_CHANGES_NOTHING, 0, 0, about},
    {"version", LSM_CHANGES_NOTHING, 0, 0, version},
    {"ver", LSM_CHANGES_NOTHING, 0, 0, version},
    {"machine", LSM_CHANGES_NOTHING, 0, 0, mode},
    {"human", LSM_CHANGES_NOTHING, 0, 0, mode},
    {"pprops", LSM_CHANGES_NOTHING, 0, 0, pprops},
    {"pp", LSM_CHANGES_NOTHING, 0, 0, pprops},
    {"pledpos", LSM_CHANGES_NOTHING, 0, 2, pledpos},
    {"pledposna", LSM_CHANGES_NOTHING, 0, 2, pledposna},
    {"pvals", LSM_CHANGES_NOTHING, 0, 2, pvals},
    {"", LSM_CHANGES_NOTHING, 0, 0, NULL},
};
