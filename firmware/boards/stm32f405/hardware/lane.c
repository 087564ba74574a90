#include "registers.h"
#include "stm32f405.h"

#define SPI_MASTER (1u << 2)
#define SPI_BY_8 (2u << 3)
#define SPI_ON (1u << 6)
#define SPI_OWN_SELECT (3u << 8) /* without a select pin */

void lane_start(void) {
    SPI1_CR1 = SPI_MASTER | SPI_BY_8 | SPI_OWN_SELECT | SPI_ON;
}

void hal_led_begin(void) {
}

void hal_led_write(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while ((SPI1_SR & SPI_TXE) == 0) {
        }
        SPI1_DR = bytes[i];
    }
}

void hal_led_end(void) {
    while ((SPI1_SR & SPI_TXE) == 0 || (SPI1_SR & SPI_BSY) != 0) {
    }
}

void hal_trigger_out(uint8_t pin, bool high) {
    if (pin < TRIGGER_PINS) {
        GPIOB_BSRR = high ? 1u << pin : 1u << (16u + pin);
    }
}
