/* Fuzz target for libFuzzer and AFL++ (both call LLVMFuzzerTestOneInput).
 *
 * The input is a list of steps: 0 and a byte lets time pass (2^(low nibble) ms) or, with the high bit set, brings
 * an edge; any other first byte n is followed by n bytes from the host. After the last step the host is silent for
 * an hour: whatever came, the LEDs are then dark.
 */
#include <stdlib.h>

#include "bench.h"

#define CEILING_SUM (64u * 3u * 255u * LSM_CEILING_PERMILLE / 1000u)
#define HOUR_US 3600000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pass(uint8_t step) {
    if ((step & 0x80u) != 0) {
        bench_edge(step & 1u);
        lsm_tick(&bench.core);
    } else {
        bench.now_us += 1000ull << (step & 15u);
        lsm_tick(&bench.core);
        lsm_tick(&bench.core);
    }
}

static void check(bool good) {
    if (!good) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bench_boot(8, 8);
    for (size_t i = 0; i + 1 < size;) {
        uint8_t count = data[i++];
        if (count == 0) {
            pass(data[i++]);
            continue;
        }
        size_t rest = size - i;
        size_t taken = count < rest ? count : rest;
        bench.out_count = 0;
        lsm_receive(&bench.core, data + i, taken);
        i += taken;
    }
    check(bench.most_sum <= CEILING_SUM);
    bench.now_us += HOUR_US;
    lsm_tick(&bench.core);
    bench.now_us += HOUR_US;
    lsm_tick(&bench.core);
    check(bench.level_sum == 0);
    return 0;
}
