/* x: beta[5], then for each of five factors its deviation, as the logit of sigma / 100, and its effects.
   env: groups [5, N] (places in x), columns [4, N] (black, female, v_prev, female·black), y, N, sizes[5]. */
#include "density.h"

#define ROWS 64

DENSITY(density_of) {
  const int32_t *groups = ARRAY(int32_t, 0);
  const double *columns = ARRAY(double, 1), *y = ARRAY(double, 2);
  const int64_t N = env[3], *sizes = env + 4;
  const int32_t *g0 = groups, *g1 = g0 + N, *g2 = g1 + N, *g3 = g2 + N, *g4 = g3 + N;
  const double *c1 = columns, *c2 = c1 + N, *c3 = c2 + N, *c4 = c3 + N;
  double *restrict d = out + 1, value = 0.0;
  int64_t at = 5;
  for (int k = 0; k < 5; k++) {
    value -= 0.5e-4 * x[k] * x[k];
    d[k] = -1e-4 * x[k];
  }
  for (int f = 0; f < 5; f++) {
    bounded sigma = to_interval(x[at], 0.0, 100.0);
    double precision = 1.0 / (sigma.value * sigma.value), squares = 0.0, size = (double)sizes[f];
    for (int64_t i = at + 1; i <= at + sizes[f]; i++) {
      squares += x[i] * x[i];
      d[i] = -x[i] * precision;
    }
    value += sigma.log_jacobian - 0.5 * squares * precision - size * log(sigma.value);
    d[at] = (squares * precision - size) / sigma.value * sigma.slope + sigma.log_slope;
    at += sizes[f] + 1;
  }
  double b0 = 0.0, b1 = 0.0, b2 = 0.0, b3 = 0.0, b4 = 0.0, r[ROWS];
  for (int64_t start = 0; start < N; start += ROWS) {
    int64_t m = N - start < ROWS ? N - start : ROWS;
    for (int64_t i = 0, n = start; i < m; i++, n++) {
      double eta = x[0] + x[1] * c1[n] + x[2] * c2[n] + x[3] * c3[n] + x[4] * c4[n];
      eta += x[g0[n]] + x[g1[n]] + x[g2[n]] + x[g3[n]] + x[g4[n]];
      double t = exp(-fabs(eta)), p = 1.0 / (1.0 + t);
      double e = y[n] - (eta >= 0.0 ? p : t * p);
      value += y[n] * eta - larger(eta, 0.0) - log(1.0 + t);
      b0 += e;
      b1 += e * c1[n];
      b2 += e * c2[n];
      b3 += e * c3[n];
      b4 += e * c4[n];
      r[i] = e;
    }
    for (int64_t i = 0, n = start; i < m; i++, n++) {
      d[g0[n]] += r[i];
      d[g1[n]] += r[i];
      d[g2[n]] += r[i];
      d[g3[n]] += r[i];
      d[g4[n]] += r[i];
    }
  }
  d[0] += b0;
  d[1] += b1;
  d[2] += b2;
  d[3] += b3;
  d[4] += b4;
  out[0] = value;
  return 0;
}
