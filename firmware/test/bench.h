/* A board in memory with a clock that only moves when told: for unit tests and fuzzing of the core. */
#ifndef LSM_TEST_BENCH_H
#define LSM_TEST_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"

#define BENCH_OUT 65536u

struct bench {
    struct lsm_core core;
    uint64_t now_us;
    uint8_t out[BENCH_OUT]; /* what the board sent to the host; the rest is dropped */
    size_t out_count;
    uint8_t lane[64u + 4u * LSM_MAX_LEDS + LSM_MAX_LEDS / 16u]; /* the LED frame that was emitted last */
    size_t lane_count;
    uint32_t frames;
    uint32_t level_sum; /* of the last frame */
    uint32_t most_sum;  /* of any frame */
    bool high[LSM_TRIGGER_PINS];
    uint32_t rises[LSM_TRIGGER_PINS];
    uint64_t rise_us[LSM_TRIGGER_PINS];
    uint8_t wired[LSM_TRIGGER_PINS];
    uint8_t flash[256];
    bool flash_broken;
    void (*on_latch)(void); /* called at the end of every LED frame, as an interrupt could be */
};

extern struct bench bench;

/* Power on, with erased flash and a grid of rows x columns LEDs. */
void bench_boot(uint16_t rows, uint16_t columns);

/* The same board after a power cycle: flash is kept. */
void bench_reboot(void);

/* Lets time pass in steps of `step_us`, with lsm_tick after each. */
void bench_run(uint64_t us, uint32_t step_us);

/* Sends one request and returns the answer's status; its payload is at *payload. 0xFF: no answer. */
uint8_t bench_ask(uint8_t seq, uint8_t command, const uint8_t *data, size_t count, const uint8_t **payload);

/* Sends one line and returns the answer as text. */
const char *bench_text(const char *line);

void bench_edge(uint8_t pin);

/* Levels of an LED in the last frame: red, green, blue. */
const uint8_t *bench_led(uint16_t led);

#endif
