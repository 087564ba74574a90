// Without a host: four half discs on a board of 16 x 16 LEDs, stepped by a camera.
//
// Each rising edge on pin 2 shows the next pattern. When it has latched, pin 4 gives a pulse of 100 us, which may
// start the camera's exposure. A host that greets the board ends this and takes over.
#include <LsmBoard.h>

static const uint16_t SIDE = 16;
static const uint32_t PATTERN_BYTES = SIDE * SIDE / 8;

static const lsm_board BOARD = {
    "my LED board", SIDE, SIDE, 3000, 50000, {630, 530, 470}, 1, LSM_LANE_APA102, 2, 2,
};
static const LsmPins PINS = {{2, 3}, {4, 5}};

static LsmBoard led;

// LEDs are counted row by row; one bit each, the first LED in the lowest bit.
static bool lit(uint8_t pattern, uint16_t row, uint16_t column) {
  switch (pattern) {
    case 0: return column < SIDE / 2;
    case 1: return column >= SIDE / 2;
    case 2: return row < SIDE / 2;
    default: return row >= SIDE / 2;
  }
}

static void store(lsm_core &core) {
  static const uint8_t GREEN[3] = {0, 64, 0};
  uint8_t bytes[PATTERN_BYTES];
  lsm_sequence_begin(&core, 4, 1, GREEN);
  for (uint8_t pattern = 0; pattern < 4; pattern++) {
    memset(bytes, 0, sizeof bytes);
    for (uint16_t i = 0; i < SIDE * SIDE; i++) {
      if (lit(pattern, i / SIDE, i % SIDE)) {
        bytes[i / 8] |= 1 << (i % 8);
      }
    }
    lsm_sequence_data(&core, pattern * PATTERN_BYTES, bytes, sizeof bytes);
  }
  lsm_sequence_commit(&core, lsm_sequence_crc(&core.sequence));
}

static void arm(lsm_core &core) {
  lsm_trigger_in in = {};
  in.edge = LSM_EDGE_RISING;
  in.debounce_us = 1000;
  in.steps = true;
  lsm_trigger_set_in(&core.trigger, &BOARD, 0, &in);
  lsm_trigger_out out = {};
  out.high = true;
  out.width_us = 100;
  out.when = LSM_TRIGGER_WHEN_PATTERN;
  lsm_trigger_set_out(&core.trigger, &BOARD, 0, &out);
  lsm_sequence_plan plan = {};
  plan.at_first_step = true;
  plan.longest_ms = 600000;  // dark after ten minutes, whatever the camera does
  lsm_sequence_arm(&core, &plan);
}

void setup() {
  Serial.begin(1000000);
  led.begin(BOARD, Serial, PINS);
  store(led.core());
  arm(led.core());
}

void loop() {
  led.run();
}
