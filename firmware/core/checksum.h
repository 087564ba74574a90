/* CRC-16/CCITT-FALSE over frames, CRC-32 (as in zlib) over whole patterns. */
#ifndef LSM_CHECKSUM_H
#define LSM_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint16_t lsm_crc16(const uint8_t *bytes, size_t count);
uint32_t lsm_crc32(const uint8_t *bytes, size_t count);

#endif
