# make stm32f405: the board for its chip. make stm32f405_emulated: the same for QEMU's netduinoplus2.

ARM_CC ?= arm-none-eabi-gcc
ARM_SIZE ?= arm-none-eabi-size
PYTHON ?= python3
STM32 := boards/stm32f405
STM32_SOURCES := $(sort $(wildcard core/*.c $(STM32)/*.c))
STM32_INPUTS := $(wildcard core/*.[ch] hal/*.h $(STM32)/*.[ch] $(STM32)/*/*.c) $(STM32)/stm32f405.ld \
	$(STM32)/board.mk size_budget.py
# no-tree-loop-distribute-patterns: the loops of startup.c must not become calls before memory is ready
STM32_FLAGS := -std=c99 -pedantic -Wall -Wextra -Werror -Wconversion -Wshadow -mcpu=cortex-m4 -mthumb -Os -g \
	-ffunction-sections -fdata-sections -Wl,--gc-sections -fno-tree-loop-distribute-patterns \
	-nostartfiles --specs=nano.specs -T $(STM32)/stm32f405.ld -Icore -Ihal -I$(STM32) -DLSM_MAX_LEDS=1024u

.PHONY: stm32f405 stm32f405_emulated

stm32f405 stm32f405_emulated: %: $(BUILD)/lsm-%.elf
	@$(PYTHON) size_budget.py $@ $(ARM_SIZE) $< 65536 114688

$(BUILD)/lsm-stm32f405.elf: $(STM32_INPUTS)
	mkdir -p $(BUILD)
	$(ARM_CC) $(STM32_FLAGS) $(STM32_SOURCES) $(sort $(wildcard $(STM32)/hardware/*.c)) -o $@

$(BUILD)/lsm-stm32f405_emulated.elf: $(STM32_INPUTS)
	mkdir -p $(BUILD)
	$(ARM_CC) $(STM32_FLAGS) $(STM32_SOURCES) $(sort $(wildcard $(STM32)/emulated/*.c)) -o $@
