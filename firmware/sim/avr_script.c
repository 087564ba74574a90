#define _XOPEN_SOURCE 700 /* read */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <avr_extint.h>
#include <avr_ioport.h>

#include "avr_sim.h"

#define FIRST_IN 4 /* PE4, PE5 */
#define INPUTS 2u
#define PERIOD_US_MAX 10000000u
#define HIGH_US_MAX 10u

/* One rising edge after the other on one input, each followed by a falling one. */
struct edges {
    bool busy;
    bool high;
    unsigned long wanted;
    unsigned long left;
    avr_cycle_count_t high_cycles;
    avr_cycle_count_t low_cycles;
    avr_irq_t *irq;
};

static avr_t *chip;
static struct edges edges[INPUTS];
static enum { RUNNING, HUNG, BOOTING } state;
static avr_flashaddr_t hung_at;
static uint8_t hung_code[2];

static void answer(const char *word, unsigned long long value) {
    (void)printf("%s %llu\n", word, value);
    (void)fflush(stdout);
}

/* Out of reset the inputs sense a low level, which libsimavr looks at in every cycle: twelve times slower. */
static void after_reset(void) {
    for (uint8_t pin = 0; pin < INPUTS; pin++) {
        avr_extint_set_strict_lvl_trig(chip, (uint8_t)(FIRST_IN + pin), 0);
    }
}

static avr_cycle_count_t next_edge(avr_t *avr, avr_cycle_count_t when, void *param) {
    struct edges *train = param;
    (void)avr;
    train->high = !train->high;
    avr_raise_irq(train->irq, train->high);
    if (train->high) {
        train->left--;
        return when + train->high_cycles;
    }
    if (train->left == 0) {
        train->busy = false;
        answer("EDGES", train->wanted);
        return 0;
    }
    return when + train->low_cycles;
}

static bool begin_edges(unsigned pin, unsigned long wanted, unsigned long period_us) {
    if (pin >= INPUTS || edges[pin].busy || wanted == 0 || period_us < 2 || period_us > PERIOD_US_MAX) {
        return false;
    }
    struct edges *train = &edges[pin];
    unsigned long high_us = period_us / 2 < HIGH_US_MAX ? period_us / 2 : HIGH_US_MAX;
    train->busy = true;
    train->high = false;
    train->wanted = train->left = wanted;
    train->high_cycles = high_us * (AVR_HZ / 1000000u);
    train->low_cycles = (period_us - high_us) * (AVR_HZ / 1000000u);
    train->irq = avr_io_getirq(chip, AVR_IOCTL_IOPORT_GETIRQ('E'), FIRST_IN + (int)pin);
    avr_cycle_timer_register(chip, train->low_cycles, next_edge, train);
    return true;
}

/* The program stops where it is: the next instruction becomes a jump to itself. */
static void hang(void) {
    static const uint8_t JUMP_TO_ITSELF[2] = {0xFF, 0xCF};
    state = HUNG;
    hung_at = chip->pc;
    memcpy(hung_code, chip->flash + hung_at, sizeof hung_code);
    memcpy(chip->flash + hung_at, JUMP_TO_ITSELF, sizeof JUMP_TO_ITSELF);
}

bool script_awaits_reset(void) {
    return state != RUNNING;
}

void script_await_reset(void) {
    if (state == HUNG && chip->pc == 0) {
        memcpy(chip->flash + hung_at, hung_code, sizeof hung_code);
        after_reset();
        state = BOOTING;
    }
    if (state == BOOTING && wire_listens(chip)) {
        state = RUNNING;
        answer("RESET", virtual_ns(chip));
    }
}

static bool obey(const char *line) {
    unsigned pin = 0;
    unsigned long wanted = 0;
    unsigned long period_us = 0;
    if (strcmp(line, "quit") == 0) {
        return false;
    }
    if (strcmp(line, "time") == 0) {
        answer("TIME", virtual_ns(chip));
    } else if (state == RUNNING && strcmp(line, "reset") == 0) {
        avr_reset(chip);
        after_reset();
        state = BOOTING;
    } else if (state == RUNNING && strcmp(line, "hang") == 0) {
        hang();
    } else if (sscanf(line, "edges %u %lu %lu", &pin, &wanted, &period_us) != 3 ||
               !begin_edges(pin, wanted, period_us)) {
        (void)printf("ERROR %s\n", line);
        (void)fflush(stdout);
    }
    return true;
}

/* The camera's side of the cable holds an idle input low, against the board's pull-up. */
void script_attach(avr_t *avr) {
    avr_ioport_external_t low = {.name = 'E', .mask = 3u << FIRST_IN, .value = 0};
    chip = avr;
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL('E'), &low);
    after_reset();
    (void)fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
}

bool script_obey(void) {
    static char line[80];
    static size_t length;
    char letter = 0;
    ssize_t count = 0;
    while ((count = read(STDIN_FILENO, &letter, 1)) == 1) {
        if (letter != '\n') {
            line[length] = letter;
            length += length < sizeof line - 1 ? 1 : 0;
            continue;
        }
        line[length] = '\0';
        length = 0;
        if (!obey(line)) {
            return false;
        }
    }
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}
