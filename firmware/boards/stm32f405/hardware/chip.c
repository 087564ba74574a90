#include "registers.h"
#include "stm32f405.h"

#define HSE_MHZ 8u
#define HSI_MHZ 16u
#define HSE_TRIES 100000u /* some 30 ms at 16 MHz; a crystal takes 2 ms */

#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLL_FROM_HSE (1u << 22)
#define PLL_Q (7u << 24)
#define PLL_N (336u << 6)
#define CFGR_APB1_BY_4 (5u << 10)
#define CFGR_APB2_BY_2 (4u << 13)
#define CFGR_TO_PLL 2u
#define CFGR_ON_PLL (2u << 2)
#define ACR_WAIT_5 5u /* for 168 MHz at 3.3 V */
#define ACR_CACHES (7u << 8)

#define AHB1_GPIOA (1u << 0)
#define AHB1_GPIOB (1u << 1)
#define APB1_TIM2 (1u << 0)
#define APB2_USART1 (1u << 4)
#define APB2_SPI1 (1u << 12)
#define APB2_SYSCFG (1u << 14)

#define KEY_UNLOCK 0x5555u
#define KEY_RELOAD 0xAAAAu
#define KEY_START 0xCCCCu
#define WATCHDOG_BY_32 3u
#define WATCHDOG_TICKS 4095u

/* The timers of bus 1 run at twice its 42 MHz. */
const uint32_t chip_ticks_per_us = 84u;

/* 4.1 s of the 32 kHz oscillator, 2.8 s at its fastest: more than erasing a flash sector takes (2 s). */
static void watchdog_start(void) {
    IWDG_KR = KEY_START;
    IWDG_KR = KEY_UNLOCK;
    IWDG_PR = WATCHDOG_BY_32;
    IWDG_RLR = WATCHDOG_TICKS;
    IWDG_KR = KEY_RELOAD;
}

void chip_kick(void) {
    IWDG_KR = KEY_RELOAD;
}

/* 168 MHz from the crystal, or from the internal oscillator where there is none. Of the loops that wait for the
 * chip only the watchdog is the bound. */
static void clock_tree_start(void) {
    uint32_t tries = 0;
    RCC_CR |= CR_HSEON;
    while ((RCC_CR & CR_HSERDY) == 0 && tries < HSE_TRIES) {
        tries++;
    }
    RCC_PLLCFGR = tries < HSE_TRIES ? PLL_Q | PLL_N | PLL_FROM_HSE | HSE_MHZ : PLL_Q | PLL_N | HSI_MHZ;
    RCC_CR |= CR_PLLON;
    while ((RCC_CR & CR_PLLRDY) == 0) {
    }
    FLASH_ACR = ACR_CACHES | ACR_WAIT_5;
    RCC_CFGR = CFGR_APB1_BY_4 | CFGR_APB2_BY_2 | CFGR_TO_PLL;
    while ((RCC_CFGR & CFGR_ON_PLL) == 0) {
    }
}

/* Two bits of mode, two of pull and four of alternate function per pin. */
static void pins_assign(void) {
    const uint32_t alternate = 2u << 10 | 2u << 14 | 2u << 18 | 2u << 20; /* PA5, PA7, PA9, PA10 */
    GPIOA_MODER |= alternate;
    GPIOA_OSPEEDR |= alternate;
    GPIOA_PUPDR |= 2u << 0 | 2u << 2 | 1u << 20; /* triggers down: an unplugged cable gives no edges; RX up */
    GPIOA_AFRL |= 5u << 20 | 5u << 28;
    GPIOA_AFRH |= 7u << 4 | 7u << 8;
    GPIOB_MODER = (GPIOB_MODER & ~0xFu) | 1u << 0 | 1u << 2;
}

void chip_start(void) {
    watchdog_start();
    clock_tree_start();
    RCC_AHB1ENR |= AHB1_GPIOA | AHB1_GPIOB;
    RCC_APB1ENR |= APB1_TIM2;
    RCC_APB2ENR |= APB2_USART1 | APB2_SPI1 | APB2_SYSCFG;
    (void)RCC_APB2ENR; /* a peripheral answers two bus clocks after it has been switched on */
    pins_assign();
}
