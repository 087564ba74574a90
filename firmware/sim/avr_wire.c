#include <avr_uart.h>

#include "avr_sim.h"
#include "native.h"

#define UCSR0B 0xC1u /* ATmega2560 datasheet, "Register Summary" */
#define RXEN 0x10u

static avr_irq_t *input;
static bool may_send = true;

static void sent(avr_irq_t *irq, uint32_t value, void *param) {
    uint8_t byte = (uint8_t)value;
    (void)irq;
    (void)param;
    hal_write(&byte, 1);
}

static void go(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq;
    (void)param;
    may_send = may_send || value != 0;
}

static void halt(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq;
    (void)param;
    may_send = may_send && value == 0;
}

void wire_attach(avr_t *avr) {
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), sent, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), go, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), halt, NULL);
}

bool wire_listens(const avr_t *avr) {
    return (avr->data[UCSR0B] & RXEN) != 0;
}

void wire_exchange(void) {
    static uint8_t bytes[256];
    static size_t next;
    static size_t end;
    if (next == end) {
        next = 0;
        end = port_read(bytes, sizeof bytes, 0);
    }
    while (next < end && may_send) {
        avr_raise_irq(input, bytes[next++]);
    }
}
