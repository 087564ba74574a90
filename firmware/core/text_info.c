/* Text commands that only tell: identity, geometry, what is latched. */
#include "geometry.h"
#include "text.h"
#include "text_out.h"

static uint16_t led_count(const struct lsm_core *core) {
    return (uint16_t)(core->leds.byte_count / 3u);
}

static uint8_t about(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    lsm_put_text(core->leds.board->name);
    lsm_put_text(", learned-sensing-microscope LED controller " LSM_FIRMWARE_VERSION ", ");
    lsm_put_number(led_count(core));
    lsm_put_text(" LEDs\n");
    return 0;
}

static uint8_t version(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)core;
    (void)arguments;
    lsm_put_text(LSM_FIRMWARE_VERSION "\n");
    return 0;
}

/* Replies are machine-readable in both modes. */
static uint8_t mode(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)core;
    (void)arguments;
    return 0;
}

static void put_wavelengths(const struct lsm_board *board) {
    static const char *const NAMES[3] = {"{\"r\" : ", ", \"g\" : ", ", \"b\" : "};
    lsm_put_text("\"color_channels\" : [\"r\", \"g\", \"b\"],\n\"color_channel_center_wavelengths_nm\" : ");
    for (int i = 0; i < 3; i++) {
        lsm_put_text(NAMES[i]);
        lsm_put_number(board->wavelength_nm[i]);
    }
    lsm_put_text("},\n");
}

static void put_own_properties(const struct lsm_core *core) {
    lsm_put_text("\"lsm\" : {\n");
    lsm_put_field("protocol", LSM_PROTOCOL_VERSION);
    lsm_put_field("rows", core->leds.board->rows);
    lsm_put_field("columns", core->leds.board->columns);
    lsm_put_field("pitch_um", core->leds.board->pitch_um);
    lsm_put_field("distance_um", core->leds.board->distance_um);
    lsm_put_field("limit_ma", core->leds.limit_ma);
    lsm_put_field("ceiling_ma", lsm_leds_ceiling_ma(&core->leds));
    lsm_put_text("\"watchdog_default_ms\" : ");
    lsm_put_number(LSM_WATCHDOG_DEFAULT_MS);
    lsm_put_text("}\n");
}

static uint8_t pprops(struct lsm_core *core, struct lsm_arguments arguments) {
    (void)arguments;
    lsm_put_text("{\n\"device_name\" : \"");
    lsm_put_text(core->leds.board->name);
    lsm_put_text("\",\n");
    lsm_put_field("led_count", led_count(core));
    put_wavelengths(core->leds.board);
    lsm_put_field("trigger_input_count", 0);
    lsm_put_field("trigger_output_count", 0);
    lsm_put_field("bit_depth", 8);
    lsm_put_field("serial_number", core->leds.board->serial_number);
    lsm_put_field("color_channel_count", 3);
    lsm_put_field("part_number", 0);
    lsm_put_text("\"mac_address\" : \"00:00:00:00:00:00\",\n\"interface_version\" : \"" LSM_FIRMWARE_VERSION "\",\n");
    put_own_properties(core);
    lsm_put_text("}\n");
    return 0;
}

typedef void (*put_led)(const struct lsm_core *core, uint16_t led);

static void put_cartesian(const struct lsm_core *core, uint16_t led) {
    struct lsm_point point = lsm_led_position(core->leds.board, led);
    lsm_put_milli(point.x_um);
    lsm_put_text(", ");
    lsm_put_milli(point.y_um);
    lsm_put_text(", ");
    lsm_put_milli((int32_t)core->leds.board->distance_um);
}

static int32_t na_permille(int32_t offset_um, uint32_t distance_um) {
    int64_t half = offset_um < 0 ? -(int64_t)distance_um / 2 : (int64_t)distance_um / 2;
    return (int32_t)(((int64_t)offset_um * 1000 + half) / (int64_t)distance_um);
}

static void put_na(const struct lsm_core *core, uint16_t led) {
    struct lsm_point point = lsm_led_position(core->leds.board, led);
    uint32_t distance_um = lsm_led_distance_um(core->leds.board, led);
    lsm_put_milli(na_permille(point.x_um, distance_um));
    lsm_put_text(", ");
    lsm_put_milli(na_permille(point.y_um, distance_um));
}

static void put_levels(const struct lsm_core *core, uint16_t led) {
    const uint8_t *level = core->leds.latched + 3u * (uint32_t)led;
    lsm_put_number(level[0]);
    lsm_put_text(",");
    lsm_put_number(level[1]);
    lsm_put_text(",");
    lsm_put_number(level[2]);
}

/* Arguments: first LED, then the one behind the last. The light may have to go out during a long list. */
static uint8_t list(struct lsm_core *core, struct lsm_arguments arguments, const char *title, put_led put) {
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
        lsm_put_text("\"");
        lsm_put_number(led);
        lsm_put_text("\" : [");
        put(core, led);
        lsm_put_text(led + 1 < end ? "],\n" : "]\n");
        lsm_tick(core);
    }
    lsm_put_text("}}\n");
    return 0;
}

static uint8_t pledpos(struct lsm_core *core, struct lsm_arguments arguments) {
    return list(core, arguments, "{\"led_position_list_cartesian\" : {\n", put_cartesian);
}

static uint8_t pledposna(struct lsm_core *core, struct lsm_arguments arguments) {
    return list(core, arguments, "{\"led_position_list_na\" : {\n", put_na);
}

static uint8_t pvals(struct lsm_core *core, struct lsm_arguments arguments) {
    return list(core, arguments, "{\"led_values\" : {\n", put_levels);
}

const struct lsm_text_command LSM_TEXT_INFO[] = {
    {"about", 0, 0, about},       {"version", 0, 0, version},     {"ver", 0, 0, version}, {"machine", 0, 0, mode},
    {"human", 0, 0, mode},        {"pprops", 0, 0, pprops},       {"pp", 0, 0, pprops},   {"pledpos", 0, 2, pledpos},
    {"pledposna", 0, 2, pledposna}, {"pvals", 0, 2, pvals},       {NULL, 0, 0, NULL},
};
