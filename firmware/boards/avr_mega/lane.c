#include <avr/io.h>

#include "avr_mega.h"

/* PB0 is the SPI's own select pin: as an input it would switch the SPI to slave when it goes low. */
void lane_start(void) {
    PORTB = _BV(PORTB0);
    DDRB = _BV(DDB0) | _BV(DDB1) | _BV(DDB2);
    SPCR = _BV(SPE) | _BV(MSTR);
    SPSR = _BV(SPI2X);
}

void hal_led_begin(void) {
    PORTB &= (uint8_t)~_BV(PORTB0);
}

void hal_led_write(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        SPDR = bytes[i];
        while ((SPSR & _BV(SPIF)) == 0) {
        }
    }
}

void hal_led_end(void) {
    PORTB |= _BV(PORTB0);
}
