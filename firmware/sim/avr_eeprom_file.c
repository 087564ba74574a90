#include <stdio.h>
#include <string.h>

#include <avr_eeprom.h>

#include "avr_sim.h"

#define SIZE 4096u

static uint8_t *cells;
static uint8_t kept[SIZE];
static const char *file_path;

const char *eeprom_attach(avr_t *avr, const char *path) {
    avr_eeprom_desc_t all = {.ee = NULL, .offset = 0, .size = 0};
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &all);
    if (all.ee == NULL) {
        return "this libsimavr does not show its EEPROM";
    }
    cells = all.ee;
    file_path = path;
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        size_t count = fread(cells, 1, SIZE, file);
        (void)fclose(file);
        if (count != SIZE) {
            return "the EEPROM file does not hold 4096 bytes";
        }
    }
    memcpy(kept, cells, SIZE);
    return NULL;
}

void eeprom_keep(void) {
    if (cells == NULL || memcmp(kept, cells, SIZE) == 0) {
        return;
    }
    memcpy(kept, cells, SIZE);
    FILE *file = fopen(file_path, "wb");
    if (file == NULL || fwrite(kept, 1, SIZE, file) != SIZE) {
        perror("the EEPROM file cannot be written");
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}
