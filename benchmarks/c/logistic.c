/* x: beta[K].   env: X [N, K], y, N, K.

   One pass over X, in blocks of rows that stay in the cache: their log odds, their residuals in vectors,
   and what they add to the gradient. */
#include "density.h"

#define ROWS 32

static inline double dot(const double *restrict a, const double *restrict b, int64_t n) {
  double s = 0.0;
  for (int64_t k = 0; k < n; k++) s += a[k] * b[k];
  return s;
}

/* e[i] = (row i)·b for four rows, side by side so that their sums do not wait for each other. */
static inline void four_dots(const double *rows, const double *b, int64_t n, double *restrict e) {
  double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
  for (int64_t k = 0; k < n; k++) {
    s0 += rows[k] * b[k];
    s1 += rows[n + k] * b[k];
    s2 += rows[2 * n + k] * b[k];
    s3 += rows[3 * n + k] * b[k];
  }
  e[0] = s0;
  e[1] = s1;
  e[2] = s2;
  e[3] = s3;
}

/* log Bernoulli(y | logit e) of a block; e becomes y − sigmoid(e). */
static inline double residuals(double *restrict e, const double *restrict y, int64_t n) {
  double value = 0.0;
  for (int64_t i = 0; i < n; i++) {
    double eta = e[i], t = exp(-fabs(eta)), p = 1.0 / (1.0 + t);
    value += y[i] * eta - larger(eta, 0.0) - log(1.0 + t);
    e[i] = y[i] - (eta >= 0.0 ? p : t * p);
  }
  return value;
}

DENSITY(density_of) {
  const double *X = ARRAY(double, 0), *y = ARRAY(double, 1);
  const int64_t N = env[2], K = env[3];
  double *restrict gradient = out + 1, e[ROWS], value = 0.0;
  for (int64_t k = 0; k < K; k++) {
    value -= 0.5 * x[k] * x[k];
    gradient[k] = -x[k];
  }
  int64_t n = 0;
  for (; n + ROWS <= N; n += ROWS) {
    const double *block = X + n * K;
    for (int i = 0; i < ROWS; i += 4) four_dots(block + i * K, x, K, e + i);
    value += residuals(e, y + n, ROWS);
    for (int i = 0; i < ROWS; i += 4) {
      const double *r = block + i * K;
      for (int64_t k = 0; k < K; k++)
        gradient[k] += e[i] * r[k] + e[i + 1] * r[K + k] + e[i + 2] * r[2 * K + k] + e[i + 3] * r[3 * K + k];
    }
  }
  for (; n < N; n++) {
    const double *r = X + n * K;
    e[0] = dot(r, x, K);
    value += residuals(e, y + n, 1);
    for (int64_t k = 0; k < K; k++) gradient[k] += e[0] * r[k];
  }
  out[0] = value;
  return 0;
}
