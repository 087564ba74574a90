/* What a board gives the core: clocks, a way out to the host, the LED lane, trigger pins and a little flash.
 *
 * All calls come from lsm_init, lsm_receive and lsm_tick, except hal_now_us, which lsm_trigger_edge also
 * calls from the board's interrupt.
 */
#ifndef LSM_HAL_H
#define LSM_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lsm_lane { LSM_LANE_APA102, LSM_LANE_WS2812 };

/* A flat centred grid: index row by row, x fastest, row 0 at the smallest y. */
struct lsm_board {
    const char *name; /* printable, without quotes: it goes into JSON */
    uint16_t rows;
    uint16_t columns;
    uint32_t pitch_um;
    uint32_t distance_um;
    uint16_t wavelength_nm[3];
    uint16_t serial_number;
    enum lsm_lane lane;
    uint8_t trigger_inputs;  /* pins 0 to trigger_inputs - 1 */
    uint8_t trigger_outputs;
};

enum lsm_edge { LSM_EDGE_NONE, LSM_EDGE_RISING, LSM_EDGE_FALLING, LSM_EDGE_BOTH };

/* Each counts from any start and wraps around at 2^32. */
uint32_t hal_now_ms(void);
uint32_t hal_now_us(void);

/* Sends to the host. Never waits for the host: what does not fit is dropped, since a host that
 * stopped reading must not keep the light on. Waiting for a UART to shift bytes out is allowed. */
void hal_write(const uint8_t *bytes, size_t count);

/* One LED frame: begin, any number of writes, end. When hal_led_end returns the LEDs have latched. */
void hal_led_begin(void);
void hal_led_write(const uint8_t *bytes, size_t count);
void hal_led_end(void);

/* From now on each such edge on an input pin calls lsm_trigger_edge from an interrupt. */
void hal_trigger_in(uint8_t pin, enum lsm_edge edge);
void hal_trigger_out(uint8_t pin, bool high);

/* The configuration's place in flash. Read returns what is there, valid or not; write returns false
 * where the board has no flash to write or it failed. Only called while all LEDs are dark. */
void hal_config_read(uint8_t *bytes, size_t count);
bool hal_config_write(const uint8_t *bytes, size_t count);

#ifdef LSM_TRACE
/* For fault campaigns on the native board: a request is executed now. */
void hal_trace(uint8_t seq, uint8_t command, uint16_t crc);
#endif

#endif
