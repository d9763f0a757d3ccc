// What the native stack costs an event: malloc/free pairs under so many frames.
//
//   unwind DEPTH same       one loop: nothing of the stack changes between events
//   unwind DEPTH changing   three calls nested in one another, from two places in turn: three new frames at every event
//
// Prints ns for a pair: the median of bursts that fit into a ring, each after a pause that lets the collector catch up.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Not inlined, and with a caller to come back to.
#define APART __attribute__((noipa))
#define AND_BACK __asm__ volatile("")

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static void pair(void) {
  void *volatile block = malloc(64);
  free(block);
}

APART static void left_3(void) { pair(); AND_BACK; }
APART static void left_2(void) { left_3(); AND_BACK; }
APART static void left(void) { left_2(); AND_BACK; }
APART static void right_3(void) { pair(); AND_BACK; }
APART static void right_2(void) { right_3(); AND_BACK; }
APART static void right(void) { right_2(); AND_BACK; }

APART static void same(long count) { for (long i = 0; i < count; i++) pair(); }
APART static void changing(long count) { for (long i = 0; i < count; i += 2) { left(); right(); } }

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

APART static double burst(void (*loop)(long)) {
  enum { ROUNDS = 100, PAIRS = 5000 };
  static double rounds[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    usleep(20000);
    loop(1000);  // caches and branch predictor, as they are in a loop that has run for a while
    double began = now_ns();
    loop(PAIRS);
    rounds[i] = (now_ns() - began) / PAIRS;
  }
  qsort(rounds, ROUNDS, sizeof rounds[0], ascending);
  return rounds[ROUNDS / 2];
}

APART static double descend(int depth, void (*loop)(long)) {
  double result = depth > 0 ? descend(depth - 1, loop) : burst(loop);
  AND_BACK;
  return result;
}

int main(int argc, char **argv) {
  int depth = argc == 3 ? atoi(argv[1]) : 0;
  void (*loop)(long) = argc != 3 ? NULL : !strcmp(argv[2], "same") ? same : !strcmp(argv[2], "changing") ? changing : NULL;
  // The loop's own frame, `burst`, `main` and what the C library puts above it are four to six frames more.
  if (depth < 1 || !loop) return fputs("usage: unwind DEPTH same|changing\n", stderr), 2;
  printf("%.2f\n", descend(depth - 1, loop));
}
