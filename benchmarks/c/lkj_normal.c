/* x: mu[4], log scale[4], the strict lower triangle of L row by row.   env: y [N, 4], N.

   L_ij = tanh(u_ij) Π_{k<j} sech(u_ik), L_ii = Π_k sech(u_ik). The rows are whitened one by one,
   z = A⁻¹ (y − mu); w = A⁻ᵀ z is what each adds to the gradient by mu, and w zᵀ to that by A. */
#include "density.h"

#define D 4

DENSITY(density_of) {
  const double *y = ARRAY(double, 0);
  const int64_t N = env[1];
  const double *mu = x, *log_scale = x + D, *u = x + 2 * D;
  double scale[D], L[D][D] = {{1.0}}, th[D][D], reach[D][D], inverse[D], d_A[D][D] = {{0.0}}, d_mu[D] = {0.0};
  double value = 0.0, log_diagonal = 0.0;
  for (int i = 0; i < D; i++) {
    double rest = 1.0, log_rest = 0.0;
    for (int j = 0; j < i; j++, u++) {
      double e = exp(-2.0 * fabs(*u)), log_cosh = fabs(*u) + log1p(e) - 0.69314718055994530942;
      th[i][j] = copysign((1.0 - e) / (1.0 + e), *u);
      reach[i][j] = rest;
      L[i][j] = th[i][j] * rest;
      rest *= exp(-log_cosh);
      log_rest -= log_cosh;
      value -= (1.0 + i - j) * log_cosh; /* the Jacobian */
    }
    L[i][i] = rest;
    scale[i] = exp(log_scale[i]);
    value += (D - 1.0 - i + 2.0) * (i ? log_rest : 0.0); /* LKJ with eta = 2: powers of L_ii */
    value += log_scale[i] - 0.125 * scale[i] * scale[i] - 0.02 * mu[i] * mu[i];
    log_diagonal += log_scale[i] + log_rest;
    inverse[i] = 1.0 / (scale[i] * rest);
  }
  const double A10 = scale[1] * L[1][0], A20 = scale[2] * L[2][0], A21 = scale[2] * L[2][1];
  const double A30 = scale[3] * L[3][0], A31 = scale[3] * L[3][1], A32 = scale[3] * L[3][2];
  double squares = 0.0;
  for (int64_t n = 0; n < N; n++) {
    const double *row = y + n * D;
    double z0 = (row[0] - mu[0]) * inverse[0];
    double z1 = (row[1] - mu[1] - A10 * z0) * inverse[1];
    double z2 = (row[2] - mu[2] - A20 * z0 - A21 * z1) * inverse[2];
    double z3 = (row[3] - mu[3] - A30 * z0 - A31 * z1 - A32 * z2) * inverse[3];
    double w3 = z3 * inverse[3];
    double w2 = (z2 - A32 * w3) * inverse[2];
    double w1 = (z1 - A21 * w2 - A31 * w3) * inverse[1];
    double w0 = (z0 - A10 * w1 - A20 * w2 - A30 * w3) * inverse[0];
    squares += z0 * z0 + z1 * z1 + z2 * z2 + z3 * z3;
    d_mu[0] += w0;
    d_mu[1] += w1;
    d_mu[2] += w2;
    d_mu[3] += w3;
    d_A[0][0] += w0 * z0;
    d_A[1][0] += w1 * z0;
    d_A[1][1] += w1 * z1;
    d_A[2][0] += w2 * z0;
    d_A[2][1] += w2 * z1;
    d_A[2][2] += w2 * z2;
    d_A[3][0] += w3 * z0;
    d_A[3][1] += w3 * z1;
    d_A[3][2] += w3 * z2;
    d_A[3][3] += w3 * z3;
  }
  out[0] = value - 0.5 * squares - (double)N * log_diagonal;
  double *d_u = out + 1 + 2 * D;
  for (int i = 0; i < D; i++) {
    double by_scale = 0.0;
    for (int j = 0; j <= i; j++) by_scale += d_A[i][j] * scale[i] * L[i][j]; /* d/d log scale_i */
    out[1 + i] = d_mu[i] - 0.04 * mu[i];
    out[1 + D + i] = by_scale - (double)N + 1.0 - 0.25 * scale[i] * scale[i];
    /* By u_ij: L_ij through its tanh, and all entries to the right through log sech, whose slope is −tanh. */
    double right = d_A[i][i] * scale[i] * L[i][i] - (double)N + (i ? D - 1.0 - i + 2.0 : 0.0);
    for (int j = i - 1; j >= 0; j--) {
      double t = th[i][j], g = d_A[i][j] * scale[i];
      d_u[i * (i - 1) / 2 + j] = g * reach[i][j] * (1.0 - t * t) - t * (right + 1.0 + i - j);
      right += g * L[i][j];
    }
  }
  return 0;
}
