/* What each binary command does. */
#ifndef LSM_COMMANDS_H
#define LSM_COMMANDS_H

#include "core.h"

struct lsm_command {
    uint8_t code;
    bool mutates; /* needs HELLO first and never runs twice for one seq */
    uint8_t (*run)(struct lsm_core *core, const uint8_t *payload, size_t count);
};

/* NULL for an unknown code. */
const struct lsm_command *lsm_command_find(uint8_t code);

#endif
