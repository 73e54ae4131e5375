"""The coefficients of `ppl.compiler.native.special`: what is approximated, where, and by which degrees.

Each function is interpolated at Chebyshev nodes in 60 digits, by a polynomial or a rational function, which
comes within a small factor of the best approximation; then coefficients are rounded to doubles.

    python tests/compiler/native/minimax.py            # prints coefficients and errors of all
    python tests/compiler/native/minimax.py exp log    # of some
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
from mpmath import mp, mpf

DIGITS = 60
Real = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Fit:
    """`function` on [low, high] by a polynomial of degree `degree`, over one of degree `below` if not 0.

    `origin`: the rational function is found in 1/(x + origin) and expanded in x, for half lines.
    """

    function: Real
    low: float | mpf
    high: float | mpf
    degree: int
    below: int = 0
    origin: float = 0.0


def chebyshev_nodes(low: mpf, high: mpf, n: int) -> list[mpf]:
    middle, half = (mpf(low) + high) / 2, (mpf(high) - low) / 2
    return [middle + half * mpmath.cospi(mpf(2 * k + 1) / (2 * n)) for k in range(n)]


def interpolate(fit: Fit) -> tuple[list[mpf], list[mpf]]:
    """Coefficients of p and of q (q[0] = 1) with p(x) = f(x) q(x) at the nodes."""
    n = fit.degree + fit.below + 1
    rows, right = mp.matrix(n, n), mp.matrix(n, 1)
    for i, x in enumerate(chebyshev_nodes(fit.low, fit.high, n)):
        value = fit.function(x)
        right[i] = value
        for j in range(n):
            rows[i, j] = x**j if j <= fit.degree else -value * x ** (j - fit.degree)
    solution = list(mp.lu_solve(rows, right))
    return solution[: fit.degree + 1], [mpf(1), *solution[fit.degree + 1 :]]


def on_half_line(p: list[mpf], q: list[mpf], origin: float) -> tuple[list[mpf], list[mpf]]:
    """p(w) w / q(w) with w = 1/(x + origin), as polynomials in x; the lower one is of degree one more."""

    def in_x(c: list[mpf], degree: int) -> list[mpf]:
        result = [mpf(0)] * (degree + 1)
        for i, ci in enumerate(c):  # ci (x + origin)^(degree - i)
            for j in range(degree - i + 1):
                result[j] += ci * mpmath.binomial(degree - i, j) * mpf(origin) ** (degree - i - j)
        return result

    n = len(p) - 1
    return in_x(p, n), in_x(q, n + 1)


def horner(c: list[mpf], x: mpf) -> mpf:
    return mpmath.polyval(c[::-1], x)


def coefficients(name: str) -> tuple[list[float], list[float]]:
    """The doubles of p and q as they stand in the source, lowest power first."""
    with mp.workdps(DIGITS):
        fit = FITS[name]
        p, q = interpolate(fit)
        if fit.origin:
            p, q = on_half_line(p, q, fit.origin)
            p, q = [c / q[0] for c in p], [c / q[0] for c in q]
        return [float(c) for c in p], [float(c) for c in q]


def error(name: str, points: int = 200) -> float:
    """The largest relative error of the approximation with its rounded coefficients, in exact arithmetic."""
    with mp.workdps(DIGITS):
        fit = FITS[name]
        p, q = ([mpf(c) for c in cs] for cs in coefficients(name))
        worst = mpf(0)
        for x in chebyshev_nodes(fit.low, fit.high, points):
            value = fit.function(x)
            at, factor = (1 / x - fit.origin, x) if fit.origin else (x, 1)
            worst = max(worst, abs(horner(p, at) / horner(q, at) / factor / value - 1))
        return float(worst)


# ---------------------------------------------------------------- exponential and logarithm


def _exp_remainder(r: mpf) -> mpf:
    """(exp(r) − 1 − r) / r²."""
    return mpmath.hyp1f1(1, 3, r) / 2


def _log_remainder(t: mpf) -> mpf:
    """(log((1 + s)/(1 − s)) − 2 s) / s³ at t = s²."""
    return mpmath.hyp2f1(1.5, 1, 2.5, t) * 2 / 3


def _pow_remainder(t: mpf) -> mpf:
    """(24 atanh(u/2)/u − 12 − u²) / u⁴ at t = u²."""
    return mpmath.hyp2f1(2.5, 1, 3.5, t / 4) * 12 / 80


# ---------------------------------------------------------------- error function


def _erf_ratio(t: mpf) -> mpf:
    """erf(x)/x at t = x²."""
    return 2 / mp.sqrt(mp.pi) * mpmath.hyp1f1(0.5, 1.5, -t)


def _erfcx(x: mpf) -> mpf:
    if x < 25:
        with mp.workdps(DIGITS + int(x * x / 2) + 10):
            return mp.exp(x * x) * mpmath.erfc(x)
    total, term, k = mpf(0), mpf(1), 1
    while abs(term) > mpf(10) ** -(DIGITS + 5) and k < 2 * x * x:
        total += term
        term *= -(2 * k - 1) / (2 * x * x)
        k += 1
    return total / (x * mp.sqrt(mp.pi))


_ORIGIN = 2.3


def _erfcx_over_w(w: mpf) -> mpf:
    """erfcx(x) / w at w = 1/(x + origin)."""
    return _erfcx(1 / w - mpf(_ORIGIN)) / w


def _erfinv_ratio(t: mpf) -> mpf:
    """erfinv(x)/x at t = x²."""
    x = mp.sqrt(t)
    return mpmath.erfinv(x) / x


def _erfc_inverse_ratio(w: mpf) -> mpf:
    """z/s where erfc(z) = exp(−s²), at w = 1/s."""
    s = 1 / w
    z = s
    for _ in range(100):
        e = _erfcx(z)
        step = (mp.log(e) - z * z + s * s) * e * mp.sqrt(mp.pi) / 2
        z += step
        if abs(step) < mpf(10) ** -40:
            break
    return z * w


# ---------------------------------------------------------------- angles


def _atan_remainder(t: mpf) -> mpf:
    """(atan(x) − x)/x³ at t = x²."""
    return -mpmath.hyp2f1(1.5, 1, 2.5, -t) / 3


def _asin_remainder(t: mpf) -> mpf:
    """(asin(x) − x)/x³ at t = x²."""
    x = mp.sqrt(t)
    return (mp.asin(x) - x) / x**3


# ---------------------------------------------------------------- gamma


def _lgamma_middle(z: mpf) -> mpf:
    """log Γ(1 + z) / (z (z − 1))."""
    return mpmath.loggamma(1 + z) / (z * (z - 1))


def _stirling(t: mpf) -> mpf:
    """(log Γ(x) − (x − ½) log x + x − ½ log 2π) x at t = 1/x²."""
    x = 1 / mp.sqrt(t)
    return (mpmath.loggamma(x) - (x - 0.5) * mp.log(x) + x - mp.log(2 * mp.pi) / 2) * x


def _digamma_root() -> mpf:
    return mp.findroot(lambda z: mpmath.psi(0, 1 + z), 0.46)


def _digamma_middle(z: mpf) -> mpf:
    """ψ(1 + z) / (z − root)."""
    return mpmath.psi(0, 1 + z) / (z - _digamma_root())


def _digamma_tail(t: mpf) -> mpf:
    """(log x − 1/(2x) − ψ(x)) x² at t = 1/x²."""
    x = 1 / mp.sqrt(t)
    return (mp.log(x) - 1 / (2 * x) - mpmath.psi(0, x)) * x**2


def _trigamma_tail(t: mpf) -> mpf:
    """(ψ′(x) − 1/x − 1/(2x²)) x³ at t = 1/x²."""
    x = 1 / mp.sqrt(t)
    return (mpmath.psi(1, x) - 1 / x - 1 / (2 * x * x)) * x**3


def _sinpi_ratio(t: mpf) -> mpf:
    """sin(πr)/(πr) at t = r²."""
    return mpmath.sincpi(mp.sqrt(t))


def _cospi(t: mpf) -> mpf:
    """cos(πr) / (1 − 4 r²) at t = r²."""
    return mpmath.cospi(mp.sqrt(t)) / (1 - 4 * t)


# ---------------------------------------------------------------- Bessel


def _bessel_small(order: int) -> Real:
    """I_order(x) / (x/2)^order at t = x²/4, times ½ for order 1."""
    return lambda t: mpmath.hyp0f1(order + 1, t) / (order + 1)


def _bessel_large(order: int) -> Real:
    """sqrt(x) exp(−x) I_order(x) at c = 16/x − 1."""

    def function(c: mpf) -> mpf:
        x = 16 / (c + 1)
        return mp.sqrt(x) * mp.exp(-x) * mpmath.besseli(order, x)

    return function


_HALF_LN2 = mp.log(2) / 2
_S = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)

FITS = {
    "exp": Fit(_exp_remainder, -_HALF_LN2, _HALF_LN2, 10),
    "log": Fit(_log_remainder, 0.0, _S**2, 6),
    "log1p_unit": Fit(_log_remainder, 0.0, 1 / mpf(9), 9),
    "pow": Fit(_pow_remainder, 0.0, 4 * _S**2, 6),
    "erf": Fit(_erf_ratio, 0.0, 1.0, 12),
    "erfcx": Fit(_erfcx_over_w, 0.0, 1 / mpf(_ORIGIN), 11, 11, origin=_ORIGIN),
    "atan": Fit(_atan_remainder, 0.0, (mp.sqrt(2) - 1) ** 2, 10),
    "asin": Fit(_asin_remainder, 0.0, 0.25, 12),
    "erfinv": Fit(_erfinv_ratio, 0.0, 0.25, 6, 6),
    "erfc_inverse": Fit(_erfc_inverse_ratio, 1 / 27.4, 1 / 0.83, 6, 6),
    "lgamma_middle": Fit(_lgamma_middle, 0.0, 3.0, 9, 9),
    "lgamma_tail": Fit(_stirling, 0.0, 1 / 16, 8),
    "sinpi": Fit(_sinpi_ratio, 0.0, 0.25, 8),
    "cospi": Fit(_cospi, 0.0, 0.25, 8),
    "digamma_middle": Fit(_digamma_middle, 0.0, 3.0, 8, 8),
    "digamma_tail": Fit(_digamma_tail, 0.0, 1 / 16, 8),
    "trigamma_middle": Fit(lambda z: mpmath.psi(1, 1 + z), 0.0, 4.0, 8, 9),
    "trigamma_tail": Fit(_trigamma_tail, 0.0, 1 / 25, 8),
    "i0_small": Fit(_bessel_small(0), 0.0, 16.0, 16),
    "i1_small": Fit(_bessel_small(1), 0.0, 16.0, 16),
    "i0_large": Fit(_bessel_large(0), -1.0, 1.0, 24),
    "i1_large": Fit(_bessel_large(1), -1.0, 1.0, 24),
}


def main(names: list[str]) -> None:
    for name in names or FITS:
        p, q = coefficients(name)
        print(f"{name}: relative error {error(name):.1e}")
        for row in (p, q) if FITS[name].below else (p,):
            print("    " + ", ".join(repr(c) for c in row))


if __name__ == "__main__":
    main(sys.argv[1:])
