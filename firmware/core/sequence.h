/* Stored patterns, stepped by trigger edges, by the host or by the clock.
 *
 * IDLE -> ARMED -> UPDATING -> EXPOSING -> UPDATING ... -> DONE, or FAULT when longest_ms is over.
 */
#ifndef LSM_SEQUENCE_H
#define LSM_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "leds.h"
#include "trigger.h"

struct lsm_sequence_plan {
    bool at_first_step; /* otherwise pattern 0 is shown when the sequence is armed */
    uint16_t rounds;    /* 0: until STOP */
    uint32_t period_us; /* 0: edges and SEQ_STEP */
    uint32_t settle_us;
    uint32_t longest_ms;
};

struct lsm_sequence {
    uint8_t bytes[LSM_SEQUENCE_BYTES];
    uint32_t pattern_bytes;
    uint16_t patterns; /* 0: nothing is stored */
    uint8_t bits;
    uint8_t colour[3];
    bool committed;
    uint8_t state; /* LSM_SEQUENCE_STATE_... */
    struct lsm_sequence_plan plan;
    uint16_t index;
    uint16_t round;
    uint32_t steps;
    uint32_t missed;
    uint32_t scale;
    uint32_t armed_ms;
    uint32_t shown_us; /* when the present pattern had latched */
    uint32_t beat_us;  /* with a period: when the last step was due */
};

struct lsm_core;

/* Each returns an LSM_STATUS_... */
uint8_t lsm_sequence_begin(struct lsm_core *core, uint16_t patterns, uint8_t bits, const uint8_t colour[3]);
uint8_t lsm_sequence_data(struct lsm_core *core, uint32_t offset, const uint8_t *bytes, uint32_t count);
uint8_t lsm_sequence_commit(struct lsm_core *core, uint32_t crc);
uint8_t lsm_sequence_arm(struct lsm_core *core, const struct lsm_sequence_plan *plan);
uint8_t lsm_sequence_step(struct lsm_core *core);

uint32_t lsm_sequence_crc(const struct lsm_sequence *sequence);
bool lsm_sequence_active(const struct lsm_sequence *sequence);

/* Ends an active sequence without touching the LEDs. */
void lsm_sequence_stop(struct lsm_core *core);

void lsm_sequence_tick(struct lsm_core *core);

#endif
