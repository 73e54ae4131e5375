"""One small instance of each family of vectors and matrices, as its parameters and how they make it."""

import torch
from torch.distributions import Dirichlet, Gamma, Normal

from ppl.distributions.lkj import LKJ, LKJCholesky
from ppl.distributions.matrix import InverseWishart, MatrixNormal, NormalInverseWishart, Wishart
from ppl.distributions.multivariate import (
    DirichletMultinomial,
    LowRankMultivariateNormal,
    MultivariateLogNormal,
    MultivariateNormal,
    MultivariateStudentT,
)
from ppl.distributions.processes import AutoregressiveNormal, BandedNormal, GaussianRandomWalk
from ppl.distributions.product import Product
from ppl.distributions.sphere import UnitSphere, VonMisesFisher
from ppl.distributions.sum_to_zero import IntrinsicCAR, SumToZeroNormal

t = torch.tensor


def v(*values):
    return torch.tensor(values, dtype=torch.float64)


COV = v([1.5, 0.4], [0.4, 0.8])
TRIL = v([1.2, 0.0], [0.5, 0.7])
LOC = v(0.5, -1.0)
BAND = v([1.0, 1.2, 0.9], [0.3, -0.4, 0.0])

# name: (parameters, how they make the family). Tensors, so that ones without data can replace them.
FAMILIES = {
    "mvn_cov": ((LOC, COV), lambda m, c: MultivariateNormal(m, c, validate_args=False)),
    "mvn_precision": (
        (LOC, COV),
        lambda m, c: MultivariateNormal(m, precision_matrix=c, validate_args=False),
    ),
    "mvn_tril": ((LOC, TRIL), lambda m, c: MultivariateNormal(m, scale_tril=c, validate_args=False)),
    "low_rank": (
        (LOC, v([1.0], [0.5]), v(0.5, 0.8)),
        lambda m, w, d: LowRankMultivariateNormal(m, w, d, validate_args=False),
    ),
    "student": (
        (v(6.0).squeeze(), LOC, TRIL),
        lambda n, m, c: MultivariateStudentT(n, m, c, validate_args=False),
    ),
    "log_normal": (
        (0.3 * LOC, 0.5 * TRIL),
        lambda m, c: MultivariateLogNormal(m, scale_tril=c, validate_args=False),
    ),
    "wishart": ((v(4.5).squeeze(), COV), lambda n, c: Wishart(n, c, validate_args=False)),
    "inverse_wishart": (
        (v(9.0).squeeze(), COV),
        lambda n, c: InverseWishart(n, c, validate_args=False),
    ),
    "niw": (
        (LOC[:1], v(2.0).squeeze(), v(8.0).squeeze(), v([1.3])),
        lambda m, k, n, c: NormalInverseWishart(m, k, n, c, validate_args=False),
    ),
    "matrix_normal": (
        (v([0.5], [1.0]), TRIL, v([0.7])),
        lambda m, a, b: MatrixNormal(m, a, b, validate_args=False),
    ),
    "lkj": ((v(1.7).squeeze(),), lambda e: LKJ(3, e, validate_args=False)),
    "lkj_cholesky": ((v(1.7).squeeze(),), lambda e: LKJCholesky(3, e, validate_args=False)),
    "walk": (
        (v(0.6).squeeze(), v(0.2).squeeze()),
        lambda s, d: GaussianRandomWalk(s, 3, drift=d, validate_args=False),
    ),
    "walk_init": (
        (v(0.6).squeeze(), v(1.5).squeeze()),
        lambda s, m: GaussianRandomWalk(s, 3, init=Normal(m, 2.0, validate_args=False), validate_args=False),
    ),
    "ar": (
        (v(0.6, -0.3), v(0.5).squeeze(), v(1.0).squeeze()),
        lambda a, s, m: AutoregressiveNormal(a, s, 3, loc=m, validate_args=False),
    ),
    "ar_init": (
        (v(0.6, -0.3), v(0.5).squeeze(), v(2.0).squeeze()),
        lambda a, s, i: AutoregressiveNormal(a, s, 3, init_scale=i, validate_args=False),
    ),
    "banded": ((v(0.5, -1.0, 0.0), BAND), lambda m, b: BandedNormal(m, b, validate_args=False)),
    "sum_to_zero": ((v(0.7).squeeze(),), lambda s: SumToZeroNormal(3, s, validate_args=False)),
    "icar": (
        (v(0.7).squeeze(),),
        lambda s: IntrinsicCAR(t([0, 1, 2, 0]), t([1, 2, 3, 2]), 4, s, validate_args=False),
    ),
    "sphere": ((), lambda: UnitSphere(3, validate_args=False)),
    "fisher": (
        (v(0.6, 0.0, 0.8), v(2.5).squeeze()),
        lambda m, k: VonMisesFisher(m, k, validate_args=False),
    ),
    "fisher2": ((v(0.6, 0.8), v(2.5).squeeze()), lambda m, k: VonMisesFisher(m, k, validate_args=False)),
    "product": (
        (v(2.0).squeeze(), v(1.5, 2.0, 3.0)),
        lambda a, c: Product(
            [Gamma(a, 1.0, validate_args=False), Dirichlet(c, validate_args=False)], validate_args=False
        ),
    ),
    "dirichlet": ((v(1.5, 2.0, 3.0),), lambda c: Dirichlet(c, validate_args=False)),
    "dirichlet_multinomial": (
        (v(1.0, 2.0, 0.5),),
        lambda c: DirichletMultinomial(4, c, validate_args=False),
    ),
}
