/* Little-endian numbers in byte buffers. */
#ifndef LSM_BYTES_H
#define LSM_BYTES_H

#include <stdint.h>

static inline uint16_t lsm_get_u16(const uint8_t *from) {
    return (uint16_t)(from[0] | ((uint16_t)from[1] << 8));
}

static inline uint32_t lsm_get_u32(const uint8_t *from) {
    return lsm_get_u16(from) | ((uint32_t)lsm_get_u16(from + 2) << 16);
}

static inline void lsm_set_u16(uint8_t *to, uint16_t value) {
    to[0] = (uint8_t)(value & 0xFFu);
    to[1] = (uint8_t)(value >> 8);
}

static inline void lsm_set_u32(uint8_t *to, uint32_t value) {
    lsm_set_u16(to, (uint16_t)(value & 0xFFFFu));
    lsm_set_u16(to + 2, (uint16_t)(value >> 16));
}

#endif
