#include <avr/eeprom.h>

#include "avr_mega.h"

#define PLACE ((uint8_t *)16) /* away from address 0, which a brown-out damages first */

void hal_config_read(uint8_t *bytes, size_t count) {
    eeprom_read_block(bytes, PLACE, count);
}

/* 3.4 ms per byte that changes. */
bool hal_config_write(const uint8_t *bytes, size_t count) {
    eeprom_update_block(bytes, PLACE, count);
    for (size_t i = 0; i < count; i++) {
        if (eeprom_read_byte(PLACE + i) != bytes[i]) {
            return false;
        }
    }
    return true;
}
