/* An LED board as an Arduino sketch: the serial port is its plug, SPI its LED lane. */
#ifndef LSM_BOARD_H
#define LSM_BOARD_H

#include <Arduino.h>

extern "C" {
#include "lsm/core.h"
}

struct LsmPins {
    uint8_t trigger_in[2];
    uint8_t trigger_out[2];
};

/* There can be one. */
class LsmBoard {
  public:
    /* Dark when it returns; `board` must stay. Start the serial port first. */
    void begin(const lsm_board &board, Stream &host, const LsmPins &pins);

    /* To be called from loop(), which must not wait for anything else. */
    void run();

    /* For sketches that store a sequence of their own. */
    lsm_core &core();
};

#endif
