#include "geometry.h"

static uint64_t square(int64_t value) {
    return (uint64_t)(value * value);
}

uint16_t lsm_led_count(const struct lsm_board *board) {
    return (uint16_t)((uint32_t)board->rows * board->columns);
}

static int32_t coordinate_um(uint16_t index, uint16_t count, uint32_t pitch_um) {
    int64_t twice = (2 * (int64_t)index - (count - 1)) * (int64_t)pitch_um;
    return (int32_t)(twice / 2);
}

struct lsm_point lsm_led_position(const struct lsm_board *board, uint16_t led) {
    struct lsm_point point = {
        coordinate_um((uint16_t)(led % board->columns), board->columns, board->pitch_um),
        coordinate_um((uint16_t)(led / board->columns), board->rows, board->pitch_um),
    };
    return point;
}

static uint64_t radius_squared(const struct lsm_board *board, uint16_t led) {
    struct lsm_point point = lsm_led_position(board, led);
    return square(point.x_um) + square(point.y_um);
}

uint32_t lsm_led_distance_um(const struct lsm_board *board, uint16_t led) {
    uint64_t rest = radius_squared(board, led) + square((int64_t)board->distance_um);
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit != 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= rest) {
            root += bit;
        }
    }
    return (uint32_t)root;
}

bool lsm_led_na_within(const struct lsm_board *board, uint16_t led, uint32_t from_permille, uint32_t to_permille) {
    uint64_t radius = radius_squared(board, led);
    uint64_t distance = radius + square((int64_t)board->distance_um);
    uint64_t scaled = radius * 1000000u;
    return scaled >= distance * square(from_permille) && scaled <= distance * square(to_permille);
}
