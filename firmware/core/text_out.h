/* Numbers and strings to the host, without stdio. */
#ifndef LSM_TEXT_OUT_H
#define LSM_TEXT_OUT_H

#include <stdint.h>

void lsm_put_text(const char *text);
void lsm_put_number(uint32_t value);

/* `thousandths` as a decimal fraction with three places. */
void lsm_put_milli(int32_t thousandths);

/* `"key" : value` with the comma and newline that JSON wants behind it. */
void lsm_put_field(const char *key, uint32_t value);

#endif
