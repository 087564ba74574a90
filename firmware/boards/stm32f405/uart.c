#include "registers.h"
#include "stm32f405.h"

#define BAUD_DIVIDER 84u /* 84 MHz over 1 Mbaud */
#define RING 8192u

#if LSM_RX_WINDOW > RING
#error "the receive ring must hold all that a host may send ahead"
#endif

static volatile uint8_t ring[RING];
static volatile uint32_t written;
static volatile uint32_t taken;

/* Reading status, then data clears both requests. Clearing a flag by hand after the loop would also clear that of a
 * byte which came in between, and none would ever be announced again. An overrun can stand alone, when a byte came
 * between the two reads, and would ask for ever. When the ring is full the newest byte is lost: its frame then fails
 * the CRC and the host sends it again. */
void uart_interrupt(void) {
    uint32_t status;
    while (((status = USART1_SR) & (USART_RXNE | USART_ORE)) != 0) {
        uint8_t byte = (uint8_t)USART1_DR;
        if ((status & USART_RXNE) != 0 && written - taken < RING) {
            ring[written % RING] = byte;
            written = written + 1u;
        }
    }
}

void uart_start(void) {
    USART1_BRR = BAUD_DIVIDER;
    USART1_CR1 = USART_UE | USART_TE | USART_RE | USART_RXNEIE;
    NVIC_ISER1 = 1u << (IRQ_USART1 - 32u);
}

size_t uart_read(uint8_t *bytes, size_t room) {
    size_t count = 0;
    while (count < room && taken != written) {
        bytes[count++] = ring[taken % RING];
        taken = taken + 1u;
    }
    return count;
}

/* Bounded by the baud rate: the wire takes a byte every 10 us whether a host listens or not. */
void hal_write(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while ((USART1_SR & USART_TXE) == 0) {
        }
        USART1_DR = bytes[i];
    }
}
