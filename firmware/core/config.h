/* Compile-time sizes and electrical limits; a board overrides them with -D. */
#ifndef LSM_CONFIG_H
#define LSM_CONFIG_H

#ifndef LSM_MAX_LEDS
#define LSM_MAX_LEDS 1024u
#endif

/* 3: red, green and blue per LED. 1: one level per LED and one colour for the whole frame. */
#ifndef LSM_FRAME_CHANNELS
#define LSM_FRAME_CHANNELS 3
#endif

/* 0 saves a second frame: what is latched cannot be read back once the frame buffer is written again. */
#ifndef LSM_KEEP_LATCHED
#define LSM_KEEP_LATCHED 1
#endif

#ifndef LSM_SEQUENCE_BYTES
#define LSM_SEQUENCE_BYTES 65536u
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

#define LSM_FIRMWARE_VERSION "0.2.0"

#endif
