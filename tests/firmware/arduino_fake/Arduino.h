// As much of the Arduino interface as the library uses, for compiling and running it on this machine.
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <string>

#define HIGH 1
#define LOW 0
#define INPUT_PULLUP 2
#define OUTPUT 1
#define RISING 3
#define FALLING 2
#define CHANGE 4
#define MSBFIRST 1
#define digitalPinToInterrupt(pin) (pin)

uint32_t millis();
uint32_t micros();
void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t level);
void attachInterrupt(uint8_t line, void (*handler)(), int mode);
void detachInterrupt(uint8_t line);

// A host that reads `room` bytes, then stops.
class Stream {
 public:
  std::string incoming;
  std::string outgoing;
  size_t room = 1 << 20;

  void begin(unsigned long) {}
  int available() { return (int)incoming.size(); }
  int read() {
    int byte = (uint8_t)incoming[0];
    incoming.erase(0, 1);
    return byte;
  }
  int availableForWrite() { return (int)(room < 64 ? room : 64); }
  size_t write(const uint8_t *bytes, size_t count) {
    outgoing.append((const char *)bytes, count);
    room -= count;
    return count;
  }
};
extern Stream Serial;

#if defined(ARDUINO_ARCH_RP2040)
struct Rp2040 {
  void wdt_begin(uint32_t) {}
  void wdt_reset() {}
};
extern Rp2040 rp2040;
#elif defined(ESP32)
#define IRAM_ATTR __attribute__((section(".iram1")))
inline void enableLoopWDT() {}
#elif defined(__IMXRT1062__)
extern volatile uint16_t WDOG1_WCR, WDOG1_WSR;
#define WDOG_WCR_WDA (1u << 5)
#define WDOG_WCR_SRS (1u << 4)
#define WDOG_WCR_WDE (1u << 2)
#endif

#endif
