/* Generated from protocol.toml by generate.py; edit that file. */
#ifndef LSM_PROTOCOL_H
#define LSM_PROTOCOL_H

#define LSM_PROTOCOL_VERSION 2u
#ifndef LSM_MAX_FRAME
#define LSM_MAX_FRAME 2048u
#endif
#ifndef LSM_RX_WINDOW
#define LSM_RX_WINDOW 4096u
#endif
#ifndef LSM_HISTORY
#define LSM_HISTORY 8u
#endif
#ifndef LSM_WATCHDOG_DEFAULT_MS
#define LSM_WATCHDOG_DEFAULT_MS 2000u
#endif
#ifndef LSM_WATCHDOG_CEILING_MS
#define LSM_WATCHDOG_CEILING_MS 60000u
#endif
#ifndef LSM_TEXT_WATCHDOG_MS
#define LSM_TEXT_WATCHDOG_MS 60000u
#endif
#ifndef LSM_SEQUENCE_CEILING_MS
#define LSM_SEQUENCE_CEILING_MS 3600000u
#endif
#ifndef LSM_STREAM_IDLE_MS
#define LSM_STREAM_IDLE_MS 250u
#endif
#ifndef LSM_SCALE_ONE
#define LSM_SCALE_ONE 65536u
#endif
#ifndef LSM_TEXT_SEQUENCE_MS
#define LSM_TEXT_SEQUENCE_MS 600000u
#endif
#ifndef LSM_LEDS_PER_GEOMETRY
#define LSM_LEDS_PER_GEOMETRY 64u
#endif
#ifndef LSM_TRIGGER_PINS
#define LSM_TRIGGER_PINS 2u
#endif
#ifndef LSM_PULSE_CEILING_US
#define LSM_PULSE_CEILING_US 1000000u
#endif
#ifndef LSM_NO_PATTERN
#define LSM_NO_PATTERN 65535u
#endif

#define LSM_CMD_PING 0x01u
#define LSM_CMD_HELLO 0x02u
#define LSM_CMD_STATUS 0x03u
#define LSM_CMD_STOP 0x04u
#define LSM_CMD_FB_WRITE 0x10u
#define LSM_CMD_SHOW 0x11u
#define LSM_CMD_FB_READ 0x12u
#define LSM_CMD_FB_FILL 0x13u
#define LSM_CMD_FB_SPARSE 0x14u
#define LSM_CMD_GEOM_READ 0x18u
#define LSM_CMD_SET_LIMIT 0x19u
#define LSM_CMD_WATCHDOG 0x1Au
#define LSM_CMD_CFG_SAVE 0x1Bu
#define LSM_CMD_SEQ_BEGIN 0x20u
#define LSM_CMD_SEQ_DATA 0x21u
#define LSM_CMD_SEQ_COMMIT 0x22u
#define LSM_CMD_SEQ_ARM 0x23u
#define LSM_CMD_SEQ_STATUS 0x24u
#define LSM_CMD_SEQ_STEP 0x25u
#define LSM_CMD_TRIG_IN 0x28u
#define LSM_CMD_TRIG_OUT 0x29u
#define LSM_CMD_NAK 0x7Fu

#define LSM_STATUS_OK 0u
#define LSM_STATUS_CRC 1u
#define LSM_STATUS_LENGTH 2u
#define LSM_STATUS_RANGE 3u
#define LSM_STATUS_UNKNOWN 4u
#define LSM_STATUS_BUSY 5u
#define LSM_STATUS_NOT_ARMED 6u
#define LSM_STATUS_MEMORY 7u
#define LSM_STATUS_LIMITED 8u
#define LSM_STATUS_FAULT 9u
#define LSM_STATUS_VERSION 10u

#define LSM_FLAG_LIT 0x01u
#define LSM_FLAG_LIMITED 0x02u
#define LSM_FLAG_LIVE 0x04u
#define LSM_FLAG_SHUTTER_CLOSED 0x08u
#define LSM_FLAG_CONFIG_DEFAULTS 0x10u

#define LSM_BANK_FRAME_BUFFER 0u
#define LSM_BANK_LATCHED 1u

#define LSM_SEQUENCE_STATE_IDLE 0u
#define LSM_SEQUENCE_STATE_ARMED 1u
#define LSM_SEQUENCE_STATE_UPDATING 2u
#define LSM_SEQUENCE_STATE_EXPOSING 3u
#define LSM_SEQUENCE_STATE_DONE 4u
#define LSM_SEQUENCE_STATE_FAULT 5u

#define LSM_TRIGGER_WHEN_NEVER 0u
#define LSM_TRIGGER_WHEN_PATTERN 1u
#define LSM_TRIGGER_WHEN_START 2u
#define LSM_TRIGGER_WHEN_END 3u

#define LSM_TEXT_UNKNOWN 1u
#define LSM_TEXT_ARGUMENT_COUNT 2u
#define LSM_TEXT_NOT_A_NUMBER 3u
#define LSM_TEXT_RANGE 4u
#define LSM_TEXT_LINE_TOO_LONG 5u
#define LSM_TEXT_NOT_TEXT 6u
#define LSM_TEXT_BUSY 7u
#define LSM_TEXT_MEMORY 8u

/* Each request that a host may send: name, name of its function, whether it changes anything. */
#define LSM_COMMANDS(X)              \
    X(PING, ping, false)             \
    X(HELLO, hello, false)           \
    X(STATUS, status, false)         \
    X(STOP, stop, false)             \
    X(FB_WRITE, fb_write, true)      \
    X(SHOW, show, true)              \
    X(FB_READ, fb_read, false)       \
    X(FB_FILL, fb_fill, true)        \
    X(FB_SPARSE, fb_sparse, true)    \
    X(GEOM_READ, geom_read, false)   \
    X(SET_LIMIT, set_limit, true)    \
    X(WATCHDOG, watchdog, true)      \
    X(CFG_SAVE, cfg_save, true)      \
    X(SEQ_BEGIN, seq_begin, true)    \
    X(SEQ_DATA, seq_data, true)      \
    X(SEQ_COMMIT, seq_commit, true)  \
    X(SEQ_ARM, seq_arm, true)        \
    X(SEQ_STATUS, seq_status, false) \
    X(SEQ_STEP, seq_step, true)      \
    X(TRIG_IN, trig_in, true)        \
    X(TRIG_OUT, trig_out, true)

#endif
