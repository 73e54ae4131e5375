/* x: mu, log tau, base[J].   env: y, 1/sigma, J. */
#include "density.h"

DENSITY(density_of) {
  const double *y = ARRAY(double, 0), *precision = ARRAY(double, 1);
  const int64_t J = env[2];
  const double mu = x[0], tau = exp(x[1]), *base = x + 2;
  double value = 0.0, d_mu = 0.0, d_tau = 0.0, slope;
  for (int64_t j = 0; j < J; j++) {
    double b = base[j], p = precision[j];
    double z = (y[j] - mu - tau * b) * p, g = z * p;
    value -= 0.5 * (z * z + b * b);
    d_mu += g;
    d_tau += g * b;
    out[3 + j] = g * tau - b;
  }
  out[0] = value - 0.02 * mu * mu + half_cauchy(x[1], tau, 5.0, &slope);
  out[1] = d_mu - 0.04 * mu;
  out[2] = d_tau * tau + slope;
  return 0;
}
