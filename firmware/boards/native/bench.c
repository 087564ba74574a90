#define _XOPEN_SOURCE 700

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "native.h"

static const char *config_path;

static enum lsm_edge wired[LSM_TRIGGER_PINS];

static struct {
    unsigned pin;
    unsigned long left;
    unsigned long count;
    uint32_t period_us;
    uint32_t due_us;
} edges;

void config_place(const char *path) {
    config_path = path;
}

void hal_config_read(uint8_t *bytes, size_t count) {
    FILE *file = config_path != NULL ? fopen(config_path, "rb") : NULL;
    memset(bytes, 0xFF, count);
    if (file != NULL) {
        (void)!fread(bytes, 1, count, file);
        (void)fclose(file);
    }
}

bool hal_config_write(const uint8_t *bytes, size_t count) {
    FILE *file = config_path != NULL ? fopen(config_path, "wb") : NULL;
    if (file == NULL) {
        return false;
    }
    bool written = fwrite(bytes, 1, count, file) == count;
    return fclose(file) == 0 && written;
}

void hal_trigger_in(uint8_t pin, enum lsm_edge edge) {
    wired[pin] = edge;
}

/* One line from standard input, or false. */
static bool line(char *text, size_t room) {
    struct pollfd wanted = {.fd = STDIN_FILENO, .events = POLLIN};
    size_t length = 0;
    if (poll(&wanted, 1, 0) <= 0 || (wanted.revents & POLLIN) == 0) {
        return false;
    }
    while (length + 1 < room && read(STDIN_FILENO, text + length, 1) == 1 && text[length] != '\n') {
        length++;
    }
    text[length] = '\0';
    return length > 0;
}

static void done(void) {
    (void)printf("EDGES %lu\n", edges.count);
    (void)fflush(stdout);
}

/* Up and down. */
static void pulse(struct lsm_core *core, uint8_t pin) {
    for (uint8_t edge = LSM_EDGE_RISING; edge <= LSM_EDGE_FALLING; edge++) {
        if ((wired[pin] & edge) != 0) {
            lsm_trigger_edge(core, pin);
        }
    }
}

bool bench_tick(struct lsm_core *core) {
    char text[80];
    if (edges.left == 0 && line(text, sizeof text) &&
        sscanf(text, "edges %u %lu %u", &edges.pin, &edges.count, &edges.period_us) == 3) {
        edges.left = edges.count;
        edges.due_us = hal_now_us();
        if (edges.left == 0) {
            done();
        }
    }
    bool spaced = edges.period_us != 0;
    for (bool due = true; due && edges.left != 0 && hal_now_us() - edges.due_us < UINT32_MAX / 2; due = !spaced) {
        if (spaced) {
            lsm_tick(core); /* a board's loop would have run in the time that this process did not get */
        }
        if (edges.pin < LSM_TRIGGER_PINS) {
            pulse(core, (uint8_t)edges.pin);
        }
        edges.due_us = hal_now_us() + edges.period_us;
        edges.left--;
        if (edges.left == 0) {
            lsm_tick(core); /* what is asked after the answer finds the core with every edge behind it */
            done();
        }
    }
    return edges.left != 0;
}
