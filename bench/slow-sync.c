// Makes a disk slow that is not: preloaded, it lets each fsync and fdatasync take SYNC_US microseconds longer.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int synced(const char *name, int fd) {
  int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  const char *microseconds = getenv("SYNC_US");
  if (microseconds != NULL) usleep(atoi(microseconds));
  return sync(fd);
}

int fsync(int fd) { return synced("fsync", fd); }

int fdatasync(int fd) { return synced("fdatasync", fd); }
