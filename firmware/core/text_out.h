/* Numbers and strings to the host, without stdio. */
#ifndef LSM_TEXT_OUT_H
#define LSM_TEXT_OUT_H

#include <stdint.h>

#include "flash.h"

void lsm_put_text(const LSM_FLASH char *text); /* LSM_TEXT("...") */
void lsm_put_name(const char *text);           /* in RAM */
void lsm_put_number(uint32_t value);

/* `thousandths` as a decimal fraction with three places. */
void lsm_put_milli(int32_t thousandths);

/* `"key" : value` with the comma and newline that JSON wants behind it. */
void lsm_put_field(const LSM_FLASH char *key, uint32_t value);

#endif
