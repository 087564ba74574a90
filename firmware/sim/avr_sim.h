/* The ATmega2560 board on this machine: libsimavr runs the program, time is counted in its clock cycles. */
#ifndef LSM_AVR_SIM_H
#define LSM_AVR_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <sim_avr.h>

#define AVR_HZ 16000000u

uint64_t virtual_ns(const avr_t *avr);

/* Writes LED frames and trigger-out edges to a file as they happen. Returns a readable reason, or NULL. */
const char *lane_attach(avr_t *avr, const char *path);

/* Everything the host has sent goes in, everything the board has sent goes out. */
void wire_attach(avr_t *avr);
void wire_exchange(void);

/* Whether the board has switched its receiver on: before, bytes from the host are lost. */
bool wire_listens(const avr_t *avr);

/* Obeys the lines on standard input, without waiting for them. False once it has been closed or said "quit". */
void script_attach(avr_t *avr);
bool script_obey(void);

/* To be called between instructions while a reset is awaited: undoes a hang once the chip has been reset, and
 * answers once the board listens again. */
bool script_awaits_reset(void);
void script_await_reset(void);

/* Keeps the EEPROM in a file. Returns a readable reason, or NULL. */
const char *eeprom_attach(avr_t *avr, const char *path);
void eeprom_keep(void);

#endif
