#include "registers.h"
#include "stm32f405.h"

#define COUNTER_ON 1u
#define UPDATE_NOW 1u

/* A counter of 32 bits needs no interrupt. An emulator whose processor is held up loses SysTick interrupts,
 * and the clock with them. */
void clock_start(void) {
    TIM2_PSC = chip_ticks_per_us - 1u;
    TIM2_ARR = UINT32_MAX;
    TIM2_EGR = UPDATE_NOW; /* the divider counts from the next update on */
    TIM2_CR1 = COUNTER_ON;
}

uint32_t hal_now_us(void) {
    return TIM2_CNT;
}

/* Only called by the main loop, more often than every hour, in which the microseconds wrap around. */
uint32_t hal_now_ms(void) {
    static uint32_t ms;
    static uint32_t counted_us;
    uint32_t whole_ms = (hal_now_us() - counted_us) / 1000u;
    counted_us += whole_ms * 1000u;
    ms += whole_ms;
    return ms;
}
