#define _XOPEN_SOURCE 700 /* clock_gettime */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "config.h"
#include "native.h"

/* A record: "LSMF", CLOCK_MONOTONIC nanoseconds u64, byte count u32, the bytes on the LED lane; or "LSMT" with
 * two bytes: trigger output and its level. */
#define HEADER 16u
#define LONGEST_LED 12u /* bytes on the lane */

static int file = -1;
static uint8_t record[HEADER + 256u + LONGEST_LED * LSM_MAX_LEDS + LSM_MAX_LEDS / 16u];
static size_t count;
static bool lit;

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t hal_now_ms(void) {
    return (uint32_t)(now_ns() / 1000000u);
}

uint32_t hal_now_us(void) {
    return (uint32_t)(now_ns() / 1000u);
}

const char *frames_open(const char *path) {
    file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    return file < 0 ? "the frames file cannot be opened" : NULL;
}

void hal_led_begin(void) {
    count = 0;
    lit = false;
}

/* Whether bytes of LEDs hold any light: of an APA102 three of four, of a WS2812 dark bits are 1000. */
static bool bright(const uint8_t *bytes, size_t size) {
    bool apa102 = size % 4u == 0 && bytes[0] == 0xFF;
    bool ws2812 = size == LONGEST_LED;
    for (size_t i = 0; i < size; i++) {
        if ((apa102 && i % 4u != 0 && bytes[i] != 0) || (!apa102 && ws2812 && bytes[i] != 0x88)) {
            return true;
        }
    }
    return false;
}

void hal_led_write(const uint8_t *bytes, size_t size) {
    if (size > sizeof record - HEADER - count) {
        abort();
    }
    memcpy(record + HEADER + count, bytes, size);
    count += size;
    lit = lit || bright(bytes, size);
}

/* Light that nobody can read about must not exist: without its log the board stops. */
static void append(uint8_t *bytes, const char *magic, size_t size) {
    uint64_t t_ns = now_ns();
    if (file < 0) {
        return;
    }
    memcpy(bytes, magic, 4);
    lsm_set_u32(bytes + 4, (uint32_t)t_ns);
    lsm_set_u32(bytes + 8, (uint32_t)(t_ns >> 32));
    lsm_set_u32(bytes + 12, (uint32_t)size);
    if (write(file, bytes, HEADER + size) != (ssize_t)(HEADER + size)) {
        perror("the frames file cannot be written");
        port_close();
        _exit(1);
    }
}

void hal_led_end(void) {
    append(record, "LSMF", count);
}

void hal_trigger_out(uint8_t pin, bool high) {
    static bool level[LSM_TRIGGER_PINS];
    uint8_t edge[HEADER + 2u] = {0};
    if (level[pin] == high) {
        return;
    }
    level[pin] = high;
    edge[HEADER] = pin;
    edge[HEADER + 1u] = high;
    append(edge, "LSMT", 2);
}

#ifdef LSM_TRACE
void hal_trace(uint8_t seq, uint8_t command, uint16_t crc) {
    uint8_t request[HEADER + 4u] = {0};
    request[HEADER] = seq;
    request[HEADER + 1u] = command;
    lsm_set_u16(request + HEADER + 2u, crc);
    append(request, "LSMX", 4);
}
#endif

bool frames_lit(void) {
    return lit;
}
