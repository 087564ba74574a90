/* Sequences, triggers, and text that starts or disturbs them. */
#include <string.h>

#include "bench.h"
#include "unit.h"

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

const struct test SEQUENCE_TESTS[] = {
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
    TEST(text_sequences_run_by_the_clock),
    {NULL, NULL},
};
