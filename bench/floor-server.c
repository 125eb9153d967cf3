// The floor: what is left when a server does nothing but the system calls. One
// thread; what comes from an appender is unmasked, written to its file, and sent to
// each follower in one frame. No other HTTP than the handshake, no history, no
// checks, and a follower that does not read holds everybody up. It is here to be
// compared with.
//
//   floor-server DIRECTORY PORT

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
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, MAX_CONNECTIONS = 1 << 16, TABLE_SIZE = 1 << 16, MAX_EVENTS = 256, MAX_HEADER_BYTES = 10 };

struct resource {
  char name[128];
  int file;
  off_t size;
  int *followers;
  int follower_count;
};

struct connection {
  struct resource *resource;
  int appends;
  uint64_t left;  // of this frame's payload
  uint64_t at;    // place in its mask
  uint8_t mask[4];
  uint8_t is_control;
  uint8_t header[14];
  int header_length;
};

static const char *directory;
static struct resource *table[TABLE_SIZE];
static struct connection connections[MAX_CONNECTIONS];  // by descriptor
static uint8_t input[READ_BYTES], output[MAX_HEADER_BYTES + READ_BYTES];
static int epoll;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct resource *resource_named(const char *name) {
  uint32_t hash = 2166136261u;
  for (const char *c = name; *c != 0; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
  uint32_t place = hash % TABLE_SIZE;
  while (table[place] != NULL && strcmp(table[place]->name, name) != 0) place = (place + 1) % TABLE_SIZE;
  if (table[place] == NULL) {
    table[place] = calloc(1, sizeof **table);
    snprintf(table[place]->name, sizeof table[place]->name, "%s", name);
    table[place]->file = -1;
  }
  return table[place];
}

static void begin_append(int fd, struct resource *resource) {
  char path[1024];
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  snprintf(path, sizeof path, "%s/%s", directory, resource->name);
  resource->file = open(path, O_WRONLY | O_CREAT, 0644);
  if (resource->file < 0) fail(path);
  connections[fd] = (struct connection){.resource = resource, .appends = 1};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void add_follower(int fd, struct resource *resource) {
  size_t count = resource->follower_count + 1;
  resource->followers = realloc(resource->followers, count * sizeof *resource->followers);
  resource->followers[resource->follower_count++] = fd;
}

// The key of our load programs is always the same, and so is the answer to it.
static const char UPGRADED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void shake_hands(int listener) {
  char head[4096], name[128];
  int one = 1, length = 0, fd = accept(listener, NULL, NULL);
  if (fd < 0 || fd >= MAX_CONNECTIONS) fail("accept");
  do {
    ssize_t come = read(fd, head + length, sizeof head - 1 - length);
    if (come <= 0) {
      close(fd);
      return;
    }
    length += come;
    head[length] = 0;
  } while (strstr(head, "\r\n\r\n") == NULL);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (sscanf(head, "GET /%127[^? ]", name) != 1) fail("a request that is not ours");
  struct resource *resource = resource_named(name);
  if (strstr(head, "verb=APPEND ") != NULL) begin_append(fd, resource);
  else add_follower(fd, resource);
  if (send(fd, UPGRADED, sizeof UPGRADED - 1, MSG_NOSIGNAL) < 0) perror("send");
}

static void take_header_byte(struct connection *connection, uint8_t byte) {
  uint8_t *header = connection->header;
  header[connection->header_length++] = byte;
  if (connection->header_length < 2) return;
  int code = header[1] & 127, bytes = code < 126 ? 0 : code == 126 ? 2 : 8;
  if (connection->header_length < 2 + bytes + 4) return;
  connection->left = code < 126 ? code : 0;
  for (int i = 0; i < bytes; i++) connection->left = connection->left << 8 | header[2 + i];
  memcpy(connection->mask, header + 2 + bytes, 4);
  connection->is_control = header[0] & 8;
  connection->at = 0;
  connection->header_length = 0;
}

// Puts the payload of what has come to `to`, unmasked; returns how much it is.
static size_t unmask(struct connection *connection, size_t length, uint8_t *to) {
  size_t written = 0;
  for (size_t i = 0; i < length;) {
    if (connection->left == 0) {
      take_header_byte(connection, input[i++]);
      continue;
    }
    size_t run = connection->left < length - i ? connection->left : length - i;
    if (!connection->is_control) {
      uint8_t mask[4];
      for (int k = 0; k < 4; k++) mask[k] = connection->mask[(connection->at + k) % 4];
      for (size_t k = 0; k < run; k++) to[written + k] = input[i + k] ^ mask[k % 4];
      written += run;
    }
    connection->at += run;
    connection->left -= run;
    i += run;
  }
  return written;
}

// Writes the header of a frame so that it ends where the payload begins; returns its length.
static size_t write_header(uint8_t *payload, size_t length) {
  int bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
  uint8_t *header = payload - 2 - bytes;
  header[0] = 0x82;
  header[1] = bytes == 0 ? length : bytes == 2 ? 126 : 127;
  for (int i = 0; i < bytes; i++) header[2 + i] = (uint64_t)length >> (8 * (bytes - 1 - i));
  return 2 + bytes;
}

static void take_append(int fd) {
  struct connection *connection = &connections[fd];
  struct resource *resource = connection->resource;
  ssize_t length = recv(fd, input, sizeof input, 0);
  if (length <= 0) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
    close(resource->file);
    return;
  }
  uint8_t *payload = output + MAX_HEADER_BYTES;
  size_t bytes = unmask(connection, length, payload);
  if (bytes == 0) return;
  if (pwrite(resource->file, payload, bytes, resource->size) != (ssize_t)bytes) fail("pwrite");
  resource->size += bytes;
  size_t header_length = write_header(payload, bytes);
  for (int i = 0; i < resource->follower_count; i++) {
    // Waits until the follower has taken all of it. One that is gone takes nothing.
    send(resource->followers[i], payload - header_length, header_length + bytes, MSG_NOSIGNAL);
  }
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  directory = arguments[1];
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  if (listen(listener, 4096) != 0) fail("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[MAX_EVENTS];
  epoll = epoll_create1(0);
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) shake_hands(listener);
      else take_append(fd);
    }
  }
}
