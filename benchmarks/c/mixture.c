/* x: two breaks of a stick of weights, mu_1 and the logs of the steps to mu_2 and mu_3, log sigma[3].
   env: y, N. */
#include "density.h"

DENSITY(density_of) {
  const double *y = ARRAY(double, 0);
  const int64_t N = env[1];
  const double step1 = exp(x[3]), step2 = exp(x[4]), m0 = x[2], m1 = m0 + step1, m2 = m1 + step2;
  const double p0 = exp(-x[5]), p1 = exp(-x[6]), p2 = exp(-x[7]);

  /* Weights z1, (1 − z1) z2, (1 − z1)(1 − z2), where z1 = sigmoid(x[0] − log 2) and z2 = sigmoid(x[1]). */
  const double t1 = exp(-x[0] + 0.69314718055994530942), t2 = exp(-x[1]);
  const double z1 = 1.0 / (1.0 + t1), z2 = 1.0 / (1.0 + t2);
  const double log_z1 = log(z1), log_rest1 = log(t1 * z1), log_z2 = log(z2), log_rest2 = log(t2 * z2);
  const double a0 = log_z1 - x[5], a1 = log_rest1 + log_z2 - x[6], a2 = log_rest1 + log_rest2 - x[7];

  double value = 0.0, n0 = 0.0, n1 = 0.0, n2 = 0.0;
  double s0 = 0.0, s1 = 0.0, s2 = 0.0, q0 = 0.0, q1 = 0.0, q2 = 0.0;
  for (int64_t n = 0; n < N; n++) {
    double u0 = (y[n] - m0) * p0, u1 = (y[n] - m1) * p1, u2 = (y[n] - m2) * p2;
    double l0 = a0 - 0.5 * u0 * u0, l1 = a1 - 0.5 * u1 * u1, l2 = a2 - 0.5 * u2 * u2;
    double top = larger(l0, larger(l1, l2));
    double e0 = exp(l0 - top), e1 = exp(l1 - top), e2 = exp(l2 - top), sum = e0 + e1 + e2, share = 1.0 / sum;
    value += top + log(sum);
    double r0 = e0 * share, r1 = e1 * share, r2 = e2 * share;
    n0 += r0;
    n1 += r1;
    n2 += r2;
    s0 += r0 * u0;
    s1 += r1 * u1;
    s2 += r2 * u2;
    q0 += r0 * u0 * u0;
    q1 += r1 * u1 * u1;
    q2 += r2 * u2 * u2;
  }
  const double ninth = 1.0 / 9.0;
  const double d0 = s0 * p0 - m0 * ninth, d1 = s1 * p1 - m1 * ninth, d2 = s2 * p2 - m2 * ninth;
  value -= 0.5 * ninth * (m0 * m0 + m1 * m1 + m2 * m2) + 2.0 * (x[5] * x[5] + x[6] * x[6] + x[7] * x[7]);
  value += x[3] + x[4] + log_z1 + 2.0 * log_rest1 + log_z2 + log_rest2;
  out[0] = value;
  out[1] = (n0 + 1.0) * (1.0 - z1) - (n1 + n2 + 2.0) * z1;
  out[2] = (n1 + 1.0) * (1.0 - z2) - (n2 + 1.0) * z2;
  out[3] = d0 + d1 + d2;
  out[4] = (d1 + d2) * step1 + 1.0;
  out[5] = d2 * step2 + 1.0;
  out[6] = q0 - n0 - 4.0 * x[5];
  out[7] = q1 - n1 - 4.0 * x[6];
  out[8] = q2 - n2 - 4.0 * x[7];
  return 0;
}
