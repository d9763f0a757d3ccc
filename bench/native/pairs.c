// malloc/free pairs of 64 bytes in a loop: what a hook costs.
//
//   pairs COUNT            that many pairs, as fast as they go: "sustained"
//   pairs --burst          5 000 pairs (15 000 words, they fit into a ring) after a pause that lets the collector catch
//                          up, 200 times; the median: the hook alone
//   pairs --instructions   instructions of one pair, counted by single steps of a child: the same on every run
//
// Prints one number: ns per pair, or instructions per pair.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

__attribute__((noinline)) static void pairs(long count) {
  for (long i = 0; i < count; i++) {
    void *volatile block = malloc(64);
    free(block);
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double burst(void) {
  enum { ROUNDS = 200, PAIRS = 5000 };
  static double rounds[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    usleep(20000);
    pairs(1000);  // caches and branch predictor, as they are in a loop that has run for a while
    double began = now_ns();
    pairs(PAIRS);
    rounds[i] = (now_ns() - began) / PAIRS;
  }
  qsort(rounds, ROUNDS, sizeof rounds[0], ascending);
  return rounds[ROUNDS / 2];
}

// Instructions that a child executes between two stops with `count` pairs between.
static long steps(long count) {
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    pairs(10000);
    raise(SIGSTOP);
    pairs(count);
    raise(SIGSTOP);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  long taken = 0;
  do {
    ptrace(PTRACE_SINGLESTEP, child, 0, 0);
    waitpid(child, &status, 0);
    taken++;
  } while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return taken;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--burst")) {
    printf("%.2f\n", burst());
  } else if (argc == 2 && !strcmp(argv[1], "--instructions")) {
    printf("%.1f\n", (steps(100) - steps(0)) / 100.0);
  } else if (argc == 2 && atol(argv[1]) > 0) {
    long count = atol(argv[1]);
    pairs(10000);
    double began = now_ns();
    pairs(count);
    printf("%.2f\n", (now_ns() - began) / count);
  } else {
    fputs("usage: pairs COUNT | --burst | --instructions\n", stderr);
    return 2;
  }
}
