#include "stream.h"

#include "link.h"
#include "text.h"

static void restart(struct lsm_stream *stream, bool in_frame) {
    stream->count = 0;
    stream->in_frame = in_frame;
    stream->not_text = false;
    stream->refused = false;
    stream->overflow = false;
}

/* A valid frame counts even where its leading zero was lost. After anything else outside a frame
 * this zero may be the leading one. */
static void end_of_frame(struct lsm_core *core) {
    struct lsm_stream *stream = &core->stream;
    bool was_frame = stream->in_frame;
    if (stream->count == 0 && !stream->overflow) {
        restart(stream, true);
        return;
    }
    bool valid = !stream->overflow && lsm_link_frame(core, stream->bytes, stream->count);
    if (!valid && was_frame) {
        lsm_link_damaged(core);
    }
    restart(stream, !valid && !was_frame);
}

static void end_of_line(struct lsm_core *core) {
    struct lsm_stream *stream = &core->stream;
    if (stream->overflow) {
        lsm_text_error(LSM_TEXT_LINE_TOO_LONG);
    } else {
        while (stream->count > 0 && stream->bytes[stream->count - 1] == '\r') {
            stream->count--;
        }
        stream->bytes[stream->count] = 0;
        lsm_text_line(core, (char *)stream->bytes);
    }
    restart(stream, false);
}

static void keep(struct lsm_stream *stream, uint8_t byte) {
    if (stream->count + 1 < sizeof stream->bytes) {
        stream->bytes[stream->count++] = byte;
    } else {
        stream->overflow = true;
    }
}

/* Only the first such line is answered: the rest is probably a frame whose leading zero was lost. */
static void outside_a_frame(struct lsm_stream *stream, uint8_t byte) {
    if (stream->not_text && byte == '\n' && !stream->refused) {
        stream->refused = true;
        lsm_text_error(LSM_TEXT_NOT_TEXT);
    }
    stream->not_text = stream->not_text || ((byte < 0x20 || byte > 0x7E) && byte != '\r');
}

void lsm_stream_byte(struct lsm_core *core, uint8_t byte) {
    struct lsm_stream *stream = &core->stream;
    stream->byte_ms = hal_now_ms();
    if (byte == 0) {
        end_of_frame(core);
        return;
    }
    if (stream->in_frame) {
        keep(stream, byte);
    } else if (byte == '\n' && !stream->not_text) {
        end_of_line(core);
    } else {
        keep(stream, byte);
        outside_a_frame(stream, byte);
    }
}

void lsm_stream_idle(struct lsm_stream *stream, uint32_t now_ms) {
    if ((stream->in_frame || stream->not_text) && now_ms - stream->byte_ms >= LSM_STREAM_IDLE_MS) {
        restart(stream, false);
    }
}
