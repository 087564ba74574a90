#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>

#include "avr_mega.h"

#define BAUD_DIVIDER 1u /* 16 MHz / 8 / (1 + 1) */

#define RING 256u

#if LSM_RX_WINDOW >= RING
#error "the receive ring must hold all that a host may send ahead"
#endif

/* Indices of a byte wrap by themselves, and are read in one instruction. */
static volatile uint8_t ring[RING];
static volatile uint8_t written;
static volatile uint8_t taken;

/* When the ring is full the newest byte is lost: its frame then fails the CRC and the host sends it again.
 * A host that keeps to the window never gets there. */
ISR(USART0_RX_vect) {
    uint8_t byte = UDR0;
    uint8_t next = (uint8_t)(written + 1u);
    if (next != taken) {
        ring[written] = byte;
        written = next;
    }
}

void uart_start(void) {
    UBRR0 = BAUD_DIVIDER;
    UCSR0A = _BV(U2X0);
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

size_t uart_read(uint8_t *bytes, size_t room) {
    size_t count = 0;
    while (count < room && taken != written) {
        bytes[count++] = ring[taken];
        taken = (uint8_t)(taken + 1u);
    }
    return count;
}

/* Bounded by the baud rate: the wire takes a byte every 10 us whether a host listens or not. The positions of all
 * LEDs as text take longer than the watchdog's period. */
void hal_write(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while ((UCSR0A & _BV(UDRE0)) == 0) {
        }
        UDR0 = bytes[i];
    }
    wdt_reset();
}
