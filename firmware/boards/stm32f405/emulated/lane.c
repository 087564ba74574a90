#include <string.h>

#include "registers.h"
#include "stm32f405.h"

/* The records of boards/native/frames.c, with this board's own clock: a name, nanoseconds u64, byte count u32,
 * the bytes. A WS2812 lane needs 12 bytes per LED. */
#define HEADER 16u
#define FRAME_MAX (12u * LSM_MAX_LEDS + 256u)

static uint8_t record[HEADER + FRAME_MAX];
static size_t count;

void lane_start(void) {
    USART2_CR1 = USART_UE | USART_TE;
}

static void set_number(uint8_t *place, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        place[i] = (uint8_t)(value >> (8u * i));
    }
}

/* Microseconds wrap around after 71 minutes: counted on from the last record. */
static uint64_t now_ns(void) {
    static uint64_t us;
    static uint32_t counted_us;
    uint32_t now_us = hal_now_us();
    us += now_us - counted_us;
    counted_us = now_us;
    return us * 1000u;
}

/* QEMU's serial port is never busy, and asking it would double the time that a frame takes. */
static void emit(uint8_t *bytes, const char *name, size_t size) {
    memcpy(bytes, name, 4);
    set_number(bytes + 4, now_ns(), 8);
    set_number(bytes + 12, size, 4);
    for (size_t i = 0; i < HEADER + size; i++) {
        USART2_DR = bytes[i];
    }
}

void hal_led_begin(void) {
    count = 0;
}

void hal_led_write(const uint8_t *bytes, size_t size) {
    if (size <= FRAME_MAX - count) {
        memcpy(record + HEADER + count, bytes, size);
        count += size;
    }
}

void hal_led_end(void) {
    emit(record, "LSMF", count);
}

void hal_trigger_out(uint8_t pin, bool high) {
    static bool level[TRIGGER_PINS];
    uint8_t edge[HEADER + 2u];
    if (pin < TRIGGER_PINS && level[pin] != high) {
        level[pin] = high;
        edge[HEADER] = pin;
        edge[HEADER + 1u] = high;
        emit(edge, "LSMT", 2);
    }
}
