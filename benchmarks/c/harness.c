/* Timing from compiled code, so that the cost of a call from Python is in no figure. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <time.h>

typedef int64_t (*density)(const double *, double *, int64_t *);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of `calls` calls of f, at the rows of points [n, dim] in turn. */
double bench(int64_t calls, density f, const double *points, int64_t n, int64_t dim, double *out,
             int64_t *env) {
  double start = now();
  for (int64_t i = 0, row = 0; i < calls; i++) {
    f(points + row * dim, out, env);
    row = row + 1 == n ? 0 : row + 1;
  }
  return now() - start;
}

#define SUMS 64

/* Seconds of `times` readings of x [n], many sums side by side so that memory is what they wait for.
   The total goes to *sink. */
double bench_read(int64_t times, const double *x, int64_t n, double *sink) {
  double start = now(), total = 0.0;
  for (int64_t k = 0; k < times; k++) {
    double s[SUMS] = {0.0};
    int64_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
      for (int j = 0; j < SUMS; j++) s[j] += x[i + j];
    for (; i < n; i++) s[0] += x[i];
    for (int j = 0; j < SUMS; j++) total += s[j];
    __asm__ volatile("" ::: "memory");
  }
  *sink = total;
  return now() - start;
}
