#include "text_out.h"

#include <string.h>

#include "hal.h"

/* In pieces: what is in flash cannot be handed on by address on every processor. */
void lsm_put_text(const LSM_FLASH char *text) {
    uint8_t piece[32];
    size_t count = 0;
    for (; *text != '\0'; text++) {
        piece[count++] = (uint8_t)*text;
        if (count == sizeof piece) {
            hal_write(piece, count);
            count = 0;
        }
    }
    hal_write(piece, count);
}

void lsm_put_name(const char *text) {
    hal_write((const uint8_t *)text, strlen(text));
}

void lsm_put_number(uint32_t value) {
    uint8_t digits[10];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    hal_write(digits + first, sizeof digits - first);
}

void lsm_put_milli(int32_t thousandths) {
    uint32_t size = thousandths < 0 ? 0u - (uint32_t)thousandths : (uint32_t)thousandths;
    uint32_t rest = size % 1000u;
    if (thousandths < 0) {
        lsm_put_text(LSM_TEXT("-"));
    }
    lsm_put_number(size / 1000u);
    lsm_put_text(LSM_TEXT("."));
    if (rest < 100) {
        lsm_put_text(LSM_TEXT("0"));
    }
    if (rest < 10) {
        lsm_put_text(LSM_TEXT("0"));
    }
    lsm_put_number(rest);
}

void lsm_put_field(const LSM_FLASH char *key, uint32_t value) {
    lsm_put_text(LSM_TEXT("\""));
    lsm_put_text(key);
    lsm_put_text(LSM_TEXT("\" : "));
    lsm_put_number(value);
    lsm_put_text(LSM_TEXT(",\n"));
}
