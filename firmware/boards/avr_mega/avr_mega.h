/* ATmega2560 at 16 MHz (Arduino Mega): pins and the parts that only main.c starts.
 *
 *   host            UART0, 1 Mbaud, 8N1         RXD0 PE0, TXD0 PE1 (the USB plug of an Arduino Mega)
 *   LED lane        SPI, 8 MHz                  SCK PB1 (52), MOSI PB2 (51); PB0 (53) is low during a frame
 *   trigger inputs  INT4, INT5, with pull-ups   PE4 (2), PE5 (3)
 *   trigger outputs                             PH3 (6), PH4 (7)
 */
#ifndef LSM_AVR_MEGA_H
#define LSM_AVR_MEGA_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

#define TRIGGER_PINS 2u

extern struct lsm_core avr_core;

void clock_start(void);
void lane_start(void);
void pins_start(void);
void uart_start(void);

/* The bytes that have arrived, at most `room` of them. */
size_t uart_read(uint8_t *bytes, size_t room);

#endif
