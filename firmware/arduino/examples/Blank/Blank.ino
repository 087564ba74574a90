// A board of 32 x 32 APA102 LEDs for the host's software. Change the numbers to those of your board.
#include <LsmBoard.h>

static const lsm_board BOARD = {
    "my LED board",    // name
    32, 32,            // rows, columns
    3000, 50000,       // pitch and distance to the sample in micrometres
    {630, 530, 470},   // wavelengths of red, green and blue in nanometres
    1,                 // serial number
    LSM_LANE_APA102,   // or LSM_LANE_WS2812
    2, 2,              // trigger inputs and outputs
};
static const LsmPins PINS = {{2, 3}, {4, 5}};

static LsmBoard led;

void setup() {
  Serial.begin(1000000);
  led.begin(BOARD, Serial, PINS);
}

void loop() {
  led.run();
}
