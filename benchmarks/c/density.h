/* What the densities share: the calling convention, vector forms of exp and log, maps to intervals. */
#ifndef DENSITY_H
#define DENSITY_H

#include <math.h>
#include <stdint.h>

/* x: unconstrained coordinates. out[0]: the log density, out[1..]: its gradient. env: addresses and sizes. */
#define DENSITY(name) int64_t name(const double *restrict x, double *restrict out, int64_t *restrict env)

#define ARRAY(type, word) ((const type *)(intptr_t)env[word])

/* glibc's vector mathematics (libmvec). Its headers declare it for the whole of -ffast-math only. */
#if defined __x86_64__ && defined __GLIBC__
__attribute__((simd("notinbranch"))) double exp(double);
__attribute__((simd("notinbranch"))) double log(double);
#endif

/* Without branches or calls, so that loops with it become vectors (fmax heeds nan, and would not). */
static inline double larger(double a, double b) { return a > b ? a : b; }

/* x = low + width·sigmoid(u): the value, dx/du, and the log-Jacobian with its derivative. */
typedef struct {
  double value, slope, log_jacobian, log_slope;
} bounded;

static inline bounded to_interval(double u, double low, double width) {
  double e = exp(-fabs(u)), upper = 1.0 / (1.0 + e), lower = e * upper;
  double s = u >= 0.0 ? upper : lower;
  return (bounded){low + width * s, width * upper * lower, log(width * upper * lower), 1.0 - 2.0 * s};
}

/* The log density of HalfCauchy(scale) at exp(u) with the log-Jacobian, without constants; d/du to *slope. */
static inline double half_cauchy(double u, double value, double scale, double *slope) {
  double r = value / scale, q = r * r;
  *slope = 1.0 - 2.0 * q / (1.0 + q);
  return u - log1p(q);
}

#endif
