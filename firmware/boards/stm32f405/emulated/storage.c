/* QEMU's flash cannot be written. This stands in for it: RAM that a reset leaves as it is, and that is empty after
 * power-on. It shows that the configuration is kept and checked, not that flash is programmed rightly. */
#include <string.h>

#include "stm32f405.h"

__attribute__((section(".noinit"))) static uint8_t place[CONFIG_PLACE_BYTES];

void hal_config_read(uint8_t *bytes, size_t count) {
    memcpy(bytes, place, count < sizeof place ? count : sizeof place);
}

bool hal_config_write(const uint8_t *bytes, size_t count) {
    if (count > sizeof place) {
        return false;
    }
    memcpy(place, bytes, count);
    return true;
}
