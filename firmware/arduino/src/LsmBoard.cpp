#include "LsmBoard.h"

#include <EEPROM.h>
#include <SPI.h>

#if defined(ESP32) || defined(ARDUINO_ARCH_RP2040)
#define LSM_EEPROM_IN_FLASH 1 /* a copy in RAM that begin() reads and commit() writes */
#else
#define LSM_EEPROM_IN_FLASH 0
#endif

#ifndef IRAM_ATTR
#define IRAM_ATTR
#endif

static const uint32_t APA102_HZ = 8000000;
static const uint32_t WS2812_HZ = 2800000; /* core/lane.c sends four line bits per bit */
static const size_t EEPROM_BYTES = 256;
static const uint32_t HOST_STALL_MS = 20;

static lsm_core state;
static lsm_board wanted;
static Stream *host;
static LsmPins pins;
static lsm_edge edges[2] = {LSM_EDGE_NONE, LSM_EDGE_NONE};

/* One second or so, by the chip's own watchdog. */
static void watchdogBegin() {
#if defined(ARDUINO_ARCH_RP2040)
    rp2040.wdt_begin(1000);
#elif defined(ESP32)
    enableLoopWDT(); /* its period is the core's: 5 s; loop() returning feeds it */
#elif defined(__IMXRT1062__)
    WDOG1_WCR = WDOG_WCR_WDA | WDOG_WCR_SRS | WDOG_WCR_WDE | (1u << 8); /* two half seconds */
#endif
}

static void watchdogKick() {
#if defined(ARDUINO_ARCH_RP2040)
    rp2040.wdt_reset();
#elif defined(__IMXRT1062__)
    WDOG1_WSR = 0x5555;
    WDOG1_WSR = 0xAAAA;
#endif
}

static void IRAM_ATTR edgeOnPin0() {
    lsm_trigger_edge(&state, 0);
}

static void IRAM_ATTR edgeOnPin1() {
    lsm_trigger_edge(&state, 1);
}

/* RISING and its like are numbers in one Arduino core and an enumeration in the next. */
static void listen(uint8_t pin) {
    uint8_t line = digitalPinToInterrupt(pins.trigger_in[pin]);
    void (*handler)() = pin == 0 ? edgeOnPin0 : edgeOnPin1;
    if (edges[pin] == LSM_EDGE_RISING) {
        attachInterrupt(line, handler, RISING);
    } else if (edges[pin] == LSM_EDGE_FALLING) {
        attachInterrupt(line, handler, FALLING);
    } else if (edges[pin] == LSM_EDGE_BOTH) {
        attachInterrupt(line, handler, CHANGE);
    }
}

static void listenToNothing(uint8_t pin) {
    detachInterrupt(digitalPinToInterrupt(pins.trigger_in[pin]));
}

extern "C" {

uint32_t hal_now_ms(void) {
    return millis();
}

uint32_t hal_now_us(void) {
    return micros();
}

/* A port whose host has stopped reading is given one chance to move, and none again until it has moved. */
void hal_write(const uint8_t *bytes, size_t count) {
    static bool stalled = false;
    uint32_t moved_ms = millis();
    while (count > 0) {
        int room = host->availableForWrite();
        if (room > 0) {
            size_t size = (size_t)room < count ? (size_t)room : count;
            host->write(bytes, size);
            bytes += size;
            count -= size;
            stalled = false;
            moved_ms = millis();
            watchdogKick();
        } else if (stalled || millis() - moved_ms >= HOST_STALL_MS) {
            stalled = true;
            return;
        }
    }
}

void hal_led_begin(void) {
    SPI.beginTransaction(
        SPISettings(wanted.lane == LSM_LANE_WS2812 ? WS2812_HZ : APA102_HZ, MSBFIRST, SPI_MODE0));
}

/* In small copies: the answer overwrites what was sent. */
void hal_led_write(const uint8_t *bytes, size_t count) {
    uint8_t copy[64];
    while (count > 0) {
        size_t size = count < sizeof copy ? count : sizeof copy;
        memcpy(copy, bytes, size);
        SPI.transfer(copy, size);
        bytes += size;
        count -= size;
    }
}

void hal_led_end(void) {
    SPI.endTransaction();
}

void hal_trigger_in(uint8_t pin, enum lsm_edge edge) {
    if (pin < wanted.trigger_inputs) {
        listenToNothing(pin);
        edges[pin] = edge;
        listen(pin);
    }
}

void hal_trigger_out(uint8_t pin, bool high) {
    if (pin < wanted.trigger_outputs) {
        digitalWrite(pins.trigger_out[pin], high ? HIGH : LOW);
    }
}

void hal_config_read(uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bytes[i] = i < EEPROM_BYTES ? EEPROM.read((int)i) : 0xFF;
    }
}

/* No edge may come while flash is written: the code that would take it lies in flash. */
bool hal_config_write(const uint8_t *bytes, size_t count) {
    bool kept = count <= EEPROM_BYTES;
    for (uint8_t pin = 0; pin < wanted.trigger_inputs; pin++) {
        listenToNothing(pin);
    }
    for (size_t i = 0; kept && i < count; i++) {
        if (EEPROM.read((int)i) != bytes[i]) {
            EEPROM.write((int)i, bytes[i]);
        }
    }
#if LSM_EEPROM_IN_FLASH
    kept = kept && EEPROM.commit();
#endif
    for (size_t i = 0; kept && i < count; i++) {
        kept = EEPROM.read((int)i) == bytes[i];
    }
    for (uint8_t pin = 0; pin < wanted.trigger_inputs; pin++) {
        listen(pin);
    }
    return kept;
}

} /* extern "C" */

void LsmBoard::begin(const lsm_board &board, Stream &port, const LsmPins &triggers) {
    wanted = board;
    wanted.trigger_inputs = board.trigger_inputs < 2 ? board.trigger_inputs : 2;
    wanted.trigger_outputs = board.trigger_outputs < 2 ? board.trigger_outputs : 2;
    host = &port;
    pins = triggers;
    SPI.begin();
#if LSM_EEPROM_IN_FLASH
    EEPROM.begin(EEPROM_BYTES);
#endif
    for (uint8_t pin = 0; pin < wanted.trigger_inputs; pin++) {
        pinMode(pins.trigger_in[pin], INPUT_PULLUP); /* an unplugged cable gives no edges */
    }
    for (uint8_t pin = 0; pin < wanted.trigger_outputs; pin++) {
        digitalWrite(pins.trigger_out[pin], LOW);
        pinMode(pins.trigger_out[pin], OUTPUT);
    }
    watchdogBegin();
    lsm_init(&state, &wanted);
}

void LsmBoard::run() {
    uint8_t bytes[256];
    size_t count = 0;
    watchdogKick();
    while (count < sizeof bytes && host->available() > 0) {
        bytes[count++] = (uint8_t)host->read();
    }
    lsm_receive(&state, bytes, count);
    lsm_tick(&state);
}

lsm_core &LsmBoard::core() {
    return state;
}
