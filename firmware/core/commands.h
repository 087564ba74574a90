/* What each binary command does. */
#ifndef LSM_COMMANDS_H
#define LSM_COMMANDS_H

#include "core.h"

/* Returns an LSM_STATUS_...; the answer's payload is appended with lsm_reply_... */
typedef uint8_t (*lsm_run)(struct lsm_core *core, const uint8_t *payload, size_t count);

struct lsm_command {
    uint8_t code;
    bool changes; /* needs HELLO first and never runs twice for one seq */
    lsm_run run;
};

/* False for an unknown code. */
bool lsm_command_find(uint8_t code, struct lsm_command *command);

/* Room for a payload in an answer: seq, command, status and CRC take the rest. */
#define LSM_REPLY_ROOM (LSM_MAX_FRAME - 5u)

#define LSM_DECLARE(name, function, changes) \
    uint8_t lsm_run_##function(struct lsm_core *core, const uint8_t *payload, size_t count);
LSM_COMMANDS(LSM_DECLARE)

#endif
