# make avr_mega, avr_mega_mono: the ATmega2560 with three levels per LED, or one level and one colour.
# make avr_harness: the program that runs them on this machine, with libsimavr.

AVR_CC ?= avr-gcc
AVR_SIZE ?= avr-size
PYTHON ?= python3
AVR_SOURCES := $(sort $(wildcard core/*.c boards/avr_mega/*.c))
AVR_INPUTS := $(AVR_SOURCES) $(wildcard core/*.h hal/*.h boards/avr_mega/*.h) boards/avr_mega/board.mk size_budget.py
# gnu99: constants in flash have an address space of their own there
AVR_FLAGS := -std=gnu99 -Wall -Wextra -Werror -Wconversion -mmcu=atmega2560 -DF_CPU=16000000UL -Os -g -flto \
	-ffunction-sections -fdata-sections -Wl,--gc-sections -Icore -Ihal -Iboards/avr_mega \
	-DLSM_MAX_LEDS=1024u -DLSM_KEEP_LATCHED=0 -DLSM_MAX_FRAME=240u -DLSM_RX_WINDOW=250u
# a pattern of 1024 LEDs in one bit takes 128 bytes: 18 and 26 of them
AVR_COLOUR := -DLSM_FRAME_CHANNELS=3 -DLSM_SEQUENCE_BYTES=2304u
AVR_MONO := -DLSM_FRAME_CHANNELS=1 -DLSM_SEQUENCE_BYTES=3328u

.PHONY: avr_mega avr_mega_mono avr_harness

avr_mega: $(BUILD)/lsm-avr_mega.elf
	@$(PYTHON) size_budget.py $@ $(AVR_SIZE) $< 32768 7168

avr_mega_mono: $(BUILD)/lsm-avr_mega_mono.elf
	@$(PYTHON) size_budget.py $@ $(AVR_SIZE) $< 32768 6144

$(BUILD)/lsm-avr_mega.elf: $(AVR_INPUTS)
	mkdir -p $(BUILD)
	$(AVR_CC) $(AVR_FLAGS) $(AVR_COLOUR) $(AVR_SOURCES) -o $@

$(BUILD)/lsm-avr_mega_mono.elf: $(AVR_INPUTS)
	mkdir -p $(BUILD)
	$(AVR_CC) $(AVR_FLAGS) $(AVR_MONO) $(AVR_SOURCES) -o $@

avr_harness: $(BUILD)/lsm-avr-harness

$(BUILD)/lsm-avr-harness: $(wildcard sim/*.[ch] hal/*.h core/*.h boards/native/native.h) boards/native/port.c \
		boards/avr_mega/board.mk
	mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(CFLAGS) -Icore -Ihal -Iboards/native -isystem /usr/include/simavr $(sort $(wildcard sim/*.c)) \
		boards/native/port.c -lsimavr -lelf -o $@
