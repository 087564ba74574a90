#include "stm32f405.h"

static const struct lsm_board BOARD = {
    .name = "lsm stm32f405 board",
    .rows = 32,
    .columns = 32,
    .pitch_um = 3000,
    .distance_um = 50000,
    .wavelength_nm = {630, 530, 470},
    .serial_number = 1,
    .lane = LSM_LANE_APA102,
    .trigger_inputs = TRIGGER_PINS,
    .trigger_outputs = TRIGGER_PINS,
};

struct lsm_core stm32_core;

int main(void) {
    static uint8_t bytes[512];
    chip_start();
    clock_start();
    lane_start();
    lsm_init(&stm32_core, &BOARD);
    pins_start();
    uart_start();
    for (;;) {
        chip_kick();
        size_t count = uart_read(bytes, sizeof bytes);
        lsm_receive(&stm32_core, bytes, count);
        lsm_tick(&stm32_core);
    }
}
