/* As many events as can be made, to see what happens when that is more than a tracer takes: threads (first argument) that
 * make and release tiny blocks, each so many pairs (second argument), and do nothing else. A few blocks are alive at a time.
 * Prints the nanoseconds that it took and the number of events. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long pairs;

static void *press(void *argument) {
  void *alive[16] = {0};
  unsigned seed = 7;
  for (long i = 0; i < pairs; i++) {
    seed = seed * 1664525u + 1013904223u;
    void **place = &alive[seed >> 28];
    if (*place) free(*place);
    *place = malloc(8 + (seed >> 16) % 120);
  }
  for (int i = 0; i < 16; i++)
    if (alive[i]) free(alive[i]);
  return argument;
}

int main(int count, char **arguments) {
  int threads = count > 2 ? atoi(arguments[1]) : 4;
  pairs = count > 2 ? atol(arguments[2]) : 1000000;
  pthread_t ids[64];
  struct timespec began, ended;
  if (threads < 1 || threads > 64) return 2;
  clock_gettime(CLOCK_MONOTONIC, &began);
  for (int i = 0; i < threads; i++)
    if (pthread_create(&ids[i], NULL, press, NULL)) return 3;
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  clock_gettime(CLOCK_MONOTONIC, &ended);
  long elapsed = (ended.tv_sec - began.tv_sec) * 1000000000 + ended.tv_nsec - began.tv_nsec;
  printf("%ld %ld\n", elapsed, 2 * pairs * threads);
}
