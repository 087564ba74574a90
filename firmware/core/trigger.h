/* Trigger pins: edges in, pulses out. The interrupt only notes that an edge came; what follows happens in
 * lsm_tick. */
#ifndef LSM_TRIGGER_H
#define LSM_TRIGGER_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"
#include "protocol.h"

#define LSM_MISSED_MOST 255u /* that the interrupt can count between two looks */

struct lsm_trigger_in {
    uint8_t edge; /* enum lsm_edge */
    uint16_t debounce_us;
    bool steps;
};

struct lsm_trigger_out {
    bool high; /* the pulse is high */
    uint32_t delay_us;
    uint32_t width_us;
    uint8_t when; /* LSM_TRIGGER_WHEN_... */
};

enum lsm_pulse { LSM_PULSE_IDLE, LSM_PULSE_DELAYED, LSM_PULSE_ON };

struct lsm_trigger {
    struct lsm_trigger_in in[LSM_TRIGGER_PINS];
    struct lsm_trigger_out out[LSM_TRIGGER_PINS];
    uint8_t pulse[LSM_TRIGGER_PINS];
    uint32_t pulse_us[LSM_TRIGGER_PINS];
    uint32_t dropped;     /* edges that were accepted and not obeyed */
    uint32_t lost_pulses; /* cancelled, or cut short by the next */
    /* shared with the interrupt; single bytes, since an 8-bit processor reads no more at once */
    volatile uint8_t listening; /* edges mean something */
    volatile uint8_t ready;     /* the next edge is a step; the interrupt clears it */
    volatile uint8_t pending;   /* an edge waits for lsm_tick; set only by the interrupt, while ready */
    volatile uint8_t missed;
    volatile uint8_t missed_seen; /* how many of them lsm_tick has counted */
    volatile uint8_t bounced[LSM_TRIGGER_PINS]; /* edge_us holds an edge */
    uint32_t edge_us[LSM_TRIGGER_PINS];         /* the interrupt's own */
};

void lsm_trigger_init(struct lsm_trigger *trigger);

void lsm_trigger_set_in(struct lsm_trigger *trigger, const struct lsm_board *board, uint8_t pin,
                        const struct lsm_trigger_in *wanted);
void lsm_trigger_set_out(struct lsm_trigger *trigger, const struct lsm_board *board, uint8_t pin,
                         const struct lsm_trigger_out *wanted);

/* From the interrupt. */
void lsm_trigger_note(struct lsm_trigger *trigger, uint8_t pin);

/* Ends the acceptance of edges; one that was accepted and not yet obeyed is missed. */
void lsm_trigger_close(struct lsm_trigger *trigger);

/* Edges missed since the last call. */
uint32_t lsm_trigger_missed(struct lsm_trigger *trigger);

/* A sequence begins: no edge bounces with an earlier one, no pulse has been lost. */
void lsm_trigger_reset(struct lsm_trigger *trigger);

/* Pulses whose delay is not over do not come. */
void lsm_trigger_cancel(struct lsm_trigger *trigger);

/* Starts the pulses that belong to `when`; the delay counts from now. */
void lsm_trigger_fire(struct lsm_trigger *trigger, const struct lsm_board *board, uint8_t when);

/* Starts one pulse whatever it is set up for; one that is still going on is cut short, so that the next is an edge. */
void lsm_trigger_pulse(struct lsm_trigger *trigger, uint8_t pin);

bool lsm_trigger_pulsing(const struct lsm_trigger *trigger);

void lsm_trigger_tick(struct lsm_trigger *trigger, const struct lsm_board *board);

#endif
