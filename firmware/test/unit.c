/* Unit tests of the core: one function each, with a clock that moves only when told. Prints what failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bytes.h"
#include "checksum.h"
#include "cobs.h"

static const char *running;
static int failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)printf("FAILED %s, line %d: %s\n", running, __LINE__, #condition);               \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

static const uint8_t HELLO[1] = {LSM_PROTOCOL_VERSION};
static uint8_t seq;

static uint8_t ask(uint8_t command, const void *data, size_t count) {
    return bench_ask(seq++, command, data, count, NULL);
}

static void greet(void) {
    CHECK(ask(LSM_CMD_HELLO, HELLO, 1) == LSM_STATUS_OK);
}

static uint8_t fill(uint8_t level) {
    const uint8_t data[7] = {0, 0, 64, 0, level, level, level};
    return ask(LSM_CMD_FB_FILL, data, sizeof data);
}

static uint8_t show(void) {
    return ask(LSM_CMD_SHOW, NULL, 0);
}

static bool lit(void) {
    return bench.level_sum != 0;
}

/* n patterns of one bit; pattern i lights LED i, in white of level 9. */
static void load(uint16_t patterns) {
    uint8_t begin[6] = {0, 0, 1, 9, 9, 9};
    uint8_t data[4 + 8 * 64] = {0};
    uint8_t commit[4];
    lsm_set_u16(begin, patterns);
    for (uint16_t i = 0; i < patterns; i++) {
        data[4 + 8 * i + i / 8] = (uint8_t)(1u << (i % 8));
    }
    lsm_set_u32(commit, lsm_crc32(data + 4, 8u * patterns));
    CHECK(ask(LSM_CMD_SEQ_BEGIN, begin, sizeof begin) == LSM_STATUS_OK);
    CHECK(ask(LSM_CMD_SEQ_DATA, data, 4u + 8u * patterns) == LSM_STATUS_OK);
    CHECK(ask(LSM_CMD_SEQ_COMMIT, commit, 4) == LSM_STATUS_OK);
}

static uint8_t arm(uint8_t first, uint16_t rounds, uint32_t period_us, uint32_t settle_us, uint32_t longest_ms) {
    uint8_t data[15];
    data[0] = first;
    lsm_set_u16(data + 1, rounds);
    lsm_set_u32(data + 3, period_us);
    lsm_set_u32(data + 7, settle_us);
    lsm_set_u32(data + 11, longest_ms);
    return ask(LSM_CMD_SEQ_ARM, data, sizeof data);
}

static void wire_input(uint8_t pin, uint16_t debounce_us) {
    uint8_t data[5] = {pin, LSM_EDGE_RISING, 0, 0, 1};
    lsm_set_u16(data + 2, debounce_us);
    CHECK(ask(LSM_CMD_TRIG_IN, data, sizeof data) == LSM_STATUS_OK);
}

static void wire_output(uint8_t pin, uint32_t delay_us, uint32_t width_us, uint8_t when) {
    uint8_t data[11] = {pin, 1, 0, 0, 0, 0, 0, 0, 0, 0, when};
    lsm_set_u32(data + 2, delay_us);
    lsm_set_u32(data + 6, width_us);
    CHECK(ask(LSM_CMD_TRIG_OUT, data, sizeof data) == LSM_STATUS_OK);
}

static void edge_and_tick(void) {
    bench_edge(0);
    lsm_tick(&bench.core);
    lsm_tick(&bench.core);
}

static void power_on_is_dark(void) {
    CHECK(bench.frames == 1);
    CHECK(!lit());
    CHECK(bench.lane_count == 4u + 4u * 64u + 4u + 4u);
}

static void share_is_rounded_division(void) {
    for (unsigned level = 0; level < 256; level++) {
        for (unsigned share = 0; share < 256; share++) {
            if (lsm_share((uint8_t)level, (uint8_t)share) != (level * share + 127) / 255) {
                CHECK(level == 256);
                return;
            }
        }
    }
}

static void bits_select_the_right_led(void) {
    uint8_t data[6 + 8] = {1, 10, 20, 30, 0, 0};
    for (uint16_t led = 0; led < 64; led++) {
        greet();
        memset(data + 6, 0, 8);
        data[6 + led / 8] = (uint8_t)(1u << (led % 8));
        CHECK(ask(LSM_CMD_FB_WRITE, data, sizeof data) == LSM_STATUS_OK);
        CHECK(show() == LSM_STATUS_OK);
        CHECK(bench.level_sum == 60);
        CHECK(memcmp(bench_led(led), "\12\24\36", 3) == 0);
    }
}

static void a_write_may_begin_at_any_led(void) {
    uint8_t data[6 + 2] = {8, 255, 0, 0, 61, 0, 7, 9};
    greet();
    CHECK(ask(LSM_CMD_FB_WRITE, data, sizeof data) == LSM_STATUS_OK);
    CHECK(show() == LSM_STATUS_OK);
    CHECK(bench_led(61)[0] == 7);
    CHECK(bench_led(62)[0] == 9);
    CHECK(bench.level_sum == 16);
}

static void watchdog_is_exact(void) {
    greet();
    (void)fill(5);
    (void)show();
    bench_run(1999000, 1000);
    CHECK(lit());
    bench_run(1000, 1000);
    CHECK(!lit());
}

static void only_valid_frames_feed_the_watchdog(void) {
    greet();
    (void)fill(5);
    (void)show();
    for (int i = 0; i < 20; i++) {
        bench_run(99000, 1000);
        lsm_receive(&bench.core, (const uint8_t *)"\0\5\1\2\3\4\0about\n", 13);
    }
    CHECK(lit());
    bench_run(30000, 1000);
    CHECK(!lit());
}

static void clocks_may_wrap(void) {
    bench.now_us = (uint64_t)UINT32_MAX * 1000u - 500000u;
    greet();
    (void)fill(5);
    (void)show();
    bench_run(1900000, 1000);
    CHECK(lit());
    bench_run(200000, 1000);
    CHECK(!lit());
}

static void white_is_scaled_to_the_limit(void) {
    greet();
    (void)fill(255);
    CHECK(show() == LSM_STATUS_LIMITED);
    CHECK(bench.level_sum * 20u <= 255u * (64u * 60u * 3u / 10u));
    CHECK(bench.level_sum * 20u > 255u * (64u * 60u * 3u / 10u) * 98u / 100u);
}

static void edges_step_and_the_last_one_ends_it_dark(void) {
    greet();
    wire_input(0, 0);
    load(3);
    CHECK(arm(1, 2, 0, 0, 60000) == LSM_STATUS_OK);
    for (uint16_t round = 0; round < 2; round++) {
        for (uint16_t i = 0; i < 3; i++) {
            edge_and_tick();
            CHECK(bench.level_sum == 27);
            CHECK(bench_led(i)[0] == 9);
        }
    }
    edge_and_tick();
    CHECK(!lit());
    CHECK(bench.core.sequence.state == LSM_SEQUENCE_STATE_DONE);
    edge_and_tick();
    CHECK(bench.core.sequence.missed == 1);
    CHECK(!lit());
}

static void early_edge(void) {
    bench_edge(0);
    bench_edge(0);
}

static void edges_during_the_update_are_missed(void) {
    greet();
    wire_input(0, 0);
    load(4);
    CHECK(arm(1, 1, 0, 500, 60000) == LSM_STATUS_OK);
    bench.on_latch = early_edge;
    bench_edge(0);
    lsm_tick(&bench.core);
    bench.on_latch = NULL;
    CHECK(bench.core.sequence.missed == 2);
    bench_edge(0); /* before it has settled */
    bench_run(400, 100);
    CHECK(bench.core.sequence.missed == 3);
    CHECK(bench.core.sequence.steps == 1);
    bench_run(200, 100);
    edge_and_tick();
    CHECK(bench.core.sequence.steps == 2);
    CHECK(bench.core.sequence.missed == 3);
}

static void two_edges_between_looks_are_one_step_and_one_miss(void) {
    greet();
    wire_input(0, 0);
    load(4);
    CHECK(arm(1, 1, 0, 0, 60000) == LSM_STATUS_OK);
    early_edge();
    lsm_tick(&bench.core);
    lsm_tick(&bench.core);
    CHECK(bench.core.sequence.steps == 1);
    CHECK(bench.core.sequence.missed == 1);
}

static void a_storm_of_edges_is_counted_up_to_255(void) {
    greet();
    wire_input(0, 0);
    load(4);
    CHECK(arm(1, 1, 0, 1000, 60000) == LSM_STATUS_OK);
    for (int i = 0; i < 1000; i++) {
        bench_edge(0);
    }
    lsm_tick(&bench.core);
    CHECK(bench.core.sequence.steps == 1);
    CHECK(bench.core.sequence.missed == 255);
}

static void bounces_are_ignored(void) {
    greet();
    wire_input(0, 1000);
    load(4);
    CHECK(arm(1, 1, 0, 0, 60000) == LSM_STATUS_OK);
    edge_and_tick();
    bench_run(900, 100);
    edge_and_tick();
    CHECK(bench.core.sequence.steps == 1);
    bench_run(100, 100);
    edge_and_tick();
    CHECK(bench.core.sequence.steps == 2);
    CHECK(bench.core.sequence.missed == 0);
}

static void pulses_keep_their_times(void) {
    greet();
    wire_output(0, 300, 200, LSM_TRIGGER_WHEN_PATTERN);
    load(2);
    CHECK(arm(0, 1, 0, 500, 60000) == LSM_STATUS_OK);
    uint64_t shown_us = bench.now_us;
    bench_run(2000, 10);
    CHECK(bench.rises[0] == 1);
    CHECK(bench.rise_us[0] - shown_us >= 800);
    CHECK(bench.rise_us[0] - shown_us <= 820); /* two steps of the clock */
    CHECK(!bench.high[0]);
}

static void the_clock_steps_a_sequence(void) {
    greet();
    load(5);
    CHECK(arm(1, 1, 2000, 100, 60000) == LSM_STATUS_OK);
    uint32_t before = bench.frames;
    bench_run(2000 * 5 + 1000, 100);
    CHECK(bench.frames == before + 5);
    CHECK(lit());
    bench_run(2000, 100);
    CHECK(!lit());
    CHECK(bench.core.sequence.state == LSM_SEQUENCE_STATE_DONE);
}

static void slow(void) {
    bench.now_us += 300;
}

static void showing_takes_nothing_from_the_period(void) {
    greet();
    load(60);
    bench.on_latch = slow;
    CHECK(arm(1, 1, 1000, 0, 60000) == LSM_STATUS_OK);
    uint32_t before = bench.frames;
    bench_run(50400, 100);
    CHECK(bench.frames - before == 50);
    CHECK(bench.core.sequence.missed == 0);
    bench.on_latch = NULL;
}

static void a_period_that_is_too_short_is_counted(void) {
    greet();
    load(60);
    bench.on_latch = slow;
    CHECK(arm(1, 0, 100, 0, 60000) == LSM_STATUS_OK);
    bench_run(20000, 100);
    CHECK(bench.core.sequence.steps + bench.core.sequence.missed >= 195); /* one look takes up to 500 us */
    CHECK(bench.core.sequence.steps + bench.core.sequence.missed <= 200);
    CHECK(bench.core.sequence.missed > 2 * bench.core.sequence.steps);
    bench.on_latch = NULL;
}

static void beats_while_a_pattern_settles_are_missed(void) {
    greet();
    load(40);
    wire_output(0, 0, 20, LSM_TRIGGER_WHEN_PATTERN);
    bench.on_latch = slow;
    CHECK(arm(1, 1, 1000, 750, 60000) == LSM_STATUS_OK);
    bench_run(100000, 10);
    CHECK(bench.rises[0] == 40);
    CHECK(bench.core.sequence.missed >= 38);
    bench.on_latch = NULL;
    CHECK(arm(1, 1, 1000, 1000, 60000) == LSM_STATUS_RANGE);
}

static void pulses_that_do_not_fit_are_counted(void) {
    greet();
    load(20);
    wire_output(0, 30000, 100, LSM_TRIGGER_WHEN_PATTERN);
    CHECK(arm(1, 1, 10000, 0, 60000) == LSM_STATUS_OK);
    bench_run(250000, 100);
    CHECK(bench.rises[0] == 0);
    CHECK(bench.core.trigger.lost_pulses == 20);
    wire_output(0, 0, 30000, LSM_TRIGGER_WHEN_PATTERN);
    CHECK(arm(1, 1, 10000, 0, 60000) == LSM_STATUS_OK);
    bench_run(250000, 100);
    CHECK(bench.rises[0] == 20); /* each is an edge, though cut short */
    CHECK(bench.core.trigger.lost_pulses == 19);
    CHECK(!bench.high[0]);
}

static void stop_calls_a_delayed_pulse_off(void) {
    greet();
    load(2);
    wire_output(0, 5000, 100, LSM_TRIGGER_WHEN_PATTERN);
    CHECK(arm(0, 1, 0, 0, 60000) == LSM_STATUS_OK);
    bench_run(1000, 100);
    CHECK(ask(LSM_CMD_STOP, NULL, 0) == LSM_STATUS_OK);
    bench_run(20000, 100);
    CHECK(bench.rises[0] == 0);
}

static void missed_edges_do_not_wrap(void) {
    greet();
    wire_input(0, 0);
    load(4);
    CHECK(arm(1, 0, 0, 0, 60000) == LSM_STATUS_OK);
    for (int i = 0; i < 300; i++) {
        bench_edge(0);
    }
    (void)ask(LSM_CMD_SEQ_STEP, NULL, 0);
    lsm_tick(&bench.core);
    CHECK(bench.core.sequence.missed == 256); /* 255 that the interrupt counted, one that SEQ_STEP took the place of */
}

static void text_cannot_change_what_a_program_committed(void) {
    greet();
    load(2);
    bench_run(3000000, 1000);
    CHECK(strncmp(bench_text("ssv.9"), "-==-", 4) == 0);
    CHECK(arm(0, 0, 0, 0, 5000) == LSM_STATUS_NOT_ARMED);
}

static void text_cannot_open_the_shutter_on_a_sequence(void) {
    (void)bench_text("ssl.1");
    (void)bench_text("ssv.3");
    (void)bench_text("trinputmode.0.1");
    CHECK(strcmp(bench_text("rseq.0"), "-==-\n") == 0);
    CHECK(strncmp(bench_text("gs.1"), "ERROR[7]", 8) == 0);
    CHECK(lsm_sequence_active(&bench.core.sequence));
}

static void a_sequence_outlives_the_watchdog_but_not_its_own_time(void) {
    greet();
    load(2);
    CHECK(arm(0, 0, 0, 0, 5000) == LSM_STATUS_OK);
    bench_run(4999000, 1000);
    CHECK(lit());
    bench_run(1000, 1000);
    CHECK(!lit());
    CHECK(bench.core.sequence.state == LSM_SEQUENCE_STATE_FAULT);
}

static void stop_ends_everything(void) {
    greet();
    wire_input(0, 0);
    load(2);
    CHECK(arm(0, 0, 0, 0, 5000) == LSM_STATUS_OK);
    CHECK(ask(LSM_CMD_STOP, NULL, 0) == LSM_STATUS_OK);
    edge_and_tick();
    CHECK(!lit());
    CHECK(bench.core.sequence.state == LSM_SEQUENCE_STATE_IDLE);
    CHECK(bench.core.sequence.missed == 0);
}

static void a_changed_sequence_cannot_be_armed(void) {
    const uint8_t change[5] = {0, 0, 0, 0, 0xFF};
    greet();
    load(2);
    CHECK(ask(LSM_CMD_SEQ_DATA, change, sizeof change) == LSM_STATUS_OK);
    CHECK(arm(0, 0, 0, 0, 5000) == LSM_STATUS_NOT_ARMED);
}

static void nothing_is_executed_twice(void) {
    greet();
    load(4);
    CHECK(arm(1, 1, 0, 0, 5000) == LSM_STATUS_OK);
    uint8_t number = seq;
    CHECK(bench_ask(number, LSM_CMD_SEQ_STEP, NULL, 0, NULL) == LSM_STATUS_OK);
    lsm_tick(&bench.core);
    CHECK(bench_ask(number, LSM_CMD_SEQ_STEP, NULL, 0, NULL) == LSM_STATUS_OK);
    CHECK(bench.core.sequence.steps == 1);
    for (uint8_t i = 1; i <= 20; i++) {
        CHECK(bench_ask((uint8_t)(number + i), LSM_CMD_PING, NULL, 0, NULL) == LSM_STATUS_OK);
    }
    CHECK(bench_ask(number, LSM_CMD_SEQ_STEP, NULL, 0, NULL) == LSM_STATUS_FAULT);
    CHECK(bench.core.sequence.steps == 1);
}

static void a_lost_request_may_come_late(void) {
    const uint8_t data[7] = {0, 0, 1, 0, 4, 4, 4};
    greet();
    CHECK(bench_ask((uint8_t)(seq + 3), LSM_CMD_PING, NULL, 0, NULL) == LSM_STATUS_OK);
    CHECK(bench_ask(seq, LSM_CMD_FB_FILL, data, sizeof data, NULL) == LSM_STATUS_OK);
}

static void settings_survive_and_damage_is_noticed(void) {
    const uint8_t save[1] = {0};
    uint8_t limit[4];
    greet();
    lsm_set_u32(limit, 123);
    CHECK(ask(LSM_CMD_SET_LIMIT, limit, 4) == LSM_STATUS_OK);
    CHECK(ask(LSM_CMD_CFG_SAVE, save, 1) == LSM_STATUS_OK);
    bench_reboot();
    CHECK(bench.core.leds.limit_ma == 123);
    CHECK(!bench.core.defaults);
    for (size_t at = 0; at < 44; at++) {
        bench.flash[at] ^= 1;
        bench_reboot();
        CHECK(bench.core.leds.limit_ma == lsm_leds_default_ma(&bench.core.leds));
        CHECK(bench.core.defaults);
        bench.flash[at] ^= 1;
    }
}

static void flash_that_does_not_hold_is_reported(void) {
    const uint8_t save[1] = {0};
    greet();
    bench.flash_broken = true;
    CHECK(ask(LSM_CMD_CFG_SAVE, save, 1) == LSM_STATUS_FAULT);
}

static void text_lights_nothing_while_a_program_holds_the_board(void) {
    greet();
    CHECK(strncmp(bench_text("ff"), "ERROR[7]", 8) == 0);
    CHECK(!lit());
    bench_run(3000000, 1000);
    CHECK(strcmp(bench_text("l.3"), "-==-\n") == 0);
    CHECK(lit());
}

static void text_sequences_run_by_the_clock(void) {
    CHECK(strcmp(bench_text("ssl.2"), "-==-\n") == 0);
    CHECK(strcmp(bench_text("ssv.5.6"), "-==-\n") == 0);
    CHECK(strncmp(bench_text("rseq.10"), "ERROR[4]", 8) == 0); /* one pattern is missing */
    CHECK(strcmp(bench_text("ssv.7"), "-==-\n") == 0);
    CHECK(strncmp(bench_text("ssv.8"), "ERROR[4]", 8) == 0);
    CHECK(strcmp(bench_text("rseq.10"), "-==-\n") == 0);
    CHECK(bench_led(6)[1] == 64);
    bench_run(11000, 100);
    CHECK(bench_led(6)[1] == 0);
    CHECK(bench_led(7)[1] == 64);
    bench_run(10000, 100);
    CHECK(!lit());
}

static void text_light_goes_out_by_itself(void) {
    (void)bench_text("l.3");
    bench_run(59990000, 10000);
    CHECK(lit());
    bench_run(20000, 10000);
    CHECK(!lit());
}

struct test {
    const char *name;
    void (*run)(void);
};

#define TEST(function) {#function, function}

static const struct test TESTS[] = {
    TEST(power_on_is_dark),
    TEST(share_is_rounded_division),
    TEST(bits_select_the_right_led),
    TEST(a_write_may_begin_at_any_led),
    TEST(watchdog_is_exact),
    TEST(only_valid_frames_feed_the_watchdog),
    TEST(clocks_may_wrap),
    TEST(white_is_scaled_to_the_limit),
    TEST(edges_step_and_the_last_one_ends_it_dark),
    TEST(edges_during_the_update_are_missed),
    TEST(two_edges_between_looks_are_one_step_and_one_miss),
    TEST(a_storm_of_edges_is_counted_up_to_255),
    TEST(bounces_are_ignored),
    TEST(pulses_keep_their_times),
    TEST(the_clock_steps_a_sequence),
    TEST(showing_takes_nothing_from_the_period),
    TEST(a_period_that_is_too_short_is_counted),
    TEST(beats_while_a_pattern_settles_are_missed),
    TEST(pulses_that_do_not_fit_are_counted),
    TEST(stop_calls_a_delayed_pulse_off),
    TEST(missed_edges_do_not_wrap),
    TEST(text_cannot_change_what_a_program_committed),
    TEST(text_cannot_open_the_shutter_on_a_sequence),
    TEST(a_sequence_outlives_the_watchdog_but_not_its_own_time),
    TEST(stop_ends_everything),
    TEST(a_changed_sequence_cannot_be_armed),
    TEST(nothing_is_executed_twice),
    TEST(a_lost_request_may_come_late),
    TEST(settings_survive_and_damage_is_noticed),
    TEST(flash_that_does_not_hold_is_reported),
    TEST(text_lights_nothing_while_a_program_holds_the_board),
    TEST(text_sequences_run_by_the_clock),
    TEST(text_light_goes_out_by_itself),
};

static size_t unhex(const char *text, uint8_t *bytes, size_t room) {
    size_t count = 0;
    unsigned value = 0;
    while (count < room && sscanf(text, "%2x", &value) == 1) {
        bytes[count++] = (uint8_t)value;
        text += 2;
    }
    return count;
}

/* Lines of the file: frame BODY WIRE, or crc32 BYTES VALUE, in hexadecimal; "-" is nothing. */
static void vectors(const char *path) {
    static char line[20000];
    static char first[10000];
    static char second[10000];
    static uint8_t bytes[5000];
    static uint8_t wanted[5000];
    static uint8_t coded[5000];
    char kind[8];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#' || sscanf(line, "%7s %9999s %9999s", kind, first, second) != 3) {
            continue;
        }
        size_t count = unhex(first, bytes, sizeof bytes - 2);
        size_t length = unhex(second, wanted, sizeof wanted);
        if (strcmp(kind, "crc32") == 0) {
            CHECK(length == 4 && lsm_crc32(bytes, count) == lsm_get_u32(wanted));
            continue;
        }
        lsm_set_u16(bytes + count, lsm_crc16(bytes, count));
        CHECK(lsm_cobs_encode(bytes, count + 2, coded) == length && memcmp(coded, wanted, length) == 0);
        CHECK(lsm_cobs_decode(coded, length) == count + 2 && memcmp(coded, bytes, count + 2) == 0);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

int main(int argc, char **argv) {
    size_t count = sizeof TESTS / sizeof TESTS[0];
    for (size_t i = 0; i < count; i++) {
        running = TESTS[i].name;
        bench_boot(8, 8);
        seq = 250; /* so that numbers go round */
        TESTS[i].run();
    }
    if (argc > 1) {
        running = "vectors";
        vectors(argv[1]);
        count++;
    }
    (void)printf("%zu tests, %d failures\n", count, failures);
    return failures == 0 ? 0 : 1;
}
