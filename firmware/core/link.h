/* Binary frames: checked, recognised when repeated, answered. */
#ifndef LSM_LINK_H
#define LSM_LINK_H

#include "core.h"

/* Obeys and answers one frame; decodes in place. Returns false for bytes that are no valid frame. */
bool lsm_link_frame(struct lsm_core *core, uint8_t *bytes, size_t count);

/* Counts a damaged frame and tells the host. */
void lsm_link_damaged(struct lsm_core *core);

/* Append to the answer of the command that runs. */
void lsm_reply_u8(struct lsm_core *core, uint8_t value);
void lsm_reply_u16(struct lsm_core *core, uint16_t value);
void lsm_reply_u32(struct lsm_core *core, uint32_t value);
void lsm_reply_bytes(struct lsm_core *core, const uint8_t *bytes, size_t count);

/* HELLO begins a new numbering. */
void lsm_link_forget(struct lsm_link *link);

#endif
