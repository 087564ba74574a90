/* How LED chips want their levels on the wire. */
#ifndef LSM_LANE_H
#define LSM_LANE_H

#include <stdint.h>

#include "hal.h"
#include "pattern.h"

void lsm_lane_begin(enum lsm_lane lane);
void lsm_lane_leds(enum lsm_lane lane, const uint8_t *levels, uint8_t count); /* at most LSM_BLOCK */

/* When it returns the LEDs have latched. */
void lsm_lane_end(enum lsm_lane lane, uint16_t led_count);

#endif
