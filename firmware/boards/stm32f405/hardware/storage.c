#include <string.h>

#include "registers.h"
#include "stm32f405.h"

#define PLACE 0x080E0000u /* sector 11, the last one, of 128 KiB */
#define SECTOR 11u

#define KEY_1 0x45670123u
#define KEY_2 0xCDEF89ABu
#define CR_PROGRAM (1u << 0)
#define CR_ERASE (1u << 1)
#define CR_SECTOR(number) ((uint32_t)(number) << 3)
#define CR_BY_32 (2u << 8)
#define CR_START (1u << 16)
#define CR_LOCK (1u << 31)
#define SR_BUSY (1u << 16)
#define SR_ERRORS 0xF2u

void hal_config_read(uint8_t *bytes, size_t count) {
    memcpy(bytes, (const void *)PLACE, count);
}

static void wait(void) {
    while ((FLASH_SR & SR_BUSY) != 0) {
    }
}

static void program(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i += 4) {
        uint32_t word = UINT32_MAX;
        memcpy(&word, bytes + i, count - i < 4 ? count - i : 4);
        FLASH_CR = CR_BY_32 | CR_PROGRAM;
        *(volatile uint32_t *)(PLACE + i) = word;
        wait();
    }
}

/* The processor stands still while a sector is erased, up to 2 s (datasheet, "Flash memory programming"). */
bool hal_config_write(const uint8_t *bytes, size_t count) {
    if (count > CONFIG_PLACE_BYTES) {
        return false;
    }
    if (memcmp((const void *)PLACE, bytes, count) == 0) {
        return true;
    }
    FLASH_KEYR = KEY_1;
    FLASH_KEYR = KEY_2;
    wait();
    FLASH_SR = SR_ERRORS;
    chip_kick();
    FLASH_CR = CR_BY_32 | CR_SECTOR(SECTOR) | CR_ERASE;
    FLASH_CR |= CR_START;
    wait();
    chip_kick();
    program(bytes, count);
    FLASH_CR = CR_LOCK;
    return (FLASH_SR & SR_ERRORS) == 0 && memcmp((const void *)PLACE, bytes, count) == 0;
}
