#include "text.h"

#include <string.h>

#include "text_out.h"

static const struct lsm_text_command *const TABLES[] = {LSM_TEXT_INFO, LSM_TEXT_LIGHT, LSM_TEXT_SETTINGS};

static const char *const ERRORS[] = {
    "",
    "this board does not know the command",
    "wrong number of arguments",
    "an argument is not a whole number",
    "an argument is outside its range",
    "the line is too long",
    "the line holds bytes that are not text",
};

void lsm_text_init(struct lsm_text *text) {
    memset(text->colour, 255, sizeof text->colour);
    memset(text->brightness, 64, sizeof text->brightness);
    text->na_percent = 10;
    text->auto_clear = true;
}

void lsm_text_error(uint8_t error) {
    lsm_put_text("ERROR[");
    lsm_put_number(error);
    lsm_put_text("]: ");
    lsm_put_text(ERRORS[error]);
    lsm_put_text("\n-==-\n");
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

static const struct lsm_text_command *find(const char *name) {
    for (size_t i = 0; i < sizeof TABLES / sizeof TABLES[0]; i++) {
        for (const struct lsm_text_command *command = TABLES[i]; command->name != NULL; command++) {
            if (strcmp(command->name, name) == 0) {
                return command;
            }
        }
    }
    return NULL;
}

static uint8_t obey(struct lsm_core *core, const char *name, struct lsm_arguments arguments) {
    const struct lsm_text_command *command = find(name);
    if (command == NULL) {
        return LSM_TEXT_UNKNOWN;
    }
    if (arguments.count < command->least || arguments.count > command->most) {
        return LSM_TEXT_ARGUMENT_COUNT;
    }
    return command->run(core, arguments);
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
    lsm_put_text("-==-\n");
}
