#include "text.h"

#include <string.h>

#include "text_out.h"

void lsm_text_init(struct lsm_text *text) {
    memset(text->colour, 255, sizeof text->colour);
    memset(text->brightness, 64, sizeof text->brightness);
    text->na_percent = 10;
    text->inner_na_percent = 0;
    text->auto_clear = true;
}

static const LSM_FLASH char *explained(uint8_t error) {
    switch (error) {
    case LSM_TEXT_UNKNOWN:
        return LSM_TEXT("this board does not know the command");
    case LSM_TEXT_ARGUMENT_COUNT:
        return LSM_TEXT("wrong number of arguments");
    case LSM_TEXT_NOT_A_NUMBER:
        return LSM_TEXT("an argument is not a whole number");
    case LSM_TEXT_RANGE:
        return LSM_TEXT("an argument is outside its range");
    case LSM_TEXT_LINE_TOO_LONG:
        return LSM_TEXT("the line is too long");
    case LSM_TEXT_NOT_TEXT:
        return LSM_TEXT("the line holds bytes that are not text");
    case LSM_TEXT_BUSY:
        return LSM_TEXT("a program holds the board or a sequence runs; x puts the light out");
    default:
        return LSM_TEXT("the patterns do not fit the board's memory");
    }
}

void lsm_text_error(uint8_t error) {
    lsm_put_text(LSM_TEXT("ERROR["));
    lsm_put_number(error);
    lsm_put_text(LSM_TEXT("]: "));
    lsm_put_text(explained(error));
    lsm_put_text(LSM_TEXT("\n-==-\n"));
}

bool lsm_text_number(struct lsm_arguments *arguments, uint16_t *value) {
    const char *at = arguments->next;
    uint32_t total = 0;
    if (at == NULL || *at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        total = total * 10u + (uint32_t)(*at - '0');
        if (total > UINT16_MAX) {
            return false;
        }
    }
    if (*at != '\0' && *at != '.') {
        return false;
    }
    arguments->next = *at == '.' ? at + 1 : NULL;
    *value = (uint16_t)total;
    return true;
}

/* Ends the name with a zero byte; both separators of the illuminate family are taken. */
static struct lsm_arguments split(char *line) {
    struct lsm_arguments arguments = {NULL, 0};
    for (char *at = line; *at != '\0'; at++) {
        if (*at == ',') {
            *at = '.';
        }
        if (*at == '.') {
            arguments.count++;
            if (arguments.next == NULL) {
                *at = '\0';
                arguments.next = at + 1;
            }
        }
    }
    return arguments;
}

uint8_t lsm_text_numbers(struct lsm_arguments arguments, uint16_t most, uint16_t *values, uint16_t room) {
    for (uint16_t i = 0; arguments.next != NULL; i++) {
        uint16_t value = 0;
        if (!lsm_text_number(&arguments, &value)) {
            return LSM_TEXT_NOT_A_NUMBER;
        }
        if (value > most) {
            return LSM_TEXT_RANGE;
        }
        if (i < room) {
            values[i] = value;
        }
    }
    return 0;
}

void lsm_text_painted(const struct lsm_core *core, uint8_t level[3]) {
    for (uint8_t i = 0; i < 3; i++) {
        level[i] = lsm_share(core->text.colour[i], core->text.brightness[i]);
    }
}

static bool named(const LSM_FLASH char *name, const char *wanted) {
    while (*name != '\0' && *name == *wanted) {
        name++;
        wanted++;
    }
    return *name == *wanted;
}

static bool look_up(const LSM_FLASH struct lsm_text_command *table, const char *name, struct lsm_text_command *found) {
    for (; table->name[0] != '\0'; table++) {
        if (named(table->name, name)) {
            *found = *table;
            return true;
        }
    }
    return false;
}

static bool held(const struct lsm_core *core) {
    return core->watchdog.live || lsm_sequence_active(&core->sequence);
}

static uint8_t obey(struct lsm_core *core, const char *name, struct lsm_arguments arguments) {
    struct lsm_text_command command;
    if (!look_up(LSM_TEXT_INFO, name, &command) && !look_up(LSM_TEXT_LIGHT, name, &command) &&
        !look_up(LSM_TEXT_SETTINGS, name, &command) && !look_up(LSM_TEXT_SEQUENCE, name, &command)) {
        return LSM_TEXT_UNKNOWN;
    }
    if (arguments.count < command.least || arguments.count > command.most) {
        return LSM_TEXT_ARGUMENT_COUNT;
    }
    bool changes = command.changes == LSM_CHANGES_ALWAYS ||
                   (command.changes == LSM_CHANGES_WITH_ARGUMENTS && arguments.count != 0);
    return changes && held(core) ? LSM_TEXT_BUSY : command.run(core, arguments);
}

/* An empty line is answered like any other, so that a new host can find where replies begin. */
void lsm_text_line(struct lsm_core *core, char *line) {
    struct lsm_arguments arguments = split(line);
    uint8_t error = *line == '\0' && arguments.count == 0 ? 0 : obey(core, line, arguments);
    if (error != 0) {
        lsm_text_error(error);
        return;
    }
    lsm_watchdog_text(&core->watchdog, hal_now_ms());
    lsm_put_text(LSM_TEXT("-==-\n"));
}
