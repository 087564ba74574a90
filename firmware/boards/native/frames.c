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

/* A record: "LSMF", CLOCK_MONOTONIC nanoseconds u64, byte count u32, the bytes on the LED lane. */
#define HEADER 16u

static int file = -1;
static uint8_t record[HEADER + 8u + 4u * LSM_MAX_LEDS + LSM_MAX_LEDS / 16u + 1u];
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

const char *frames_open(const char *path) {
    file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    return file < 0 ? "the frames file cannot be opened" : NULL;
}

void hal_led_begin(void) {
    count = 0;
    lit = false;
}

void hal_led_write(const uint8_t *bytes, size_t size) {
    if (size > sizeof record - HEADER - count) {
        abort();
    }
    memcpy(record + HEADER + count, bytes, size);
    count += size;
    if (size == 4) {
        lit = lit || bytes[1] != 0 || bytes[2] != 0 || bytes[3] != 0;
    }
}

/* Light that nobody can read about must not exist: without its log the board stops. */
void hal_led_end(void) {
    uint64_t latched_ns = now_ns();
    if (file < 0) {
        return;
    }
    memcpy(record, "LSMF", 4);
    lsm_set_u32(record + 4, (uint32_t)latched_ns);
    lsm_set_u32(record + 8, (uint32_t)(latched_ns >> 32));
    lsm_set_u32(record + 12, (uint32_t)count);
    if (write(file, record, HEADER + count) != (ssize_t)(HEADER + count)) {
        perror("the frames file cannot be written");
        port_close();
        _exit(1);
    }
}

bool frames_lit(void) {
    return lit;
}
