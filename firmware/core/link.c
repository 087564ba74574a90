#include "link.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "commands.h"

#define REPLY_BIT 0x80u
#define HEAD 3u /* seq, command, status */

void lsm_reply_bytes(struct lsm_core *core, const uint8_t *bytes, size_t count) {
    memcpy(core->link.reply + core->link.reply_count, bytes, count);
    core->link.reply_count += count;
}

void lsm_reply_u8(struct lsm_core *core, uint8_t value) {
    core->link.reply[core->link.reply_count++] = value;
}

void lsm_reply_u16(struct lsm_core *core, uint16_t value) {
    lsm_set_u16(core->link.reply + core->link.reply_count, value);
    core->link.reply_count += 2;
}

void lsm_reply_u32(struct lsm_core *core, uint32_t value) {
    lsm_set_u32(core->link.reply + core->link.reply_count, value);
    core->link.reply_count += 4;
}

static void send(struct lsm_link *link) {
    lsm_set_u16(link->reply + link->reply_count, lsm_crc16(link->reply, link->reply_count));
    size_t length = lsm_cobs_encode(link->reply, link->reply_count + 2, link->encoded + 1);
    link->encoded[0] = 0;
    link->encoded[length + 1] = 0;
    hal_write(link->encoded, length + 2);
}

static void begin(struct lsm_link *link, uint8_t seq, uint8_t command, uint8_t status) {
    link->reply[0] = seq;
    link->reply[1] = command | REPLY_BIT;
    link->reply[2] = status;
    link->reply_count = HEAD;
}

static struct lsm_request *find(struct lsm_link *link, uint8_t seq) {
    for (size_t i = 0; i < LSM_HISTORY; i++) {
        if (link->history[i].used && link->history[i].seq == seq) {
            return &link->history[i];
        }
    }
    return NULL;
}

static void answer_again(struct lsm_link *link, const struct lsm_request *earlier) {
    memcpy(link->reply + 2, earlier->reply, earlier->reply_count);
    link->reply_count = 2u + earlier->reply_count;
    send(link);
}

static void remember(struct lsm_link *link, const struct lsm_request *request) {
    struct lsm_request *slot = find(link, request->seq);
    if (slot == NULL) {
        slot = &link->history[link->history_next];
        link->history_next = (uint8_t)((link->history_next + 1u) % LSM_HISTORY);
    }
    *slot = *request;
    slot->used = true;
    slot->reply_count = 0;
    if (slot->kept) {
        slot->reply_count = (uint8_t)(link->reply_count - 2);
        memcpy(slot->reply, link->reply + 2, slot->reply_count);
    }
}

/* How many requests this one is behind the newest; 0 for the newest itself and for any later one. */
static uint8_t age(struct lsm_link *link, uint8_t seq) {
    uint8_t ahead = (uint8_t)(seq - link->newest);
    if (!link->numbered || ahead < 128u) {
        link->newest = seq;
        link->numbered = true;
        return 0;
    }
    return (uint8_t)(0u - ahead);
}

/* A request that is neither in the history nor newer may have been executed and forgotten: it is refused. */
static uint8_t execute(struct lsm_core *core, const struct lsm_command *command, struct lsm_request *request,
                       const uint8_t *payload, size_t count) {
    bool stale = age(&core->link, request->seq) >= LSM_HISTORY;
    if (command->changes && (stale || find(&core->link, request->seq) != NULL)) {
        return LSM_STATUS_FAULT;
    }
    if (command->changes && !core->watchdog.greeted) {
        return LSM_STATUS_NOT_ARMED;
    }
#ifdef LSM_TRACE
    hal_trace(request->seq, request->command, request->crc);
#endif
    uint8_t status = command->run(core, payload, count);
    core->link.reply[2] = status;
    request->kept = command->changes && core->link.reply_count - 2u <= LSM_KEPT_REPLY;
    if (!stale) {
        remember(&core->link, request);
    }
    return status;
}

static void obey(struct lsm_core *core, struct lsm_request *request, const uint8_t *payload, size_t count) {
    struct lsm_link *link = &core->link;
    struct lsm_command command;
    begin(link, request->seq, request->command, LSM_STATUS_UNKNOWN);
    if (lsm_command_find(request->command, &command)) {
        const struct lsm_request *earlier = find(link, request->seq);
        if (command.changes && earlier != NULL && earlier->kept && earlier->crc == request->crc &&
            earlier->command == request->command) {
            answer_again(link, earlier);
            return;
        }
        link->reply[2] = execute(core, &command, request, payload, count);
    }
    send(link);
}

bool lsm_link_frame(struct lsm_core *core, uint8_t *bytes, size_t count) {
    size_t length = lsm_cobs_decode(bytes, count);
    if (length < 4 || length > LSM_MAX_FRAME) {
        return false;
    }
    uint16_t crc = lsm_crc16(bytes, length - 2);
#ifndef LSM_FUZZ_WITHOUT_CRC /* lets a fuzzer past the check */
    if (crc != lsm_get_u16(bytes + length - 2)) {
        return false;
    }
#endif
    core->link.frames++;
    lsm_watchdog_frame(&core->watchdog, hal_now_ms());
    struct lsm_request request = {.seq = bytes[0], .command = bytes[1], .crc = crc};
    obey(core, &request, bytes + 2, length - 4);
    return true;
}

void lsm_link_damaged(struct lsm_core *core) {
    core->link.damaged++;
    begin(&core->link, 0, LSM_CMD_NAK, LSM_STATUS_CRC);
    send(&core->link);
}

void lsm_link_forget(struct lsm_link *link) {
    memset(link->history, 0, sizeof link->history);
    link->history_next = 0;
    link->numbered = false;
}
