/* Unit tests of the core, with a clock that moves only when told. Prints what failed. */
#include "unit.h"

#include <string.h>

#include "bench.h"
#include "bytes.h"
#include "checksum.h"
#include "cobs.h"

const char *running;
int failures;

static const uint8_t HELLO[1] = {LSM_PROTOCOL_VERSION};
uint8_t seq;

uint8_t ask(uint8_t command, const void *data, size_t count) {
    return bench_ask(seq++, command, data, count, NULL);
}

void greet(void) {
    CHECK(ask(LSM_CMD_HELLO, HELLO, 1) == LSM_STATUS_OK);
}

uint8_t fill(uint8_t level) {
    const uint8_t data[7] = {0, 0, 64, 0, level, level, level};
    return ask(LSM_CMD_FB_FILL, data, sizeof data);
}

uint8_t show(void) {
    return ask(LSM_CMD_SHOW, NULL, 0);
}

bool lit(void) {
    return bench.level_sum != 0;
}

void load(uint16_t patterns) {
    uint8_t begin[6] = {0, 0, 1, 9, 9, 9};
    uint8_t data[4 + 8 * 64] = {0};
    uint8_t commit[4];
    lsm_set_u16(begin, patterns);
    for (uint16_t i = 0; i < patterns; i++) {
        data[4 + 8 * i + i / 8] = (uint8_t)(1u << (i % 8));
    }
    lsm_set_u32(commit, lsm_crc32(data + 4, 8u * patterns));
    CHECK(ask(LSM_CMD_SEQ_BEGIN, begin, sizeof begin) == LSM_STATUS_OK);
    CHECK(ask(LSM_CMD_SEQ_DATA, data, 4u + 8u * patterns) == LSM_STATUS_OK);
    CHECK(ask(LSM_CMD_SEQ_COMMIT, commit, 4) == LSM_STATUS_OK);
}

uint8_t arm(uint8_t first, uint16_t rounds, uint32_t period_us, uint32_t settle_us, uint32_t longest_ms) {
    uint8_t data[15];
    data[0] = first;
    lsm_set_u16(data + 1, rounds);
    lsm_set_u32(data + 3, period_us);
    lsm_set_u32(data + 7, settle_us);
    lsm_set_u32(data + 11, longest_ms);
    return ask(LSM_CMD_SEQ_ARM, data, sizeof data);
}

void wire_input(uint8_t pin, uint16_t debounce_us) {
    uint8_t data[5] = {pin, LSM_EDGE_RISING, 0, 0, 1};
    lsm_set_u16(data + 2, debounce_us);
    CHECK(ask(LSM_CMD_TRIG_IN, data, sizeof data) == LSM_STATUS_OK);
}

void wire_output(uint8_t pin, uint32_t delay_us, uint32_t width_us, uint8_t when) {
    uint8_t data[11] = {pin, 1, 0, 0, 0, 0, 0, 0, 0, 0, when};
    lsm_set_u32(data + 2, delay_us);
    lsm_set_u32(data + 6, width_us);
    CHECK(ask(LSM_CMD_TRIG_OUT, data, sizeof data) == LSM_STATUS_OK);
}

void edge_and_tick(void) {
    bench_edge(0);
    lsm_tick(&bench.core);
    lsm_tick(&bench.core);
}

static size_t unhex(const char *text, uint8_t *bytes, size_t room) {
    size_t count = 0;
    unsigned value = 0;
    while (count < room && sscanf(text, "%2x", &value) == 1) {
        bytes[count++] = (uint8_t)value;
        text += 2;
    }
    return count;
}

/* Lines of the file: frame BODY WIRE, or crc32 BYTES VALUE, in hexadecimal; "-" is nothing. */
static void vectors(const char *path) {
    static char line[20000];
    static char first[10000];
    static char second[10000];
    static uint8_t bytes[5000];
    static uint8_t wanted[5000];
    static uint8_t coded[5000];
    char kind[8];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#' || sscanf(line, "%7s %9999s %9999s", kind, first, second) != 3) {
            continue;
        }
        size_t count = unhex(first, bytes, sizeof bytes - 2);
        size_t length = unhex(second, wanted, sizeof wanted);
        if (strcmp(kind, "crc32") == 0) {
            CHECK(length == 4 && lsm_crc32(bytes, count) == lsm_get_u32(wanted));
            continue;
        }
        lsm_set_u16(bytes + count, lsm_crc16(bytes, count));
        CHECK(lsm_cobs_encode(bytes, count + 2, coded) == length && memcmp(coded, wanted, length) == 0);
        CHECK(lsm_cobs_decode(coded, length) == count + 2 && memcmp(coded, bytes, count + 2) == 0);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static size_t run_all(const struct test *tests) {
    size_t count = 0;
    for (; tests[count].name != NULL; count++) {
        running = tests[count].name;
        bench_boot(8, 8);
        seq = 250; /* so that numbers go round */
        tests[count].run();
    }
    return count;
}

int main(int argc, char **argv) {
    size_t count = run_all(LIGHT_TESTS) + run_all(SEQUENCE_TESTS);
    if (argc > 1) {
        running = "vectors";
        vectors(argv[1]);
        count++;
    }
    (void)printf("%zu tests, %d failures\n", count, failures);
    return failures == 0 ? 0 : 1;
}
