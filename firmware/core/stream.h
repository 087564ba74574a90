/* Cuts the byte stream into frames (00 ... 00) and text lines (... \n). */
#ifndef LSM_STREAM_H
#define LSM_STREAM_H

#include "core.h"

void lsm_stream_byte(struct lsm_core *core, uint8_t byte);

/* Forgets a frame or line whose rest has not come, so that a host that died inside a frame
 * does not deafen the board to the next host's text. */
void lsm_stream_idle(struct lsm_stream *stream, uint32_t now_ms);

#endif
