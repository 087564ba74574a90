/* Text lines as illuminate has them: `command.argument.argument`, replies that end with `-==-`. */
#ifndef LSM_TEXT_H
#define LSM_TEXT_H

#include "core.h"
#include "flash.h"

/* The dot-separated rest of a line. */
struct lsm_arguments {
    const char *next; /* NULL behind the last one */
    uint16_t count;
};

enum { LSM_CHANGES_NOTHING, LSM_CHANGES_ALWAYS, LSM_CHANGES_WITH_ARGUMENTS };

struct lsm_text_command {
    char name[14];
    uint8_t changes; /* LSM_CHANGES_...: refused while a program holds the board or a sequence runs */
    uint16_t least;
    uint16_t most;
    uint8_t (*run)(struct lsm_core *core, struct lsm_arguments arguments); /* 0, or LSM_TEXT_... */
};

void lsm_text_init(struct lsm_text *text);

/* Obeys one line, which it may change, and answers with a terminator. */
void lsm_text_line(struct lsm_core *core, char *line);

/* A whole error answer, terminator included. */
void lsm_text_error(uint8_t error);

/* The next argument; false unless it is a whole decimal number up to 65535. */
bool lsm_text_number(struct lsm_arguments *arguments, uint16_t *value);

/* All arguments are numbers up to `most`; stores the first `room` of them. Returns 0 or LSM_TEXT_... */
uint8_t lsm_text_numbers(struct lsm_arguments arguments, uint16_t most, uint16_t *values, uint16_t room);

/* The present colour at the present brightness. */
void lsm_text_painted(const struct lsm_core *core, uint8_t level[3]);

/* Tables by subject, each ended by an empty name. */
extern const LSM_FLASH struct lsm_text_command LSM_TEXT_INFO[];
extern const LSM_FLASH struct lsm_text_command LSM_TEXT_LIGHT[];
extern const LSM_FLASH struct lsm_text_command LSM_TEXT_SETTINGS[];
extern const LSM_FLASH struct lsm_text_command LSM_TEXT_SEQUENCE[];

#endif
