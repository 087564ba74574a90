#include "checksum.h"

#include "flash.h"

uint16_t lsm_crc16(const uint8_t *bytes, size_t count) {
    uint16_t crc = 0xFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc = (uint16_t)((crc >> 8) | (crc << 8));
        crc = (uint16_t)(crc ^ bytes[i]);
        crc = (uint16_t)(crc ^ ((crc & 0xFFu) >> 4));
        crc = (uint16_t)(crc ^ (crc << 12));
        crc = (uint16_t)(crc ^ ((crc & 0xFFu) << 5));
    }
    return crc;
}

/* Half-byte table: 64 bytes of flash instead of a kilobyte. */
static const LSM_FLASH uint32_t NIBBLE[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t lsm_crc32_add(uint32_t crc, uint8_t byte) {
    crc ^= byte;
    crc = (crc >> 4) ^ NIBBLE[crc & 0xFu];
    return (crc >> 4) ^ NIBBLE[crc & 0xFu];
}

uint32_t lsm_crc32_end(uint32_t crc) {
    return ~crc;
}

uint32_t lsm_crc32(const uint8_t *bytes, size_t count) {
    uint32_t crc = LSM_CRC32_START;
    for (size_t i = 0; i < count; i++) {
        crc = lsm_crc32_add(crc, bytes[i]);
    }
    return lsm_crc32_end(crc);
}
