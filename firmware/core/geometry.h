/* Where the LEDs are, in whole micrometres; no floating point, so that small boards afford it. */
#ifndef LSM_GEOMETRY_H
#define LSM_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"

struct lsm_point {
    int32_t x_um;
    int32_t y_um;
};

uint16_t lsm_led_count(const struct lsm_board *board);
struct lsm_point lsm_led_position(const struct lsm_board *board, uint16_t led);

/* Distance from the LED to the sample. */
uint32_t lsm_led_distance_um(const struct lsm_board *board, uint16_t led);

/* Whether from_permille <= 1000 * NA <= to_permille. */
bool lsm_led_na_within(const struct lsm_board *board, uint16_t led, uint32_t from_permille, uint32_t to_permille);

#endif
