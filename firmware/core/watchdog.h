/* Silence means dark.
 *
 * Live (from HELLO, or the first valid frame after a silence): any light goes dark when no valid frame
 * has arrived for `period_ms`; text does not count. Not live: light lit by text goes dark
 * LSM_TEXT_WATCHDOG_MS after the last text command that was obeyed.
 */
#ifndef LSM_WATCHDOG_H
#define LSM_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct lsm_watchdog {
    bool greeted; /* HELLO has been heard since boot */
    bool live;
    uint32_t period_ms;
    uint32_t frame_ms;
    uint32_t text_ms;
    uint32_t darkened; /* how often silence has put out a light */
};

void lsm_watchdog_init(struct lsm_watchdog *watchdog, uint32_t now_ms);
void lsm_watchdog_hello(struct lsm_watchdog *watchdog, uint32_t now_ms);
void lsm_watchdog_frame(struct lsm_watchdog *watchdog, uint32_t now_ms);
void lsm_watchdog_text(struct lsm_watchdog *watchdog, uint32_t now_ms);

/* The silence begins anew: something else watches over the light. */
void lsm_watchdog_hold(struct lsm_watchdog *watchdog, uint32_t now_ms);

/* Whether any light must go out now. */
bool lsm_watchdog_expired(struct lsm_watchdog *watchdog, uint32_t now_ms);

#endif
