#include "cobs.h"

size_t lsm_cobs_encode(const uint8_t *in, size_t count, uint8_t *out) {
    size_t code_at = 0;
    size_t length = 1;
    uint8_t code = 1;
    for (size_t i = 0; i < count; i++) {
        if (in[i] != 0) {
            out[length++] = in[i];
            code++;
        }
        if (in[i] == 0 || (code == 0xFF && i + 1 < count)) {
            out[code_at] = code;
            code_at = length++;
            code = 1;
        }
    }
    out[code_at] = code;
    return length;
}

size_t lsm_cobs_decode(uint8_t *bytes, size_t count) {
    size_t read = 0;
    size_t written = 0;
    while (read < count) {
        uint8_t code = bytes[read++];
        if (code == 0 || read + code - 1u > count) {
            return 0;
        }
        for (uint8_t i = 1; i < code; i++) {
            bytes[written++] = bytes[read++];
        }
        if (code != 0xFF && read < count) {
            bytes[written++] = 0;
        }
    }
    return written;
}
