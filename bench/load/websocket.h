// What the load programs in C share: options, clocks, what a process uses, and
// just enough of a WebSocket client to append and to count what comes.
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, MAX_CONTROL_BYTES = 125, MAX_HEADER_BYTES = 14, MAX_EVENTS = 256 };

// Ends the program because of what was found.
static inline void stop(const char *why) {
  fprintf(stderr, "%s\n", why);
  exit(1);
}

// Ends the program because a system call has failed.
static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

// --- Options: name=value, in any order. All that a program asks for must be there.

static int option_count;
static char **options;

static inline const char *text_option(const char *name) {
  size_t length = strlen(name);
  for (int i = 1; i < option_count; i++) {
    if (strncmp(options[i], name, length) == 0 && options[i][length] == '=') return options[i] + length + 1;
  }
  fprintf(stderr, "missing: %s=\n", name);
  exit(2);
}

static inline double number_option(const char *name) { return atof(text_option(name)); }

// --- Clocks, and what the server and this process use.

static inline double seconds_of(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) fail("clock_gettime");
  return time.tv_sec + time.tv_nsec / 1e9;
}

static inline double now(void) { return seconds_of(CLOCK_MONOTONIC); }

// Processor time of a process so far, user and system, to the nanosecond (/proc counts in 10 ms).
static inline double cpu_seconds(pid_t pid) {
  clockid_t clock;
  errno = clock_getcpuclockid(pid, &clock);
  if (errno != 0) fail("the server's processor time");
  return seconds_of(clock);
}

static inline double own_cpu_seconds(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

static inline double resident_kib(pid_t pid) {
  char line[256];
  long kib = 0;
  snprintf(line, sizeof line, "/proc/%d/status", pid);
  FILE *file = fopen(line, "r");
  if (file == NULL) fail(line);
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
  }
  fclose(file);
  return kib;
}

static inline int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Sorts the samples; 0 when there are none.
static inline double percentile(double *samples, size_t count, double share) {
  if (count == 0) return 0;
  qsort(samples, count, sizeof *samples, compare_doubles);
  return samples[(size_t)((count - 1) * share)];
}

static inline void *zeroed(size_t count, size_t size) {
  void *memory = calloc(count == 0 ? 1 : count, size);
  if (memory == NULL) fail("memory");
  return memory;
}

// --- Connections.

static inline int connect_to(int port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) fail("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static inline void send_all(int fd, const void *bytes, size_t length) {
  ssize_t taken = send(fd, bytes, length, MSG_NOSIGNAL);
  if (taken < 0) fail("send");
  // Nobody waits for room here: what is sent is short.
  if (taken != (ssize_t)length) stop("the server does not keep up");
}

// Takes the answer of a handshake from the socket, and not a byte more.
static inline void read_handshake(int fd, const char *target) {
  char head[4096];
  for (;;) {
    ssize_t seen = recv(fd, head, sizeof head - 1, MSG_PEEK);
    if (seen < 0) fail(target);
    if (seen == 0) stop("a handshake was not answered");
    head[seen] = 0;
    char *end = strstr(head, "\r\n\r\n");
    if (strncmp(head, "HTTP/1.1 101", seen < 12 ? seen : 12) != 0 || (end == NULL && seen == sizeof head - 1)) {
      fprintf(stderr, "%s: not upgraded: %.60s\n", target, head);
      exit(1);
    }
    if (end != NULL) {
      recv(fd, head, end + 4 - head, 0);
      return;
    }
    usleep(50);
  }
}

// Opens a WebSocket; `target` is a path with its query, in which {name} is replaced. What follows does not block.
static inline int open_websocket(int port, const char *target, const char *name, const char *headers) {
  char path[1024], request[2048];
  const char *place = strstr(target, "{name}");
  if (place == NULL) stop("a target without {name}");
  snprintf(path, sizeof path, "%.*s%s%s", (int)(place - target), target, name, place + strlen("{name}"));
  int fd = connect_to(port);
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                        path, port, headers);
  send_all(fd, request, length);
  read_handshake(fd, path);
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
  return fd;
}

static inline void watch(int epoll, int fd, uint32_t events, uint32_t number) {
  struct epoll_event event = {.events = events, .data.u32 = number};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// --- Frames.

// Writes one masked message of `length` bytes, a line of ASCII, to `frame`; returns how long it is.
static inline size_t make_frame(uint8_t *frame, int opcode, size_t length) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  size_t at = 0;
  frame[at++] = 0x80 | opcode;
  if (length < 126) {
    frame[at++] = 0x80 | length;
  } else {
    int bytes = length < 65536 ? 2 : 8;
    frame[at++] = 0x80 | (bytes == 2 ? 126 : 127);
    while (bytes-- > 0) frame[at++] = (uint64_t)length >> (8 * bytes);
  }
  memcpy(frame + at, mask, sizeof mask);
  at += sizeof mask;
  for (size_t i = 0; i < length; i++) {
    frame[at++] = (i + 1 == length ? '\n' : 'a' + i % 23) ^ mask[i % 4];
  }
  return at;
}

// What has come on one connection: frames, however the connection cuts them.
struct incoming {
  uint64_t payload;  // bytes of messages so far
  uint64_t left;     // bytes of this frame that are still to come
  uint64_t frames;   // complete ones so far
  uint8_t header[10];
  uint8_t header_length;
  uint8_t opcode;
  uint8_t start_length;
  char start[MAX_CONTROL_BYTES + 1];  // the beginning of the frame, with a zero behind it
};

// A mask of zeros leaves the bytes as they are.
static inline void answer_ping(int fd, const struct incoming *in) {
  uint8_t pong[6 + MAX_CONTROL_BYTES] = {0x80 | PONG, 0x80 | in->start_length};
  memcpy(pong + 6, in->start, in->start_length);
  send_all(fd, pong, 6 + in->start_length);
}

static inline void end_frame(int fd, struct incoming *in) {
  in->frames++;
  if (in->opcode == PING) answer_ping(fd, in);
}

static inline void take_header_byte(int fd, struct incoming *in, uint8_t byte) {
  in->header[in->header_length++] = byte;
  if (in->header_length < 2) return;
  int code = in->header[1] & 127, bytes = code < 126 ? 0 : code == 126 ? 2 : 8;
  if (in->header_length < 2 + bytes) return;
  in->left = code < 126 ? code : 0;
  for (int i = 0; i < bytes; i++) in->left = in->left << 8 | in->header[2 + i];
  in->opcode = in->header[0] & 15;
  in->header_length = 0;
  in->start_length = 0;
  in->start[0] = 0;
  if (in->left == 0) end_frame(fd, in);
}

// Takes what has come on `fd`, and answers pings.
static inline void take_bytes(int fd, struct incoming *in, const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    if (in->left == 0) {
      take_header_byte(fd, in, bytes[at++]);
      continue;
    }
    size_t taken = in->left < length - at ? in->left : length - at;
    size_t room = MAX_CONTROL_BYTES - in->start_length, kept = room < taken ? room : taken;
    memcpy(in->start + in->start_length, bytes + at, kept);
    in->start_length += kept;
    in->start[in->start_length] = 0;
    if (in->opcode < 8) in->payload += taken;
    in->left -= taken;
    at += taken;
    if (in->left == 0) end_frame(fd, in);
  }
}

// Reads once from a connection that has something, and takes it.
static inline void read_frames(int fd, struct incoming *in) {
  static uint8_t buffer[256 * 1024];
  ssize_t length = recv(fd, buffer, sizeof buffer, 0);
  if (length > 0) take_bytes(fd, in, buffer, length);
  else if (length == 0) stop("the server ended a connection");
  else if (errno != EAGAIN) fail("recv");
}

#endif
