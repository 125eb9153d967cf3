// Connections that each GET a file again and again, the next time when the last answer is complete.
//
//   gets port= pid= path= connections= bytes= seconds=
//
// A quarter of the time goes by beforehand and counts for nothing. Figures are one
// line of JSON on stdout.

#include "websocket.h"

enum { STALL_MS = 10000, MAX_HEAD_BYTES = 4096 };

static size_t body_bytes, request_length;
static char request[1024];

struct connection {
  int fd;
  size_t length;
  char answer[MAX_HEAD_BYTES + 1];
  size_t left;  // of the body, once the head is there
};

static void ask(struct connection *connection) {
  connection->length = connection->left = 0;
  send_all(connection->fd, request, request_length);
}

// Looks for the end of the head; what is left of the body then is known.
static void take_head(struct connection *connection) {
  connection->answer[connection->length] = 0;
  char *end = strstr(connection->answer, "\r\n\r\n"), *field = strcasestr(connection->answer, "\r\ncontent-length:");
  if (end == NULL) {
    if (connection->length == MAX_HEAD_BYTES) stop("a head that is too long");
    return;
  }
  if (strncmp(connection->answer, "HTTP/1.1 200", 12) != 0) stop("an answer that is not 200");
  size_t length = field == NULL || field > end ? 0 : strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
  size_t come = connection->answer + connection->length - (end + 4);
  if (length != body_bytes || come > body_bytes) stop("an answer of another length");
  connection->left = body_bytes - come;
}

// Reads once; returns whether the answer is complete.
static int take_answer(struct connection *connection) {
  char body[65536];
  int has_head = connection->left > 0;
  char *to = has_head ? body : connection->answer + connection->length;
  size_t room = has_head ? sizeof body : MAX_HEAD_BYTES - connection->length;
  ssize_t length = recv(connection->fd, to, room, 0);
  if (length == 0) stop("the server closed a connection");
  if (length < 0 && errno != EAGAIN) fail("recv");
  if (length < 0) return 0;
  if (has_head) {
    connection->left -= length;
    return connection->left == 0;
  }
  connection->length += length;
  take_head(connection);
  return connection->left == 0 && strstr(connection->answer, "\r\n\r\n") != NULL;
}

static size_t answers_in(int epoll, struct connection *connections, double seconds) {
  size_t answered = 0;
  for (double start = now(); now() < start + seconds;) {
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll, events, MAX_EVENTS, STALL_MS);
    if (count == 0) stop("nothing is answered");
    for (int i = 0; i < count; i++) {
      struct connection *connection = &connections[events[i].data.u32];
      if (!take_answer(connection)) continue;
      answered++;
      ask(connection);
    }
  }
  return answered;
}

int main(int argument_count, char **arguments) {
  option_count = argument_count;
  options = arguments;
  int port = number_option("port"), count = number_option("connections"), epoll = epoll_create1(0);
  pid_t server = number_option("pid");
  double seconds = number_option("seconds");
  body_bytes = number_option("bytes");
  request_length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                            text_option("path"), port);
  struct connection *connections = zeroed(count, sizeof *connections);
  for (int i = 0; i < count; i++) {
    connections[i].fd = connect_to(port);
    watch(epoll, connections[i].fd, EPOLLIN, i);
    ask(&connections[i]);
  }
  answers_in(epoll, connections, seconds / 4);
  double start = now(), cpu = cpu_seconds(server), own = own_cpu_seconds();
  size_t answered = answers_in(epoll, connections, seconds);
  seconds = now() - start;
  printf("{\"requestsPerSecond\":%.1f,\"serverMicrosecondsPerRequest\":%.3f,\"loadCpuShare\":%.3f}\n",
         answered / seconds, (cpu_seconds(server) - cpu) / answered * 1e6, (own_cpu_seconds() - own) / seconds);
}
