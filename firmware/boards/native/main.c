#define _XOPEN_SOURCE 700 /* sigaction, kill */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "native.h"

#define DARK_EXIT_MS 1000u /* how long a board without an owner stays dark before it ends */
#define LIT_WAIT_MS 2
#define DARK_WAIT_MS 20
#define BUSY_WAIT_NS 20000

struct options {
    struct lsm_board board;
    const char *link_path;
    const char *frames_path;
    long tcp_port;
    long owner;
};

static struct lsm_core core;
static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
    (void)signal_number;
    stopped = 1;
}

static int fail(const char *reason, const char *value) {
    (void)fprintf(stderr, "lsm-board: %s: %s\n", reason, value);
    return 2;
}

/* A whole decimal number, or -1. */
static long number(const char *text, long most) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && value >= 0 && value <= most ? value : -1;
}

static bool take(struct options *options, const char *key, const char *text) {
    long value = number(text, INT_MAX);
    if (strcmp(key, "--port") == 0) {
        options->link_path = text;
    } else if (strcmp(key, "--frames") == 0) {
        options->frames_path = text;
    } else if (strcmp(key, "--config") == 0) {
        config_place(text);
    } else if (strcmp(key, "--lane") == 0 && strcmp(text, "ws2812") == 0) {
        options->board.lane = LSM_LANE_WS2812;
    } else if (strcmp(key, "--lane") == 0 && strcmp(text, "apa102") == 0) {
        options->board.lane = LSM_LANE_APA102;
    } else if (strcmp(key, "--tcp") == 0 && value >= 0 && value <= UINT16_MAX) {
        options->tcp_port = value;
    } else if (strcmp(key, "--owner-pid") == 0 && value > 0) {
        options->owner = value;
    } else if (strcmp(key, "--rows") == 0 && value > 0 && value <= (long)LSM_MAX_LEDS) {
        options->board.rows = (uint16_t)value;
    } else if (strcmp(key, "--columns") == 0 && value > 0 && value <= (long)LSM_MAX_LEDS) {
        options->board.columns = (uint16_t)value;
    } else if (strcmp(key, "--pitch-um") == 0 && value > 0 && value <= 1000000) {
        options->board.pitch_um = (uint32_t)value;
    } else if (strcmp(key, "--distance-um") == 0 && value > 0 && value <= 10000000) {
        options->board.distance_um = (uint32_t)value;
    } else {
        return false;
    }
    return true;
}

/* The owner is gone when it is no longer this process's parent (a dead one that nobody waited for
 * still answers signals), or, for an owner that never was the parent, when no such process exists. */
static bool orphaned(long owner, bool was_parent) {
    if (owner == 0) {
        return false;
    }
    return was_parent ? getppid() != (pid_t)owner : kill((pid_t)owner, 0) != 0 && errno == ESRCH;
}

static void serve(const struct options *options) {
    static uint8_t bytes[4096];
    bool was_parent = getppid() == (pid_t)options->owner;
    uint32_t lit_ms = hal_now_ms();
    while (!stopped) {
        bool waiting = bench_tick(&core);
        bool timed = waiting || lsm_sequence_active(&core.sequence) || lsm_trigger_pulsing(&core.trigger);
        size_t count = port_read(bytes, sizeof bytes, timed ? 0 : frames_lit() ? LIT_WAIT_MS : DARK_WAIT_MS);
        lsm_receive(&core, bytes, count);
        lsm_tick(&core);
        if (timed && count == 0) {
            (void)nanosleep(&(struct timespec){.tv_nsec = BUSY_WAIT_NS}, NULL);
        }
        uint32_t now_ms = hal_now_ms();
        bool attended = frames_lit() || !orphaned(options->owner, was_parent);
        lit_ms = attended ? now_ms : lit_ms;
        if (now_ms - lit_ms >= DARK_EXIT_MS) {
            return;
        }
    }
}

static void catch_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = stop;
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

int main(int argc, char **argv) {
    struct options options = {
        .board = {"lsm native board", 13, 13, 3000, 50000, {630, 530, 470}, 1, LSM_LANE_APA102, 2, 2},
        .tcp_port = -1,
    };
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc || !take(&options, argv[i], argv[i + 1])) {
            return fail("option with a wrong or missing value", argv[i]);
        }
    }
    if ((uint32_t)options.board.rows * options.board.columns > LSM_MAX_LEDS) {
        return fail("rows times columns", "more LEDs than this build holds");
    }
    if ((options.link_path == NULL) == (options.tcp_port < 0)) {
        return fail("port", "give either --port PATH or --tcp NUMBER (0 for any free one)");
    }
    const char *reason = options.frames_path != NULL ? frames_open(options.frames_path) : NULL;
    if (reason == NULL) {
        reason = options.link_path != NULL ? port_open_pty(options.link_path)
                                           : port_open_tcp((uint16_t)options.tcp_port);
    }
    if (reason != NULL) {
        return fail(reason, strerror(errno));
    }
    catch_signals();
    lsm_init(&core, &options.board);
    (void)printf("READY %s\n", port_name());
    (void)fflush(stdout);
    serve(&options);
    lsm_leds_dark(&core.leds);
    port_close();
    return 0;
}
