#include "registers.h"
#include "stm32f405.h"

#define COUNTER_ON 1u
#define UPDATE_NOW 1u
#define SYSTICK_ON 7u /* from the processor's clock, with its interrupt */

static volatile uint32_t elapsed_ms;

/* Milliseconds come from the microseconds: an emulator whose processor is held up loses SysTick interrupts. */
void clock_interrupt(void) {
    static uint32_t counted_us;
    uint32_t whole_ms = (hal_now_us() - counted_us) / 1000u;
    counted_us += whole_ms * 1000u;
    elapsed_ms = elapsed_ms + whole_ms;
}

void clock_start(void) {
    TIM2_PSC = chip_ticks_per_us - 1u;
    TIM2_ARR = UINT32_MAX;
    TIM2_EGR = UPDATE_NOW; /* the divider counts from the next update on */
    TIM2_CR1 = COUNTER_ON;
    SYSTICK_RVR = CORE_MHZ * 1000u - 1u;
    SYSTICK_CVR = 0;
    SYSTICK_CSR = SYSTICK_ON;
}

uint32_t hal_now_us(void) {
    return TIM2_CNT;
}

/* Kept by the interrupt, since the main loop asks all the time: a register of the bus is slow, in QEMU very slow. */
uint32_t hal_now_ms(void) {
    return elapsed_ms;
}
