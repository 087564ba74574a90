/* lsm-avr-harness --elf FILE --port LINK [--frames FILE] [--eeprom FILE] [--realtime 1]
 *
 * The host's end of the UART is a pseudo-terminal. Commands on standard input, one per line:
 *   edges PIN COUNT PERIOD_US   rising edges on a trigger input, spaced in virtual time; then "EDGES COUNT"
 *   time                        "TIME NS": virtual nanoseconds since power-on
 *   reset                       the reset button; "RESET NS" when the board listens again
 *   hang                        the program hangs; "RESET NS" when the chip's watchdog has brought it back
 *   quit                        ends, as closing standard input does
 */
#define _XOPEN_SOURCE 700 /* sigaction, clock_gettime */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sim_elf.h>

#include "avr_sim.h"
#include "native.h"

#define EXCHANGE_TURNS 0x3FFu /* instructions between two looks at the pseudo-terminal */
#define SCRIPT_TURNS 0x3FFFu
#define AHEAD_NS 500000
#define BEHIND_NS 50000000 /* time lost beyond this is not made up for */

struct options {
    const char *elf;
    const char *link;
    const char *frames;
    const char *eeprom;
    bool realtime;
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
    (void)signal_number;
    stopped = 1;
}

static int fail(const char *reason, const char *value) {
    (void)fprintf(stderr, "lsm-avr-harness: %s: %s\n", reason, value);
    return 2;
}

/* Standard output carries answers; the library's own chatter would mix with them. */
static void log_errors(avr_t *avr, const int level, const char *format, va_list values) {
    (void)avr;
    if (level == LOG_ERROR) {
        (void)vfprintf(stderr, format, values);
    }
}

static bool take(struct options *options, const char *key, const char *text) {
    if (strcmp(key, "--elf") == 0) {
        options->elf = text;
    } else if (strcmp(key, "--port") == 0) {
        options->link = text;
    } else if (strcmp(key, "--frames") == 0) {
        options->frames = text;
    } else if (strcmp(key, "--eeprom") == 0) {
        options->eeprom = text;
    } else if (strcmp(key, "--realtime") == 0) {
        options->realtime = strcmp(text, "1") == 0;
    } else {
        return false;
    }
    return true;
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

static int64_t wall_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sleeps while virtual time is ahead of the wall clock. */
static void pace(const avr_t *avr) {
    static int64_t offset_ns;
    static bool started;
    int64_t ahead_ns = (int64_t)virtual_ns(avr) - wall_ns() + offset_ns;
    if (!started || ahead_ns < -BEHIND_NS) {
        started = true;
        offset_ns -= ahead_ns;
    } else if (ahead_ns > AHEAD_NS) {
        struct timespec rest = {.tv_sec = 0, .tv_nsec = AHEAD_NS};
        (void)nanosleep(&rest, NULL);
    }
}

static avr_t *power_on(const char *path) {
    static elf_firmware_t firmware;
    if (elf_read_firmware(path, &firmware) != 0) {
        return NULL;
    }
    avr_t *avr = avr_make_mcu_by_name("atmega2560");
    if (avr != NULL) {
        firmware.frequency = AVR_HZ;
        avr_init(avr);
        avr_load_firmware(avr, &firmware);
    }
    return avr;
}

static int run(avr_t *avr, bool realtime) {
    for (uint32_t turn = 0; !stopped; turn++) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            return fail("the program ran into nowhere", state == cpu_Done ? "stopped" : "crashed");
        }
        if (script_awaits_reset()) {
            script_await_reset();
        }
        if ((turn & EXCHANGE_TURNS) == 0) {
            wire_exchange();
            if (realtime) {
                pace(avr);
            }
        }
        if ((turn & SCRIPT_TURNS) == 0) {
            eeprom_keep();
            if (!script_obey()) {
                break;
            }
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    struct options options = {0};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc || !take(&options, argv[i], argv[i + 1])) {
            return fail("option with a wrong or missing value", argv[i]);
        }
    }
    if (options.elf == NULL || options.link == NULL) {
        return fail("options", "--elf FILE and --port LINK must be given");
    }
    avr_global_logger_set(log_errors);
    avr_t *avr = power_on(options.elf);
    if (avr == NULL) {
        return fail("no program for an ATmega2560", options.elf);
    }
    const char *reason = lane_attach(avr, options.frames);
    if (reason == NULL && options.eeprom != NULL) {
        reason = eeprom_attach(avr, options.eeprom);
    }
    if (reason == NULL) {
        reason = port_open_pty(options.link);
    }
    if (reason != NULL) {
        return fail(reason, strerror(errno));
    }
    catch_signals();
    wire_attach(avr);
    script_attach(avr);
    while (!stopped && !wire_listens(avr)) {
        (void)avr_run(avr);
    }
    (void)printf("READY %s\n", port_name());
    (void)fflush(stdout);
    int status = run(avr, options.realtime);
    eeprom_keep();
    port_close();
    return status;
}
