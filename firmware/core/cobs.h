/* Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zero byte inside a frame. */
#ifndef LSM_COBS_H
#define LSM_COBS_H

#include <stddef.h>
#include <stdint.h>

#define LSM_COBS_SIZE(count) ((count) + (count) / 254u + 1u)

/* Encoded length; `out` holds LSM_COBS_SIZE(count) bytes and does not overlap `in`. */
size_t lsm_cobs_encode(const uint8_t *in, size_t count, uint8_t *out);

/* Decodes in place. Returns the decoded length, or 0 for bytes that are no COBS. */
size_t lsm_cobs_decode(uint8_t *bytes, size_t count);

#endif
