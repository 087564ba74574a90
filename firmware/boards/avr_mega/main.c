#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>

#include "avr_mega.h"

#define KICK_MS 20u /* not in every turn: libsimavr spends a microsecond on each */

static const struct lsm_board BOARD = {
    .name = "lsm avr_mega board",
    .rows = 32,
    .columns = 32,
    .pitch_um = 3000,
    .distance_um = 50000,
    .wavelength_nm = {630, 530, 470},
    .serial_number = 1,
    .lane = LSM_LANE_APA102,
    .trigger_inputs = TRIGGER_PINS,
    .trigger_outputs = TRIGGER_PINS,
};

struct lsm_core avr_core;

/* After a watchdog reset the watchdog is still on with its shortest period of 16 ms, less than clearing
 * memory and a dark LED frame take (ATmega2560 datasheet, "Watchdog Timer"). */
__attribute__((naked, used, section(".init3"))) void calm_watchdog(void);
void calm_watchdog(void) {
    MCUSR = 0;
    wdt_enable(WDTO_1S);
    wdt_reset(); /* libsimavr counts a new period from the next reset of the timer */
}

int main(void) {
    uint8_t bytes[64];
    uint32_t kicked_ms = 0;
    lane_start();
    pins_start();
    clock_start();
    lsm_init(&avr_core, &BOARD);
    uart_start();
    sei();
    for (;;) {
        if (hal_now_ms() - kicked_ms >= KICK_MS) {
            kicked_ms = hal_now_ms();
            wdt_reset();
        }
        size_t count = uart_read(bytes, sizeof bytes);
        lsm_receive(&avr_core, bytes, count);
        lsm_tick(&avr_core);
    }
}
