#include "stm32f405.h"

/* QEMU's timers count at 1 GHz. It has no clock tree, no pins and no watchdog. */
const uint32_t chip_ticks_per_us = 1000u;

void chip_start(void) {
}

void chip_kick(void) {
}
