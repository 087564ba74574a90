/* The LED board as a process: its USB plug is a pseudo-terminal or a TCP port, its LED lane a file. */
#ifndef LSM_NATIVE_H
#define LSM_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "hal.h"

/* Each returns a readable reason, or NULL. */
const char *port_open_pty(const char *link_path);
const char *port_open_tcp(uint16_t tcp_port);
const char *frames_open(const char *path);

/* The configuration's place; without one nothing is kept. */
void config_place(const char *path);

/* Bench commands on standard input, one a line, each answered on standard output when it is done:
 * `edges PIN COUNT PERIOD_US` puts short pulses on a trigger input and is done when the core has acted on the last.
 * Called once per round of the main loop; returns whether edges wait for their time. */
bool bench_tick(struct lsm_core *core);

/* What a host connects to: the link's path, or the TCP port as text. */
const char *port_name(void);

/* Waits up to `wait_ms` for bytes from the host. Returns how many were read. */
size_t port_read(uint8_t *bytes, size_t room, int wait_ms);
void port_close(void);

/* Whether the last LED frame has light in it. */
bool frames_lit(void);

#endif
