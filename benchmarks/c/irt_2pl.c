/* x: log sigma_theta, log sigma_a, log sigma_b, mu_b, theta[J], log a[I], b[I].   env: y [I, J], I, J. */
#include "density.h"

DENSITY(density_of) {
  const double *y = ARRAY(double, 0);
  const int64_t I = env[1], J = env[2];
  const double s_theta = exp(x[0]), s_a = exp(x[1]), s_b = exp(x[2]), mu = x[3];
  const double *theta = x + 4, *log_a = x + 4 + J, *b = x + 4 + J + I;
  const double p_theta = 1.0 / (s_theta * s_theta), p_a = 1.0 / (s_a * s_a), p_b = 1.0 / (s_b * s_b);
  double *restrict d_theta = out + 5, *restrict d_a = out + 5 + J, *restrict d_b = out + 5 + J + I;
  double q_theta = 0.0, q_a = 0.0, q_b = 0.0, d_mu = 0.0, value = 0.0, slope[3];
  for (int64_t j = 0; j < J; j++) {
    q_theta += theta[j] * theta[j];
    d_theta[j] = -theta[j] * p_theta;
  }
  for (int64_t i = 0; i < I; i++) {
    const double *restrict row = y + i * J;
    double a = exp(log_a[i]), by_a = 0.0, by_b = 0.0, u = b[i] - mu;
    for (int64_t j = 0; j < J; j++) {
      double away = theta[j] - b[i], eta = a * away, t = exp(-fabs(eta)), p = 1.0 / (1.0 + t);
      double r = row[j] - (eta >= 0.0 ? p : t * p);
      value += row[j] * eta - larger(eta, 0.0) - log(1.0 + t);
      by_a += r * away;
      by_b += r;
      d_theta[j] += r * a;
    }
    q_a += log_a[i] * log_a[i];
    q_b += u * u;
    d_mu += u;
    d_a[i] = by_a * a - log_a[i] * p_a;
    d_b[i] = -by_b * a - u * p_b;
  }
  value -= 0.5 * (q_theta * p_theta + q_a * p_a + q_b * p_b + 0.04 * mu * mu);
  value -= (double)J * x[0] + (double)I * (x[1] + x[2]);
  value += half_cauchy(x[0], s_theta, 2.0, slope) + half_cauchy(x[1], s_a, 2.0, slope + 1);
  out[0] = value + half_cauchy(x[2], s_b, 2.0, slope + 2);
  out[1] = q_theta * p_theta - (double)J + slope[0];
  out[2] = q_a * p_a - (double)I + slope[1];
  out[3] = q_b * p_b - (double)I + slope[2];
  out[4] = d_mu * p_b - 0.04 * mu;
  return 0;
}
