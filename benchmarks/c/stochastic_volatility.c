/* x: mu, phi as logit of (phi + 1) / 2, log sigma, raw[T].   env: y², room for two series, T. */
#include "density.h"

DENSITY(density_of) {
  const double *squares = ARRAY(double, 0);
  const int64_t T = env[2];
  double *restrict h = (double *)(intptr_t)env[1], *restrict d_h = h + T;
  const bounded phi = to_interval(x[1], -1.0, 2.0);
  const double mu = x[0], sigma = exp(x[2]), *raw = x + 3, rest = 1.0 - phi.value * phi.value;
  const double first = 1.0 / sqrt(rest);
  double value = 0.0, d_mu = 0.0, slope;
  double state = h[0] = sigma * raw[0] * first;
  for (int64_t t = 1; t < T; t++) h[t] = state = phi.value * state + sigma * raw[t];
  for (int64_t t = 0; t < T; t++) {
    double log_variance = mu + h[t], q = squares[t] * exp(-log_variance), g = 0.5 * (q - 1.0);
    value -= 0.5 * (log_variance + q + raw[t] * raw[t]);
    d_mu += g;
    d_h[t] = g;
  }
  double d_phi = 0.0, d_sigma = 0.0, back = 0.0;
  for (int64_t t = T - 1; t > 0; t--) {
    back = d_h[t] + phi.value * back;
    d_phi += back * h[t - 1];
    d_sigma += back * raw[t];
    out[4 + t] = back * sigma - raw[t];
  }
  back = d_h[0] + phi.value * back;
  d_sigma += back * raw[0] * first;
  d_phi += back * h[0] * phi.value / rest;
  out[4] = back * sigma * first - raw[0];
  out[0] = value - 0.02 * mu * mu + phi.log_jacobian + half_cauchy(x[2], sigma, 1.0, &slope);
  out[1] = d_mu - 0.04 * mu;
  out[2] = d_phi * phi.slope + phi.log_slope;
  out[3] = d_sigma * sigma + slope;
  return 0;
}
