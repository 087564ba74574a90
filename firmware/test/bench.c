#include "bench.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "cobs.h"

#define LANE_HEAD 4u

struct bench bench;

static struct lsm_board board = {"test board", 8, 8, 3000, 50000, {630, 530, 470}, 1, LSM_LANE_APA102, 2, 2};

uint32_t hal_now_ms(void) {
    return (uint32_t)(bench.now_us / 1000u);
}

uint32_t hal_now_us(void) {
    return (uint32_t)bench.now_us;
}

void hal_write(const uint8_t *bytes, size_t count) {
    size_t room = sizeof bench.out - bench.out_count;
    size_t taken = count < room ? count : room;
    memcpy(bench.out + bench.out_count, bytes, taken);
    bench.out_count += taken;
}

void hal_led_begin(void) {
    bench.lane_count = 0;
    bench.level_sum = 0;
}

void hal_led_write(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; count % 4u == 0 && bytes[0] == 0xFF && i < count; i++) {
        bench.level_sum += i % 4u != 0 ? bytes[i] : 0;
    }
    if (count <= sizeof bench.lane - bench.lane_count) {
        memcpy(bench.lane + bench.lane_count, bytes, count);
        bench.lane_count += count;
    }
}

void hal_led_end(void) {
    bench.frames++;
    bench.most_sum = bench.level_sum > bench.most_sum ? bench.level_sum : bench.most_sum;
    if (bench.on_latch != NULL) {
        bench.on_latch();
    }
}

void hal_trigger_in(uint8_t pin, enum lsm_edge edge) {
    bench.wired[pin] = (uint8_t)edge;
}

void hal_trigger_out(uint8_t pin, bool high) {
    if (high && !bench.high[pin]) {
        bench.rises[pin]++;
        bench.rise_us[pin] = bench.now_us;
    }
    bench.high[pin] = high;
}

void hal_config_read(uint8_t *bytes, size_t count) {
    memcpy(bytes, bench.flash, count);
}

bool hal_config_write(const uint8_t *bytes, size_t count) {
    memcpy(bench.flash, bytes, bench.flash_broken ? count / 2u : count);
    return true;
}

void bench_reboot(void) {
    uint8_t flash[sizeof bench.flash];
    memcpy(flash, bench.flash, sizeof flash);
    memset(&bench, 0, sizeof bench);
    memcpy(bench.flash, flash, sizeof flash);
    lsm_init(&bench.core, &board);
}

void bench_boot(uint16_t rows, uint16_t columns) {
    board.rows = rows;
    board.columns = columns;
    memset(bench.flash, 0xFF, sizeof bench.flash);
    bench_reboot();
}

void bench_run(uint64_t us, uint32_t step_us) {
    uint64_t end_us = bench.now_us + us;
    while (bench.now_us < end_us) {
        bench.now_us += step_us;
        lsm_tick(&bench.core);
    }
}

static uint8_t wire[LSM_COBS_SIZE(LSM_MAX_FRAME) + 2u];
static uint8_t answer[LSM_COBS_SIZE(LSM_MAX_FRAME) + 2u];

uint8_t bench_ask(uint8_t seq, uint8_t command, const uint8_t *data, size_t count, const uint8_t **payload) {
    uint8_t body[LSM_MAX_FRAME];
    body[0] = seq;
    body[1] = command;
    if (count != 0) {
        memcpy(body + 2, data, count);
    }
    lsm_set_u16(body + 2 + count, lsm_crc16(body, 2 + count));
    size_t length = lsm_cobs_encode(body, count + 4, wire + 1);
    wire[0] = wire[length + 1] = 0;
    bench.out_count = 0;
    lsm_receive(&bench.core, wire, length + 2);
    if (bench.out_count < 3) {
        return 0xFF;
    }
    memcpy(answer, bench.out + 1, bench.out_count - 2);
    if (lsm_cobs_decode(answer, bench.out_count - 2) < 5) {
        return 0xFF;
    }
    if (payload != NULL) {
        *payload = answer + 3;
    }
    return answer[2];
}

const char *bench_text(const char *line) {
    bench.out_count = 0;
    lsm_receive(&bench.core, (const uint8_t *)line, strlen(line));
    lsm_receive(&bench.core, (const uint8_t *)"\n", 1);
    bench.out[bench.out_count < sizeof bench.out ? bench.out_count : sizeof bench.out - 1] = 0;
    return (const char *)bench.out;
}

void bench_edge(uint8_t pin) {
    if ((bench.wired[pin] & LSM_EDGE_RISING) != 0) {
        lsm_trigger_edge(&bench.core, pin);
    }
}

/* The lane has blue first. */
const uint8_t *bench_led(uint16_t led) {
    static uint8_t level[3];
    const uint8_t *word = bench.lane + LANE_HEAD + 4u * led;
    level[0] = word[3];
    level[1] = word[2];
    level[2] = word[1];
    return level;
}
