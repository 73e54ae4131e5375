/* x: mu_a, log sigma_a, beta[2], log sigma_y, base[J].   env: county, log_uppm, floor, log_radon, N, J. */
#include "density.h"

DENSITY(density_of) {
  const int32_t *county = ARRAY(int32_t, 0);
  const double *uppm = ARRAY(double, 1), *floor_ = ARRAY(double, 2), *y = ARRAY(double, 3);
  const int64_t N = env[4], J = env[5];
  const double mu_a = x[0], sigma_a = exp(x[1]), b1 = x[2], b2 = x[3], sigma_y = exp(x[4]), *base = x + 5;
  const double precision = 1.0 / (sigma_y * sigma_y);
  double alpha[J], d_alpha[J];
  for (int64_t j = 0; j < J; j++) {
    alpha[j] = mu_a + sigma_a * base[j];
    d_alpha[j] = 0.0;
  }
  double squares = 0.0, d_b1 = 0.0, d_b2 = 0.0;
  for (int64_t n = 0; n < N; n++) {
    int32_t c = county[n];
    double r = y[n] - alpha[c] - b1 * uppm[n] - b2 * floor_[n];
    squares += r * r;
    d_b1 += r * uppm[n];
    d_b2 += r * floor_[n];
    d_alpha[c] += r;
  }
  double d_mu = 0.0, d_sigma = 0.0, prior = 0.0;
  for (int64_t j = 0; j < J; j++) {
    double b = base[j], g = d_alpha[j] * precision;
    d_mu += g;
    d_sigma += g * b;
    prior += b * b;
    out[6 + j] = g * sigma_a - b;
  }
  prior += 0.01 * (mu_a * mu_a + b1 * b1 + b2 * b2) + sigma_a * sigma_a + sigma_y * sigma_y;
  out[0] = -0.5 * (squares * precision + prior) - (double)N * x[4] + x[1] + x[4];
  out[1] = d_mu - 0.01 * mu_a;
  out[2] = (d_sigma - sigma_a) * sigma_a + 1.0;
  out[3] = d_b1 * precision - 0.01 * b1;
  out[4] = d_b2 * precision - 0.01 * b2;
  out[5] = squares * precision - (double)N - sigma_y * sigma_y + 1.0;
  return 0;
}
