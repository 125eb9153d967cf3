// One appender and its followers, as fast as it goes. What followers are sent is
// dropped in the kernel, so that this costs next to nothing.
//
//   fan-out port= pid= append= follow= opcode= followers= bytes= messages= warmup= file=
//
// It is over when each follower has as many bytes as were appended (those of
// headers count, too: they are dropped unread), and so has the file. Before the clock
// starts, `warmup` messages go the same way to another resource.
//
// Figures are one line of JSON on stdout.

#include <sys/stat.h>
#include "websocket.h"

enum { APPENDER = UINT32_MAX, BATCH_BYTES = 256 * 1024, STALL_MS = 10000, SETTLE_US = 200000, POLL_US = 1000 };

static uint8_t *batch;
static size_t batch_length, frame_length, message_bytes;

// Short messages are sent many at a time.
static void make_batch(int opcode) {
  uint8_t *frame = zeroed(message_bytes + MAX_HEADER_BYTES, 1);
  frame_length = make_frame(frame, opcode, message_bytes);
  size_t frames = frame_length < BATCH_BYTES ? BATCH_BYTES / frame_length : 1;
  batch_length = frames * frame_length;
  batch = zeroed(batch_length, 1);
  for (size_t i = 0; i < frames; i++) memcpy(batch + i * frame_length, frame, frame_length);
  free(frame);
}

static size_t send_more(int fd, size_t sent, size_t wanted) {
  size_t from = sent % batch_length, length = batch_length - from;
  if (length > wanted - sent) length = wanted - sent;
  ssize_t taken = send(fd, batch + from, length, MSG_NOSIGNAL);
  if (taken < 0 && errno != EAGAIN) fail("the append broke");
  return taken < 0 ? 0 : taken;
}

static size_t drop_what_came(int fd) {
  ssize_t length = recv(fd, NULL, 8 << 20, MSG_TRUNC);
  if (length == 0) stop("the server ended a follower");
  if (length < 0 && errno != EAGAIN) fail("recv");
  return length < 0 ? 0 : length;
}

static void wait_for_file(const char *target, const char *name, size_t bytes) {
  char path[1024];
  struct stat state = {0};
  const char *place = strstr(target, "{name}");
  if (place == NULL) return;
  snprintf(path, sizeof path, "%.*s%s%s", (int)(place - target), target, name, place + strlen("{name}"));
  for (double start = now(); stat(path, &state) != 0 || (size_t)state.st_size < bytes; usleep(POLL_US)) {
    if (now() > start + STALL_MS / 1000) stop("the file has not got everything");
  }
}

static void pass(const char *name, size_t messages, int is_timed) {
  int port = number_option("port"), followers = number_option("followers"), missing = followers;
  pid_t server = number_option("pid");
  size_t bytes = messages * message_bytes, wanted = messages * frame_length, sent = 0;
  size_t *received = zeroed(followers, sizeof *received);
  int *readers = zeroed(followers, sizeof *readers), epoll = epoll_create1(0);
  int appender = open_websocket(port, text_option("append"), name, "");
  for (int i = 0; i < followers; i++) {
    readers[i] = open_websocket(port, text_option("follow"), name, "");
    watch(epoll, readers[i], EPOLLIN, i);
  }
  usleep(SETTLE_US);
  watch(epoll, appender, EPOLLOUT, APPENDER);
  double start = now(), cpu = cpu_seconds(server), own = own_cpu_seconds(), resident = resident_kib(server);
  while (missing > 0 || sent < wanted) {
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll, events, MAX_EVENTS, STALL_MS);
    if (count == 0) stop("nothing moves");
    for (int i = 0; i < count; i++) {
      uint32_t number = events[i].data.u32;
      if (number == APPENDER) {
        sent += send_more(appender, sent, wanted);
        if (sent == wanted) epoll_ctl(epoll, EPOLL_CTL_DEL, appender, NULL);
      } else {
        size_t before = received[number];
        received[number] += drop_what_came(readers[number]);
        if (before < bytes && received[number] >= bytes) missing--;
      }
    }
  }
  wait_for_file(text_option("file"), name, bytes);
  double seconds = now() - start;
  if (is_timed) {
    printf("{\"seconds\":%.4f,\"bytes\":%zu,\"deliveredBytes\":%zu,\"serverCpuSeconds\":%.4f,"
           "\"serverResidentGrowthBytes\":%.0f,\"loadCpuShare\":%.3f}\n",
           seconds, bytes, bytes * followers, cpu_seconds(server) - cpu,
           (resident_kib(server) - resident) * 1024, (own_cpu_seconds() - own) / seconds);
  }
  for (int i = 0; i < followers; i++) close(readers[i]);
  close(appender);
  close(epoll);
  free(readers);
  free(received);
}

int main(int count, char **arguments) {
  option_count = count;
  options = arguments;
  message_bytes = number_option("bytes");
  make_batch(number_option("opcode"));
  pass("warm-up", number_option("warmup"), 0);
  pass("timed", number_option("messages"), 1);
}
