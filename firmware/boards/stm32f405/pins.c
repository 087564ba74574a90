#include "registers.h"
#include "stm32f405.h"

/* Out of reset the external interrupts 0 to 15 listen to port A. */
void pins_start(void) {
    NVIC_ISER0 = 1u << IRQ_EXTI0 | 1u << IRQ_EXTI1;
}

/* Only an edge that was asked for is noted: QEMU also interrupts on the others. */
static void edge(uint8_t pin) {
    uint32_t mask = 1u << pin;
    if ((EXTI_PR & mask) != 0) {
        EXTI_PR = mask;
        lsm_trigger_edge(&stm32_core, pin);
    }
}

void pin0_interrupt(void) {
    edge(0);
}

void pin1_interrupt(void) {
    edge(1);
}

void hal_trigger_in(uint8_t pin, enum lsm_edge edge) {
    if (pin >= TRIGGER_PINS) {
        return;
    }
    uint32_t mask = 1u << pin;
    EXTI_IMR &= ~mask;
    EXTI_RTSR = edge == LSM_EDGE_RISING || edge == LSM_EDGE_BOTH ? EXTI_RTSR | mask : EXTI_RTSR & ~mask;
    EXTI_FTSR = edge == LSM_EDGE_FALLING || edge == LSM_EDGE_BOTH ? EXTI_FTSR | mask : EXTI_FTSR & ~mask;
    EXTI_PR = mask;
    if (edge != LSM_EDGE_NONE) {
        EXTI_IMR |= mask;
    }
}
