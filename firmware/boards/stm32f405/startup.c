#include <stdint.h>

#include "registers.h"
#include "stm32f405.h"

int main(void);
void reset_handler(void);

/* Placed by stm32f405.ld; only their addresses mean something. */
extern uint32_t link_data_source[];
extern uint32_t link_data_start[];
extern uint32_t link_data_end[];
extern uint32_t link_bss_start[];
extern uint32_t link_bss_end[];
extern uint32_t link_stack_top[];

void reset_handler(void) {
    const uint32_t *source = link_data_source;
    for (uint32_t *word = link_data_start; word < link_data_end; word++) {
        *word = *source++;
    }
    for (uint32_t *word = link_bss_start; word < link_bss_end; word++) {
        *word = 0;
    }
    (void)main();
}

/* Until the watchdog resets the chip. */
static void hang(void) {
    for (;;) {
    }
}

typedef void (*handler)(void);

struct vectors {
    uint32_t *stack;
    handler exception[15]; /* reset is the first, SysTick the last */
    handler interrupt[82];
};

__attribute__((section(".vectors"), used)) static const struct vectors VECTORS = {
    .stack = link_stack_top,
    .exception = {reset_handler, hang, hang, hang, hang, hang, 0, 0, 0, 0, hang, hang, 0, hang,
                  clock_interrupt},
    .interrupt = {[IRQ_EXTI0] = pin0_interrupt, [IRQ_EXTI1] = pin1_interrupt, [IRQ_USART1] = uart_interrupt},
};
