/* What survives power-off: current limit, watchdog and trigger set-up, with a CRC-32. */
#ifndef LSM_SETTINGS_H
#define LSM_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct lsm_core;

/* Applies the saved settings, or the defaults where none are valid. */
void lsm_settings_load(struct lsm_core *core);

/* Saves the present settings (or forgets the saved ones); false when the flash does not hold them afterwards. */
bool lsm_settings_save(const struct lsm_core *core, bool forget, uint32_t *crc);

#endif
