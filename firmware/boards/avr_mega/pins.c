#include <avr/interrupt.h>
#include <avr/io.h>

#include "avr_mega.h"

#define FIRST_IN PORTE4
#define FIRST_OUT PORTH3
#define SENSE_ANY 1u
#define SENSE_FALLING 2u
#define SENSE_RISING 3u

/* With a pull-up an unplugged trigger cable gives no edges. */
void pins_start(void) {
    PORTE |= _BV(PORTE4) | _BV(PORTE5);
    PORTH &= (uint8_t) ~(_BV(PORTH3) | _BV(PORTH4));
    DDRH |= _BV(DDH3) | _BV(DDH4);
}

ISR(INT4_vect) {
    lsm_trigger_edge(&avr_core, 0);
}

ISR(INT5_vect) {
    lsm_trigger_edge(&avr_core, 1);
}

static uint8_t sense(enum lsm_edge edge) {
    if (edge == LSM_EDGE_RISING) {
        return SENSE_RISING;
    }
    return edge == LSM_EDGE_FALLING ? SENSE_FALLING : SENSE_ANY;
}

/* Off while the sense bits change: changing them may itself raise the flag (ATmega2560 datasheet, EICRB). */
void hal_trigger_in(uint8_t pin, enum lsm_edge edge) {
    if (pin >= TRIGGER_PINS) {
        return;
    }
    uint8_t mask = (uint8_t)(_BV(FIRST_IN) << pin);
    uint8_t shift = (uint8_t)(ISC40 + 2u * pin);
    EIMSK &= (uint8_t)~mask;
    if (edge != LSM_EDGE_NONE) {
        EICRB = (uint8_t)((EICRB & ~(3u << shift)) | (uint8_t)(sense(edge) << shift));
        EIFR = mask;
        EIMSK |= mask;
    }
}

void hal_trigger_out(uint8_t pin, bool high) {
    uint8_t mask = (uint8_t)(_BV(FIRST_OUT) << pin);
    if (pin >= TRIGGER_PINS) {
        return;
    }
    if (high) {
        PORTH |= mask;
    } else {
        PORTH &= (uint8_t)~mask;
    }
}
