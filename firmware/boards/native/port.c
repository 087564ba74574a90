#define _XOPEN_SOURCE 700 /* posix_openpt and friends */
#define _DEFAULT_SOURCE   /* cfmakeraw */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "native.h"

static int listener = -1;
static int host = -1;  /* the pseudo-terminal's master, or the connected socket */
static int slave = -1; /* kept open: the plug stays in when no program has the port open */
static char name[4096];
static bool is_link;

/* Answers that the host has not taken yet. */
static uint8_t waiting[1u << 18];
static size_t waiting_start;
static size_t waiting_end;

static void set_nonblocking(int descriptor) {
    (void)fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

const char *port_open_pty(const char *link_path) {
    struct termios raw;
    host = posix_openpt(O_RDWR | O_NOCTTY);
    if (host < 0 || grantpt(host) != 0 || unlockpt(host) != 0) {
        return "no pseudo-terminal is available";
    }
    slave = open(ptsname(host), O_RDWR | O_NOCTTY);
    if (slave < 0 || tcgetattr(slave, &raw) != 0) {
        return "the pseudo-terminal cannot be opened";
    }
    cfmakeraw(&raw);
    (void)tcsetattr(slave, TCSANOW, &raw);
    set_nonblocking(host);
    (void)unlink(link_path);
    if (strlen(link_path) >= sizeof name || symlink(ptsname(host), link_path) != 0) {
        return "the link to the pseudo-terminal cannot be made";
    }
    strcpy(name, link_path);
    is_link = true;
    return NULL;
}

const char *port_open_tcp(uint16_t tcp_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(tcp_port)};
    socklen_t length = sizeof address;
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        return "the TCP port cannot be opened";
    }
    set_nonblocking(listener);
    (void)snprintf(name, sizeof name, "%u", (unsigned)ntohs(address.sin_port));
    return NULL;
}

const char *port_name(void) {
    return name;
}

static void hang_up(void) {
    if (listener >= 0 && host >= 0) {
        close(host);
        host = -1;
        waiting_start = waiting_end = 0;
    }
}

/* One host at a time: a second one is sent away at once. */
static void welcome(void) {
    const int on = 1;
    int guest = accept(listener, NULL, NULL);
    if (guest < 0) {
        return;
    }
    if (host >= 0) {
        close(guest);
        return;
    }
    set_nonblocking(guest);
    (void)setsockopt(guest, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    host = guest;
}

static void flush(void) {
    while (host >= 0 && waiting_start < waiting_end) {
        ssize_t count = write(host, waiting + waiting_start, waiting_end - waiting_start);
        if (count <= 0) {
            return;
        }
        waiting_start += (size_t)count;
    }
    waiting_start = waiting_end = 0;
}

void hal_write(const uint8_t *bytes, size_t count) {
    if (host < 0 || count > sizeof waiting - waiting_end) {
        return;
    }
    memcpy(waiting + waiting_end, bytes, count);
    waiting_end += count;
}

size_t port_read(uint8_t *bytes, size_t room, int wait_ms) {
    struct pollfd wanted[2] = {{.fd = host, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    flush();
    wanted[0].events |= waiting_start < waiting_end ? POLLOUT : 0;
    if (poll(wanted, 2, wait_ms) <= 0) {
        return 0;
    }
    if ((wanted[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0) {
        if (wanted[1].revents != 0) { /* only now: the host may just have hung up */
            welcome();
        }
        return 0;
    }
    ssize_t count = read(host, bytes, room);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        hang_up();
    }
    return count > 0 ? (size_t)count : 0;
}

void port_close(void) {
    flush();
    if (is_link) {
        (void)unlink(name);
    }
}
