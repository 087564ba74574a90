#include "link.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "commands.h"

#define REPLY_BIT 0x80u
#define HEAD 3u /* seq, command, status */

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

static void obey(struct lsm_core *core, struct lsm_request *request, const uint8_t *payload, size_t count) {
    struct lsm_link *link = &core->link;
    const struct lsm_command *command = lsm_command_find(request->command);
    struct lsm_request *earlier = find(link, request->seq);
    bool mutates = command != NULL && command->mutates;
    begin(link, request->seq, request->command, LSM_STATUS_UNKNOWN);
    if (mutates && earlier != NULL) {
        if (earlier->kept && earlier->crc == request->crc && earlier->command == request->command) {
            answer_again(link, earlier);
            return;
        }
        link->reply[2] = LSM_STATUS_FAULT;
    } else if (mutates && !core->watchdog.greeted) {
        link->reply[2] = LSM_STATUS_NOT_ARMED;
    } else if (command != NULL) {
        link->reply[2] = command->run(core, payload, count);
        request->kept = mutates && link->reply_count - 2 <= LSM_KEPT_REPLY;
        remember(link, request);
    }
    send(link);
}

bool lsm_link_frame(struct lsm_core *core, uint8_t *bytes, size_t count) {
    size_t length = lsm_cobs_decode(bytes, count);
    if (length < 4 || length > LSM_MAX_FRAME) {
        return false;
    }
    uint16_t crc = lsm_crc16(bytes, length - 2);
    if (crc != lsm_get_u16(bytes + length - 2)) {
        return false;
    }
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
}
