/* What the unit tests of the core share: checks, and requests that most of them begin with. */
#ifndef LSM_TEST_UNIT_H
#define LSM_TEST_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

extern const char *running;
extern int failures;
extern uint8_t seq; /* of the next request */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)printf("FAILED %s, line %d: %s\n", running, __LINE__, #condition);               \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

struct test {
    const char *name;
    void (*run)(void);
};

#define TEST(function) {#function, function}

/* Each ended by a NULL name. */
extern const struct test LIGHT_TESTS[];
extern const struct test SEQUENCE_TESTS[];

uint8_t ask(uint8_t command, const void *data, size_t count);
void greet(void);
uint8_t fill(uint8_t level);
uint8_t show(void);
bool lit(void);
/* n patterns of one bit; pattern i lights LED i, in white of level 9. */
void load(uint16_t patterns);
uint8_t arm(uint8_t first, uint16_t rounds, uint32_t period_us, uint32_t settle_us, uint32_t longest_ms);
void wire_input(uint8_t pin, uint16_t debounce_us);
void wire_output(uint8_t pin, uint32_t delay_us, uint32_t width_us, uint8_t when);
void edge_and_tick(void);

#endif
