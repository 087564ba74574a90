#include "commands.h"

#include "flash.h"

#define ENTRY(name, function, changes) {LSM_CMD_##name, changes, lsm_run_##function},

static const LSM_FLASH struct lsm_command COMMANDS[] = {LSM_COMMANDS(ENTRY)};

bool lsm_command_find(uint8_t code, struct lsm_command *command) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (COMMANDS[i].code == code) {
            *command = COMMANDS[i];
            return true;
        }
    }
    return false;
}
