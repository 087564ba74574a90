#define _XOPEN_SOURCE 700 /* write, open */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <avr_ioport.h>

#include "avr_sim.h"

/* ATmega2560 datasheet, "Register Summary" */
#define SPCR 0x4Cu
#define SPSR 0x4Du
#define SPDR 0x4Eu
#define SPIF 0x80u

#define HEADER 16u
#define FIRST_OUT 3 /* PH3, PH4 */
#define OUTPUTS 2u

static int file = -1;
static uint8_t record[HEADER + 16384u];
static size_t count;
static bool selected;

uint64_t virtual_ns(const avr_t *avr) {
    return avr->cycle * 125u / 2u;
}

static void set_number(uint8_t *place, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        place[i] = (uint8_t)(value >> (8u * i));
    }
}

/* A record: its name, virtual nanoseconds u64, byte count u32, the bytes. */
static void keep(const avr_t *avr, const char *name, size_t size) {
    if (file < 0) {
        return;
    }
    memcpy(record, name, 4);
    set_number(record + 4, virtual_ns(avr), 8);
    set_number(record + 12, size, 4);
    if (write(file, record, HEADER + size) != (ssize_t)(HEADER + size)) {
        perror("the frames file cannot be written");
        exit(1);
    }
}

static avr_cycle_count_t shifted_out(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)when;
    (void)param;
    avr->data[SPSR] |= SPIF;
    return 0;
}

/* libsimavr 1.6 takes 100 us per byte whatever the clock; the real SPI takes eight of its periods. */
static void shift_out(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    static const uint8_t PERIOD[8] = {4, 16, 64, 128, 2, 8, 32, 64};
    uint8_t clock = (uint8_t)((avr->data[SPCR] & 3u) | (avr->data[SPSR] & 1u) << 2u);
    (void)param;
    avr->data[address] = value;
    avr->data[SPSR] &= (uint8_t)~SPIF;
    avr_cycle_timer_register(avr, 8u * PERIOD[clock], shifted_out, NULL);
    if (selected && count < sizeof record - HEADER) {
        record[HEADER + count++] = value;
    }
}

static void select_changed(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq;
    if (value != 0 && selected) {
        keep(param, "LSMF", count);
    }
    selected = value == 0;
    count = 0;
}

static void output_changed(avr_irq_t *irq, uint32_t value, void *param) {
    static uint32_t level[OUTPUTS];
    size_t pin = (size_t)(irq->irq - FIRST_OUT);
    uint8_t frame[2] = {record[HEADER], record[HEADER + 1]};
    if (level[pin] == value) {
        return;
    }
    level[pin] = value;
    record[HEADER] = (uint8_t)pin;
    record[HEADER + 1] = (uint8_t)value;
    keep(param, "LSMT", 2);
    memcpy(record + HEADER, frame, sizeof frame);
}

const char *lane_attach(avr_t *avr, const char *path) {
    if (path != NULL) {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file < 0) {
            return "the frames file cannot be opened";
        }
    }
    avr->io[AVR_DATA_TO_IO(SPDR)].w.c = shift_out;
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 0), select_changed, avr);
    for (size_t pin = 0; pin < OUTPUTS; pin++) {
        avr_irq_t *irq = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('H'), FIRST_OUT + (int)pin);
        avr_irq_register_notify(irq, output_changed, avr);
    }
    return NULL;
}
