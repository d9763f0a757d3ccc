/* What a thread of a native extension does: blocks of 64 to 1 023 bytes, at most 64 of them alive, each written to and
 * followed by some computing (about a third of a microsecond). Loaded by workloads/threads.py, called without the
 * interpreter lock. */
#include <stdlib.h>
#include <string.h>

unsigned churn(long count, unsigned seed) {
  void *alive[64] = {0};
  for (long i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    size_t size = 64 + (seed >> 8) % 960;
    void **place = &alive[seed >> 26];
    free(*place);
    *place = malloc(size);
    memset(*place, (int)i, size);
    for (int spin = 0; spin < 150; spin++) seed = seed * 1664525u + 1013904223u;
  }
  for (int i = 0; i < 64; i++) free(alive[i]);
  return seed;
}
