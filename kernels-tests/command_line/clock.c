/* A clock that somebody moves: whoever asks for the time of day gets one that is hours from the last, before it or
 * behind it. To be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  static int asked;
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, time);
  if (clock == CLOCK_REALTIME) {
    asked++;
    time->tv_sec += (asked % 2 ? -1 : 1) * 7777L * (asked % 31);
  }
  return result;
}
