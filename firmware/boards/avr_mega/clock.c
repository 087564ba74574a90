#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "avr_mega.h"

#define TICKS_PER_MS 2000u /* timer 1 counts half microseconds */

static volatile uint32_t elapsed_ms;

ISR(TIMER1_COMPA_vect) {
    elapsed_ms++;
}

void clock_start(void) {
    TCCR1B = _BV(WGM12); /* clear on compare */
    OCR1A = TICKS_PER_MS - 1u;
    TIMSK1 = _BV(OCIE1A);
    TCCR1B |= _BV(CS11); /* 16 MHz / 8 */
}

uint32_t hal_now_ms(void) {
    uint32_t ms;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        ms = elapsed_ms;
    }
    return ms;
}

/* In an interrupt the others wait: the timer may have started over without its own having counted that.
 * The product wraps around where the milliseconds do: 2^32 times anything is 0 modulo 2^32. */
uint32_t hal_now_us(void) {
    uint32_t ms;
    uint16_t ticks;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        ms = elapsed_ms;
        ticks = TCNT1;
        if ((TIFR1 & _BV(OCF1A)) != 0 && ticks < TICKS_PER_MS / 2u) {
            ms++;
        }
    }
    return ms * 1000u + ticks / 2u;
}
