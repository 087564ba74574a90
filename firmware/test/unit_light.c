/* Light, watchdog, numbering, settings. */
#include <string.h>

#include "bench.h"
#include "bytes.h"
#include "unit.h"

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

static void text_light_goes_out_by_itself(void) {
    (void)bench_text("l.3");
    bench_run(59990000, 10000);
    CHECK(lit());
    bench_run(20000, 10000);
    CHECK(!lit());
}

const struct test LIGHT_TESTS[] = {
    TEST(power_on_is_dark),
    TEST(share_is_rounded_division),
    TEST(bits_select_the_right_led),
    TEST(a_write_may_begin_at_any_led),
    TEST(watchdog_is_exact),
    TEST(only_valid_frames_feed_the_watchdog),
    TEST(clocks_may_wrap),
    TEST(white_is_scaled_to_the_limit),
    TEST(nothing_is_executed_twice),
    TEST(a_lost_request_may_come_late),
    TEST(settings_survive_and_damage_is_noticed),
    TEST(flash_that_does_not_hold_is_reported),
    TEST(text_lights_nothing_while_a_program_holds_the_board),
    TEST(text_light_goes_out_by_itself),
    {NULL, NULL},
};
