/* STM32F405 at 168 MHz, without a vendor library: pins, and the parts that only main.c starts.
 *
 *   host            USART1, 1 Mbaud, 8N1        TX PA9, RX PA10
 *   LED lane        SPI1, 10.5 MHz              SCK PA5, MOSI PA7
 *   trigger inputs  EXTI0, EXTI1, pulled down   PA0, PA1
 *   trigger outputs                             PB0, PB1
 *
 * hardware/ is the real chip: compiled, not executed here. emulated/ replaces what QEMU does not have: the
 * LED lane and the trigger outputs leave as records on USART2, and the configuration stays in RAM.
 */
#ifndef LSM_STM32F405_H
#define LSM_STM32F405_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

#define TRIGGER_PINS 2u
#define CONFIG_PLACE_BYTES 256u

extern struct lsm_core stm32_core;

void clock_start(void);
void pins_start(void);
void uart_start(void);

/* The bytes that have arrived, at most `room` of them. */
size_t uart_read(uint8_t *bytes, size_t room);

/* In hardware/ and in emulated/: clock tree, pin functions and watchdog; then the LED lane. */
void chip_start(void);
void chip_kick(void);
void lane_start(void);

/* What timer 2 divides its clock by to count microseconds. */
extern const uint32_t chip_ticks_per_us;

/* The interrupts, which startup.c puts into the vector table. */
void clock_interrupt(void);
void uart_interrupt(void);
void pin0_interrupt(void);
void pin1_interrupt(void);

#endif
