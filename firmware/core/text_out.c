#include "text_out.h"

#include <string.h>

#include "hal.h"

void lsm_put_text(const char *text) {
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
    lsm_put_text(thousandths < 0 ? "-" : "");
    lsm_put_number(size / 1000u);
    lsm_put_text(rest < 10 ? ".00" : rest < 100 ? ".0" : ".");
    lsm_put_number(rest);
}

void lsm_put_field(const char *key, uint32_t value) {
    lsm_put_text("\"");
    lsm_put_text(key);
    lsm_put_text("\" : ");
    lsm_put_number(value);
    lsm_put_text(",\n");
}
