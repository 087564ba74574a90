#ifndef SPI_H
#define SPI_H

#include <Arduino.h>

#define SPI_MODE0 0

struct SPISettings {
  uint32_t hz;
  SPISettings(uint32_t clock_hz, uint8_t, uint8_t) : hz(clock_hz) {}
};

struct SpiPort {
  std::string frame;  // of the last transaction
  uint32_t hz = 0;
  void begin() {}
  void beginTransaction(SPISettings settings) {
    hz = settings.hz;
    frame.clear();
  }
  void transfer(void *bytes, size_t count) {
    frame.append((const char *)bytes, count);
    memset(bytes, 0xAA, count);  // what came in
  }
  void endTransaction() {}
};
extern SpiPort SPI;

#endif
