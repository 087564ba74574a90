// Runs a sketch: text from standard input goes to its serial port, what it answers comes back. Lines of its own:
//   !edge     calls the handler of the first interrupt that is attached
//   !frame    prints the number of lit LEDs of the last APA102 frame, and the lane's clock
//   !deaf     the host stops reading; then prints the milliseconds that answering "about" takes
#include <SPI.h>
#include <EEPROM.h>
#include <time.h>

#include <iostream>

void setup();
void loop();

Stream Serial;
SpiPort SPI;
Eeprom EEPROM;
#if defined(ARDUINO_ARCH_RP2040)
Rp2040 rp2040;
#elif defined(__IMXRT1062__)
volatile uint16_t WDOG1_WCR, WDOG1_WSR;
#endif

static void (*attached)();

uint32_t micros() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000000 + now.tv_nsec / 1000);
}
uint32_t millis() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}
void pinMode(uint8_t, uint8_t) {}
void digitalWrite(uint8_t, uint8_t) {}
void attachInterrupt(uint8_t, void (*handler)(), int) { attached = handler; }
void detachInterrupt(uint8_t) { attached = nullptr; }

static void turn(int count) {
  for (int i = 0; i < count; i++) {
    loop();
  }
}

static int lit() {
  int count = 0;
  for (size_t i = 4; i + 4 <= SPI.frame.size() && (uint8_t)SPI.frame[i] == 0xFF; i += 4) {
    count += SPI.frame[i + 1] || SPI.frame[i + 2] || SPI.frame[i + 3];
  }
  return count;
}

int main() {
  setup();
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line == "!edge" && attached) {
      attached();
      turn(10);
    } else if (line == "!frame") {
      std::cout << "lit " << lit() << " at " << SPI.hz << "\n";
    } else if (line == "!deaf") {
      Serial.room = 10;
      Serial.incoming = "about\nabout\nabout\nabout\nabout\n";
      uint32_t start_ms = millis();
      turn(100);
      std::cout << "deaf " << millis() - start_ms << "\n";
    } else {
      Serial.incoming = line + "\n";
      turn(100);
      std::cout << Serial.outgoing;
      Serial.outgoing.clear();
    }
  }
}
