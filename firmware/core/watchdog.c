#include "watchdog.h"

#include "protocol.h"

void lsm_watchdog_init(struct lsm_watchdog *watchdog, uint32_t now_ms) {
    watchdog->greeted = false;
    watchdog->live = false;
    watchdog->period_ms = LSM_WATCHDOG_DEFAULT_MS;
    watchdog->frame_ms = now_ms;
    watchdog->text_ms = now_ms;
    watchdog->darkened = 0;
}

void lsm_watchdog_hello(struct lsm_watchdog *watchdog, uint32_t now_ms) {
    watchdog->greeted = true;
    lsm_watchdog_frame(watchdog, now_ms);
}

void lsm_watchdog_frame(struct lsm_watchdog *watchdog, uint32_t now_ms) {
    watchdog->live = watchdog->greeted;
    watchdog->frame_ms = now_ms;
}

void lsm_watchdog_text(struct lsm_watchdog *watchdog, uint32_t now_ms) {
    watchdog->text_ms = now_ms;
}

void lsm_watchdog_hold(struct lsm_watchdog *watchdog, uint32_t now_ms) {
    watchdog->frame_ms = now_ms;
    watchdog->text_ms = now_ms;
}

bool lsm_watchdog_expired(struct lsm_watchdog *watchdog, uint32_t now_ms) {
    if (!watchdog->live) {
        return now_ms - watchdog->text_ms >= LSM_TEXT_WATCHDOG_MS;
    }
    if (now_ms - watchdog->frame_ms < watchdog->period_ms) {
        return false;
    }
    watchdog->live = false;
    return true;
}
