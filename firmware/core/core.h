/* The LED controller: everything behind the HAL. One instance per board, placed statically. */
#ifndef LSM_CORE_H
#define LSM_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cobs.h"
#include "leds.h"
#include "protocol.h"
#include "sequence.h"
#include "trigger.h"
#include "watchdog.h"

/* Status and payload of a command that changes something; SHOW's 16 bytes are the longest. */
#define LSM_KEPT_REPLY 17u

struct lsm_request {
    bool used;
    bool kept; /* the reply is here and is sent again; otherwise the command is read-only and runs again */
    uint8_t seq;
    uint8_t command;
    uint16_t crc;
    uint8_t reply_count;
    uint8_t reply[LSM_KEPT_REPLY];
};

struct lsm_link {
    struct lsm_request history[LSM_HISTORY];
    uint8_t history_next;
    uint8_t newest; /* the highest seq so far */
    bool numbered;  /* `newest` holds one */
    uint32_t frames;
    uint32_t damaged;
    size_t reply_count;
    uint8_t reply[LSM_MAX_FRAME]; /* seq, command, status, payload, CRC */
    uint8_t encoded[LSM_COBS_SIZE(LSM_MAX_FRAME) + 2u];
};

struct lsm_stream {
    uint8_t bytes[LSM_COBS_SIZE(LSM_MAX_FRAME) + 1u]; /* one for the zero behind a line */
    size_t count;
    bool in_frame; /* after a zero byte: a newline is data */
    bool not_text; /* a byte outside printable ASCII came: no line is obeyed until a zero or silence */
    bool refused;  /* such a line has been answered with an error */
    bool overflow;
    uint32_t byte_ms;
};

struct lsm_text {
    uint8_t colour[3];
    uint8_t brightness[3];
    uint16_t na_percent;
    uint16_t inner_na_percent;
    bool auto_clear;
    uint16_t next_pattern; /* of the sequence that ssv fills */
};

struct lsm_core {
    struct lsm_leds leds;
    struct lsm_sequence sequence;
    struct lsm_trigger trigger;
    struct lsm_watchdog watchdog;
    struct lsm_link link;
    struct lsm_stream stream;
    struct lsm_text text;
    bool defaults; /* no valid settings were found in flash */
};

/* Dark, nothing armed. */
void lsm_init(struct lsm_core *core, const struct lsm_board *board);

/* Bytes from the host, in any portions. */
void lsm_receive(struct lsm_core *core, const uint8_t *bytes, size_t count);

/* To be called as often as the board can: steps sequences, ends pulses, puts the light out when the host is silent. */
void lsm_tick(struct lsm_core *core);

/* An edge came on an input pin. The only function that an interrupt may call. */
void lsm_trigger_edge(struct lsm_core *core, uint8_t pin);

/* Ends a sequence and puts all LEDs out. */
void lsm_stop(struct lsm_core *core);

#endif
