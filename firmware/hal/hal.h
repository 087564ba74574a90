/* What a board gives the core: a clock, a way out to the host, and the LED lane.
 *
 * All calls come from lsm_init, lsm_receive and lsm_tick, never from an interrupt.
 */
#ifndef LSM_HAL_H
#define LSM_HAL_H

#include <stddef.h>
#include <stdint.h>

/* A flat centred grid: index row by row, x fastest, row 0 at the smallest y. */
struct lsm_board {
    const char *name; /* printable, without quotes: it goes into JSON */
    uint16_t rows;
    uint16_t columns;
    uint32_t pitch_um;
    uint32_t distance_um;
    uint16_t wavelength_nm[3];
    uint16_t serial_number;
};

/* Milliseconds since any start; wraps around. */
uint32_t hal_now_ms(void);

/* Sends to the host. Never waits for the host: what does not fit is dropped, since a host that
 * stopped reading must not keep the light on. */
void hal_write(const uint8_t *bytes, size_t count);

/* One LED frame: begin, any number of writes, end. When hal_led_end returns the LEDs have latched. */
void hal_led_begin(void);
void hal_led_write(const uint8_t *bytes, size_t count);
void hal_led_end(void);

#endif
