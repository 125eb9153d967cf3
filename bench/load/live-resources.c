// Many live resources, each with an appender and its followers, in one thread.
//
//   live-resources mode=many   port= pid= append= follow= opcode= resources= followers= bytes= idle= rate= seconds=
//   live-resources mode=rounds port= pid= append= follow= opcode= resources= followers=1 bytes= messages=
//
// `many` opens all of them one after the other, lets them be for `idle` seconds,
// and then sends `rate` messages a second, round the resources, for `seconds`.
// `rounds` sends K messages to K resources, waits for all of them, and begins
// again, for K of 1, 4, 16 and 64: `messages` each, and a quarter as many before that
// do not count. The server's processor time for a message then depends little on
// who else computes.
//
// Figures are one line of JSON on stdout.

#include "websocket.h"

enum { APPENDER = 1u << 31, STALL_SECONDS = 10, SETTLE_SECONDS = 2 };

static int port, epoll, resources, followers;
static pid_t server;
static const char *append_target, *follow_target;
static size_t message_bytes, frame_length;
static uint8_t *frame;

static int *appenders, *readers;
static struct incoming *appender_in, *reader_in;

// Of `many`: when each message was sent, how many have come to each reader, how long each took.
static double *sent_at, *latencies;
static uint64_t *seen;
static size_t sent, arrived;

static void read_options(void) {
  port = number_option("port");
  server = number_option("pid");
  append_target = text_option("append");
  follow_target = text_option("follow");
  resources = number_option("resources");
  followers = number_option("followers");
  message_bytes = number_option("bytes");
  frame = zeroed(message_bytes + MAX_HEADER_BYTES, 1);
  frame_length = make_frame(frame, number_option("opcode"), message_bytes);
}

static void take_messages(int reader) {
  double time = now();
  for (uint64_t complete = reader_in[reader].payload / message_bytes; seen[reader] < complete; seen[reader]++) {
    size_t message = seen[reader] * resources + reader / followers;
    if (message >= sent) stop("more has come than was sent");
    latencies[arrived++] = time - sent_at[message];
  }
}

// Takes what has come, after `timeout_ms` at the latest; returns on how many connections.
static int take_what_comes(int timeout_ms) {
  struct epoll_event events[MAX_EVENTS];
  int count = epoll_wait(epoll, events, MAX_EVENTS, timeout_ms);
  for (int i = 0; i < count; i++) {
    uint32_t number = events[i].data.u32;
    if (number & APPENDER) {
      // nchan answers each message; what it says does not matter.
      number &= ~APPENDER;
      read_frames(appenders[number], &appender_in[number]);
    } else {
      read_frames(readers[number], &reader_in[number]);
      if (seen != NULL) take_messages(number);
    }
  }
  return count;
}

// On a slow machine the first have to give a sign of life before the last is there.
static void answer_pings(int opened) {
  while (opened % MAX_EVENTS == 0 && take_what_comes(0) > 0) continue;
}

static void open_all(void) {
  char name[32];
  int count = resources * followers;
  epoll = epoll_create1(0);
  appenders = zeroed(resources, sizeof *appenders);
  appender_in = zeroed(resources, sizeof *appender_in);
  readers = zeroed(count, sizeof *readers);
  reader_in = zeroed(count, sizeof *reader_in);
  double resident = resident_kib(server), start = now(), cpu = cpu_seconds(server);
  for (int i = 0; i < resources; i++) {
    snprintf(name, sizeof name, "many-%d", i);
    appenders[i] = open_websocket(port, append_target, name, "");
    watch(epoll, appenders[i], EPOLLIN, APPENDER | i);
    answer_pings(i);
  }
  double opened = now(), opened_cpu = cpu_seconds(server);
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, "many-%d", i / followers);
    readers[i] = open_websocket(port, follow_target, name, "");
    watch(epoll, readers[i], EPOLLIN, i);
    answer_pings(i);
  }
  double joined = now(), joined_cpu = cpu_seconds(server);
  sleep(SETTLE_SECONDS);
  printf("{\"opensPerSecond\":%.1f,\"cpuPerOpen\":%.2f,\"joinsPerSecond\":%.1f,\"cpuPerJoin\":%.2f,"
         "\"kibibytesPerResource\":%.3f",
         resources / (opened - start), (opened_cpu - cpu) / resources * 1e6, count / (joined - opened),
         (joined_cpu - opened_cpu) / count * 1e6, (resident_kib(server) - resident) / resources);
}

static void be_idle(double seconds) {
  double start = now(), cpu = cpu_seconds(server);
  while (now() < start + seconds) take_what_comes(100);
  printf(",\"idleCpuPercent\":%.3f", (cpu_seconds(server) - cpu) / (now() - start) * 100);
}

static void send_at_rate(double rate, double seconds) {
  size_t messages = rate * seconds, wanted = messages * followers;
  sent_at = zeroed(messages, sizeof *sent_at);
  latencies = zeroed(wanted, sizeof *latencies);
  seen = zeroed(resources * followers, sizeof *seen);
  double start = now(), last = start, cpu = cpu_seconds(server);
  while (arrived < wanted) {
    for (double time = now(); sent < messages && time >= start + sent / rate; time = now()) {
      sent_at[sent] = time;
      send_all(appenders[sent % resources], frame, frame_length);
      sent++;
    }
    // Never asleep between two messages: to wake it would be the server's work, and in its figures.
    if (take_what_comes(sent < messages ? 0 : 100) > 0) last = now();
    if (now() - last > STALL_SECONDS) {
      fprintf(stderr, "%zu of %zu messages have arrived\n", arrived, wanted);
      exit(1);
    }
  }
  printf(",\"messagesPerSecond\":%.1f,\"cpuPerMessage\":%.3f", messages / (last - start),
         (cpu_seconds(server) - cpu) / messages * 1e6);
  printf(",\"p50Ms\":%.4f,\"p99Ms\":%.4f", percentile(latencies, arrived, 0.5) * 1e3,
         percentile(latencies, arrived, 0.99) * 1e3);
}

// Sends one message each to `size` resources, beginning with number `from`, and waits for all of them.
static void send_round(int size, size_t from, uint64_t *expected) {
  for (int i = 0; i < size; i++) send_all(appenders[(from + i) % resources], frame, frame_length);
  for (int i = 0; i < size; i++) {
    size_t resource = (from + i) % resources;
    expected[resource] += message_bytes;
    while (reader_in[resource].payload < expected[resource]) {
      if (take_what_comes(STALL_SECONDS * 1000) == 0) stop("a message has not arrived");
    }
  }
}

static void send_rounds(size_t messages) {
  static const int sizes[] = {1, 4, 16, 64};
  uint64_t *expected = zeroed(resources, sizeof *expected);
  size_t from = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int size = sizes[i];
    size_t rounds = messages / size;
    double *times = zeroed(rounds, sizeof *times);
    for (size_t round = 0; round < rounds / 4; round++, from += size) send_round(size, from, expected);
    double cpu = cpu_seconds(server);
    for (size_t round = 0; round < rounds; round++, from += size) {
      double start = now();
      send_round(size, from, expected);
      times[round] = now() - start;
    }
    printf(",\"cpuOfRound%d\":%.3f", size, (cpu_seconds(server) - cpu) / (rounds * size) * 1e6);
    printf(",\"p50OfRound%d\":%.3f", size, percentile(times, rounds, 0.5) * 1e6);
    free(times);
  }
}

int main(int count, char **arguments) {
  option_count = count;
  options = arguments;
  read_options();
  open_all();
  if (strcmp(text_option("mode"), "rounds") == 0) {
    send_rounds(number_option("messages"));
  } else {
    be_idle(number_option("idle"));
    send_at_rate(number_option("rate"), number_option("seconds"));
  }
  printf("}\n");
}
