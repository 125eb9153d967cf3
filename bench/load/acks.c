// Many appenders, each on a resource of its own, each of which sends its next
// message when the last one is acknowledged.
//
//   acks port= pid= append= opcode= appenders= bytes= seconds=
//
// A quarter of the time goes by beforehand and counts for nothing: a fresh
// server's code is hardly compiled. Figures are one line of JSON on stdout.

#include "websocket.h"

enum { STALL_MS = 10000, POLL_US = 50 };

static size_t message_bytes, frame_length;
static uint8_t *frame;

struct appender {
  int fd;
  struct incoming in;
  uint64_t taken;     // frames of `in` that were looked at
  uint64_t position;  // where it is when all that was sent is acknowledged
  double sent_at;
};

static void send_next(struct appender *appender) {
  appender->position += message_bytes;
  appender->sent_at = now();
  send_all(appender->fd, frame, frame_length);
}

// Whether the last message says that everything is acknowledged. There is one at a time, so the last one tells all.
static int is_acknowledged(struct appender *appender) {
  const char *text = appender->in.start, *position = strstr(text, "\"position\":");
  if (appender->in.opcode != TEXT || strstr(text, "\"ack\"") == NULL || position == NULL) return 0;
  return strtoull(position + strlen("\"position\":"), NULL, 10) == appender->position;
}

// Waits for the answers to come, and returns how many messages they acknowledge.
static size_t take_answers(int epoll, struct appender *appenders, double *latencies) {
  struct epoll_event events[MAX_EVENTS];
  size_t acknowledged = 0;
  int count = epoll_wait(epoll, events, MAX_EVENTS, STALL_MS);
  if (count == 0) stop("nothing is acknowledged");
  for (int i = 0; i < count; i++) {
    struct appender *appender = &appenders[events[i].data.u32];
    read_frames(appender->fd, &appender->in);
    if (appender->in.left > 0 || appender->in.frames == appender->taken) continue;
    appender->taken = appender->in.frames;
    if (!is_acknowledged(appender)) continue;
    latencies[acknowledged++] = now() - appender->sent_at;
    send_next(appender);
  }
  return acknowledged;
}

// Waits for the server's first message: it takes the append on, or closes.
static void wait_until_open(struct appender *appender) {
  double start = now();
  while (appender->in.frames == 0) {
    if (now() > start + STALL_MS / 1000) stop("an append was not opened");
    usleep(POLL_US);
    read_frames(appender->fd, &appender->in);
  }
  if (appender->in.opcode == CLOSE) stop("an append was refused");
  appender->taken = appender->in.frames;
}

int main(int argument_count, char **arguments) {
  option_count = argument_count;
  options = arguments;
  int port = number_option("port"), count = number_option("appenders"), epoll = epoll_create1(0);
  pid_t server = number_option("pid");
  double seconds = number_option("seconds");
  message_bytes = number_option("bytes");
  frame = zeroed(message_bytes + MAX_HEADER_BYTES, 1);
  frame_length = make_frame(frame, number_option("opcode"), message_bytes);
  struct appender *appenders = zeroed(count, sizeof *appenders);
  for (int i = 0; i < count; i++) {
    char name[32];
    snprintf(name, sizeof name, "acks-%d", i);
    appenders[i].fd =
        open_websocket(port, text_option("append"), name, "Sec-WebSocket-Protocol: httpfstream.v2\r\n");
    wait_until_open(&appenders[i]);
    watch(epoll, appenders[i].fd, EPOLLIN, i);
  }
  for (int i = 0; i < count; i++) send_next(&appenders[i]);
  double warm[MAX_EVENTS];
  for (double start = now(); now() < start + seconds / 4;) take_answers(epoll, appenders, warm);

  size_t acknowledged = 0, room = 1 << 16;
  double *latencies = zeroed(room, sizeof *latencies);
  double start = now(), cpu = cpu_seconds(server), own = own_cpu_seconds();
  while (now() < start + seconds) {
    if (acknowledged + MAX_EVENTS > room) {
      room *= 2;
      latencies = realloc(latencies, room * sizeof *latencies);
      if (latencies == NULL) stop("no memory");
    }
    acknowledged += take_answers(epoll, appenders, latencies + acknowledged);
  }
  seconds = now() - start;
  printf("{\"acknowledgedPerSecond\":%.1f,\"cpuPerAck\":%.3f,\"loadCpuShare\":%.3f,\"ackP50Ms\":%.4f,\"ackP99Ms\":%.4f}\n",
         acknowledged / seconds, (cpu_seconds(server) - cpu) / acknowledged * 1e6,
         (own_cpu_seconds() - own) / seconds, percentile(latencies, acknowledged, 0.5) * 1e3,
         percentile(latencies, acknowledged, 0.99) * 1e3);
}
