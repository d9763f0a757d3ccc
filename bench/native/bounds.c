/* live EVENTS BLOCKS: keeps so many blocks of 32 bytes, then allocates and frees one at a time, up to EVENTS events.
 * stacks PATHS DEPTH: one block and its release from each of so many different paths of calls (DEPTH times two frames).
 * Both print at the end how many bytes of theirs no other process shares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static volatile int after;
__attribute__((noinline)) void left(long bits, int depth);
__attribute__((noinline)) void right(long bits, int depth);
__attribute__((noinline)) void step(long bits, int depth) {
  if (depth == 0) {
    void *volatile block = malloc(48);
    free(block);
  } else if (bits & 1)
    left(bits >> 1, depth - 1);
  else
    right(bits >> 1, depth - 1);
  after++; /* No tail call. */
}
void left(long bits, int depth) { step(bits, depth), after++; }
void right(long bits, int depth) { step(bits, depth), after++; }
static void print_private(void) {
  static char line[256];
  long kib, sum = 0;
  FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
  while (rollup && fgets(line, sizeof line, rollup))
    if (sscanf(line, "Private_%*[a-zA-Z]: %ld", &kib) == 1) sum += kib;
  printf("private %ld\n", sum * 1024);
}
int main(int count, char **arguments) {
  long first = atol(arguments[2]), second = atol(arguments[3]);
  if (!strcmp(arguments[1], "stacks")) {
    for (long path = 0; path < first; path++) step(path, second);
    print_private();
    return 0;
  }
  for (long block = 0; block < second; block++)
    if (malloc(32) == NULL) return 9;
  for (long event = second; event < first; event += 2) {
    void *volatile block = malloc(100 + event % 64);
    free(block);
  }
  print_private();
  return 0;
}
