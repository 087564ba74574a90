/* CRC-16/CCITT-FALSE over frames, CRC-32 (as in zlib) over whole patterns, sequences and configurations. */
#ifndef LSM_CHECKSUM_H
#define LSM_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint16_t lsm_crc16(const uint8_t *bytes, size_t count);

/* Byte by byte: begin with LSM_CRC32_START, end with lsm_crc32_end. */
#define LSM_CRC32_START 0xFFFFFFFFu
uint32_t lsm_crc32_add(uint32_t crc, uint8_t byte);
uint32_t lsm_crc32_end(uint32_t crc);

uint32_t lsm_crc32(const uint8_t *bytes, size_t count);

#endif
