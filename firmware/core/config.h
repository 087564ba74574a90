/* Compile-time sizes and electrical limits; a board overrides them with -D. */
#ifndef LSM_CONFIG_H
#define LSM_CONFIG_H

#ifndef LSM_MAX_LEDS
#define LSM_MAX_LEDS 1024u
#endif

/* Supply current of one LED channel at full drive. */
#ifndef LSM_CHANNEL_MA
#define LSM_CHANNEL_MA 20u
#endif

/* Share of full white, in thousandths: what a board may draw after HELLO, and what SET_LIMIT may allow. */
#ifndef LSM_DEFAULT_PERMILLE
#define LSM_DEFAULT_PERMILLE 300u
#endif
#ifndef LSM_CEILING_PERMILLE
#define LSM_CEILING_PERMILLE 600u
#endif

#define LSM_FIRMWARE_VERSION "0.1.0"

#endif
