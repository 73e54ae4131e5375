/* x: mu, log tau, theta[J].   env: y, 1/sigma, J. */
#include "density.h"

DENSITY(density_of) {
  const double *y = ARRAY(double, 0), *precision = ARRAY(double, 1);
  const int64_t J = env[2];
  const double mu = x[0], tau = exp(x[1]), inverse = 1.0 / tau, *theta = x + 2;
  double squares = 0.0, value = 0.0, d_mu = 0.0, slope;
  for (int64_t j = 0; j < J; j++) {
    double p = precision[j], z = (y[j] - theta[j]) * p, u = (theta[j] - mu) * inverse, g = u * inverse;
    value += z * z;
    squares += u * u;
    d_mu += g;
    out[3 + j] = z * p - g;
  }
  out[0] = -0.5 * (value + squares) - (double)J * x[1] - 0.02 * mu * mu + half_cauchy(x[1], tau, 5.0, &slope);
  out[1] = d_mu - 0.04 * mu;
  out[2] = squares - (double)J + slope;
  return 0;
}
