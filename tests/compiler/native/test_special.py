"""Special functions of the native subset against 50 digits of mpmath, against torch at the edges, and against
themselves compiled, alone and in vectorised loops.
"""

from __future__ import annotations

import inspect
import math
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from ppl.compiler.native import Library, build, from_source
from ppl.compiler.native.special import CALLED, MATH, SPECIAL

DIGITS = 50
EPSILON = 2.0**-52
ROOT_2 = mpf(2) ** mpf("0.5")


@pytest.fixture(autouse=True)
def _digits() -> Any:
    with mp.workdps(DIGITS):
        yield


@dataclass(frozen=True)
class Case:
    """A function's bound on ranges.

    The error is in ulps of the exact value, or of `floor` where that is larger: near zeros where terms cancel
    only the absolute error can be small.
    """

    name: str
    exact: Callable[[mpf], mpf]
    ulps: float
    ranges: tuple[tuple[float, float], ...]
    more: tuple[float, ...] = ()
    floor: float = 0.0

    def __str__(self) -> str:
        return self.name + ("-absolute" if self.floor else "")

    def check(self, x: float) -> None:
        if self.name in POLES and x <= 0.0 and x == round(x):
            return  # these are edges
        found, exact = SPECIAL[self.name](x, *self.more), self.exact(mpf(x))
        rounded = float(exact)
        if math.isinf(rounded):
            assert found == rounded, x
            return
        error = abs(mpf(found) - exact) / math.ulp(max(abs(rounded), self.floor))
        assert error <= self.ulps, f"{self.name}({x!r}) = {found!r} is {float(error):.2f} ulps off"


POLES = {"lgamma", "digamma", "trigamma"}  # at 0 and the negative integers


def _log_ndtr(x: mpf) -> mpf:
    below = mpmath.erfc(abs(x) / mp.sqrt(2)) / 2
    return mp.log(below) if x < 0 else mpmath.log1p(-below)


def _log_gamma(x: mpf) -> mpf:
    if x > 0:
        return mpmath.loggamma(x)
    return mp.log(mp.pi / abs(x * mpmath.sinpi(x))) - mpmath.loggamma(-x)


CASES = [
    Case("exp", mp.exp, 1.01, ((-746.0, 710.0), (-1.0, 1.0), (1e-300, 1.0))),
    Case("exp2", lambda x: mpf(2) ** x, 1.2, ((-1076.0, 1025.0), (-1.0, 1.0))),
    Case("expm1", mpmath.expm1, 2.0, ((-50.0, 710.0), (-1.0, 1.0), (5e-324, 1.0))),
    Case("log", mp.log, 1.0, ((5e-324, 1.7e308), (0.5, 2.0), (0.999, 1.001))),
    Case("log2", lambda x: mp.log(x) / mp.log(2), 2.0, ((5e-324, 1.7e308), (0.5, 2.0))),
    Case("log10", lambda x: mp.log(x) / mp.log(10), 2.0, ((5e-324, 1.7e308), (0.5, 2.0))),
    Case("log1p", mpmath.log1p, 2.0, ((5e-324, 1.7e308), (-0.999999999, 2.0), (-1e-3, 1e-3))),
    Case("sigmoid", lambda x: 1 / (1 + mp.exp(-x)), 3.0, ((-745.0, 40.0), (-3.0, 3.0), (-745.2, -700.0))),
    Case(
        "softplus",
        lambda x: mpmath.log1p(mp.exp(x)),
        2.0,
        ((-745.0, 745.0), (-3.0, 3.0), (-745.2, -30.0)),
        (1.0, 1e3),
    ),
    Case(
        "log_sigmoid", lambda x: -mpmath.log1p(mp.exp(-x)), 2.0, ((-745.0, 745.0), (-3.0, 3.0), (30.0, 745.2))
    ),
    Case("tanh", mp.tanh, 3.0, ((-25.0, 25.0), (5e-324, 1.0))),
    Case("sinh", mp.sinh, 3.0, ((-711.0, 711.0), (-2.0, 2.0), (5e-324, 1.0))),
    Case("cosh", mp.cosh, 2.0, ((-711.0, 711.0), (-2.0, 2.0))),
    Case("asinh", mp.asinh, 2.5, ((5e-324, 1.7e308), (-2.0, 2.0))),
    Case("acosh", mp.acosh, 3.0, ((1.0, 1.7e308), (1.0, 1.1))),
    Case("atanh", mp.atanh, 3.0, ((-0.9999999999, 0.9999999999), (5e-324, 0.5))),
    Case("asin", mp.asin, 3.0, ((-1.0, 1.0), (5e-324, 0.5))),
    Case("acos", mp.acos, 2.0, ((-1.0, 1.0), (0.9999, 1.0))),
    Case("atan", mp.atan, 2.0, ((5e-324, 1.7e308), (-3.0, 3.0))),
    Case("rsqrt", lambda x: 1 / mp.sqrt(x), 2.0, ((5e-324, 1.7e308),)),
    Case("erf", mpmath.erf, 2.0, ((-6.5, 6.5), (5e-324, 1.0))),
    Case("erfc", mpmath.erfc, 6.0, ((-6.5, 27.3), (-1.0, 1.0))),
    Case("erfcx", lambda x: mp.exp(x * x) * mpmath.erfc(x), 5.0, ((-26.6, 30.0), (0.0, 3.0))),
    Case("erfcx", lambda x: 1 / (mp.sqrt(mp.pi) * (x + 1 / (2 * x))), 3.0, ((1e5, 1e300),)),
    Case("ndtr", lambda x: mpmath.erfc(-x / mp.sqrt(2)) / 2, 6.0, ((-38.4, 9.0), (-1.0, 1.0))),
    Case("log_ndtr", _log_ndtr, 6.0, ((-40.0, 38.0), (-1.0, 1.0), (-1e6, -30.0))),
    Case("lgamma", _log_gamma, 6.0, ((5e-324, 1e300), (0.5, 5.0), (0.9, 1.1), (1.9, 2.1), (4.0, 200.0))),
    Case("lgamma", _log_gamma, 8.0, ((-30.0, -1e-3), (-1e-3, -1e-300)), floor=1.0),
    Case("digamma", lambda x: mpmath.psi(0, x), 7.0, ((1e-300, 1e300), (0.1, 5.0), (1.4, 1.5), (4.0, 50.0))),
    Case("digamma", lambda x: mpmath.psi(0, x), 8.0, ((-30.0, -1e-3), (-1e-3, -1e-300)), floor=1.0),
    Case("trigamma", lambda x: mpmath.psi(1, x), 6.0, ((1e-150, 1e300), (0.1, 6.0), (-30.0, -1e-3))),
    Case("i0", lambda x: mpmath.besseli(0, x), 6.0, ((-713.0, 713.0), (0.0, 9.0))),
    Case("i1", lambda x: mpmath.besseli(1, x), 6.0, ((-713.0, 713.0), (1e-300, 9.0))),
    Case("i0e", lambda x: mp.exp(-x) * mpmath.besseli(0, x), 6.0, ((0.0, 800.0), (0.0, 9.0))),
    Case("i1e", lambda x: mp.exp(-x) * mpmath.besseli(1, x), 6.0, ((1e-300, 800.0), (0.0, 9.0))),
]


def _points(name: str, low: float, high: float, n: int) -> list[float]:
    """A grid with random numbers between, in decades where the range spans many."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {low} {high}".encode()))
    wide = low * high > 0 and (max(abs(low), abs(high)) / min(abs(low), abs(high)) > 1e3)
    sign = math.copysign(1.0, low)
    a, b = (math.log(abs(low)), math.log(abs(high))) if wide else (low, high)
    raw = [*np.linspace(a, b, n // 2), *rng.uniform(min(a, b), max(a, b), n // 2)]
    return [float(min(max(sign * math.exp(v) if wide else v, low), high)) for v in raw]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_accuracy_on_grids(case: Case) -> None:
    for low, high in case.ranges:
        for x in _points(case.name, low, high, 120):
            case.check(x)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_accuracy_at_drawn_points(case: Case) -> None:
    """Hypothesis prefers the ends of ranges, small and whole numbers, and powers of two."""

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(st.one_of(*(st.floats(low, high) for low, high in case.ranges)))
    def check(x: float) -> None:
        with mp.workdps(DIGITS):
            case.check(x)

    check()


def test_powers() -> None:
    rng = np.random.default_rng(1)
    for spread in (0.1, 1.0, 10.0, 100.0):
        logarithms, exponents = rng.normal(size=150) * spread, rng.uniform(-745, 709, 150)
        for logarithm, exponent in zip(logarithms, exponents, strict=True):
            x, y = math.exp(logarithm), float(exponent / logarithm)
            exact = mp.power(mpf(x), mpf(y))
            error = abs(mpf(SPECIAL["pow"](x, y)) - exact) / math.ulp(float(exact))
            assert error <= 2.0, (x, y, float(error))


def test_angles_and_lengths() -> None:
    rng = np.random.default_rng(2)
    for spread in (1.0, 100.0):
        for y, x in rng.normal(size=(200, 2)) * np.exp(spread * rng.normal(size=(200, 2))):
            y, x = float(y), float(x)
            angle, length = mpmath.atan2(mpf(y), mpf(x)), mpmath.hypot(mpf(x), mpf(y))
            assert abs(mpf(SPECIAL["atan2"](y, x)) - angle) <= 2.5 * math.ulp(float(angle)), (y, x)
            assert abs(mpf(SPECIAL["hypot"](x, y)) - length) <= 1.5 * math.ulp(float(length)), (x, y)


def test_logaddexp_and_xlogy() -> None:
    rng = np.random.default_rng(3)
    for a, b in rng.normal(size=(300, 2)) * 20:
        a, b = float(a), float(b)
        total = mp.log(mp.exp(mpf(a)) + mp.exp(mpf(b)))
        # max + log1p: each rounds to half an ulp of itself, so that only the larger of them bounds the error
        bound = 2.0 * math.ulp(max(abs(a), abs(b), 1.0))
        assert abs(mpf(SPECIAL["logaddexp"](a, b)) - total) <= bound, (a, b)
        product = mpf(a) * mp.log(mpf(abs(b)))
        assert abs(mpf(SPECIAL["xlogy"](a, abs(b))) - product) <= 2.0 * math.ulp(float(product)), (a, b)


def test_softplus_scales_and_stops_at_its_threshold() -> None:
    softplus = SPECIAL["softplus"]
    assert softplus(1.5, 2.0, 2.0) == 1.5
    assert softplus(1.0, 2.0, 2.0) == pytest.approx(float(mpmath.log1p(mp.exp(2)) / 2), rel=3 * EPSILON)


def test_floor_division_is_pythons() -> None:
    """Also where the quotient of the difference and the divisor rounds to just below an integer."""
    rng = np.random.default_rng(5)
    a = rng.normal(size=2000) * 10.0 ** rng.uniform(0, 25, 2000)
    b = rng.normal(size=2000) * 10.0 ** rng.uniform(-3, 3, 2000)
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        assert SPECIAL["floor_divide"](x, y) == x // y
        assert SPECIAL["remainder"](x, y) == x % y


@pytest.mark.parametrize("low, high", [(5e-324, 0.5), (0.01, 0.99), (0.4999, 0.5001), (1e-20, 1e-3)])
def test_normal_quantiles_invert_the_distribution(low: float, high: float) -> None:
    """The error of z = ndtri(p) is (Φ(z) - p)/φ(z), computed exactly."""
    for p in _points("ndtri", low, high, 150):
        z = SPECIAL["ndtri"](p)
        below = mpmath.erfc(-mpf(z) / mp.sqrt(2)) / 2
        density = mp.exp(mpf(z) ** 2 / -2) / mp.sqrt(2 * mp.pi)
        assert abs((below - mpf(p)) / density) <= 6 * math.ulp(z), p


@pytest.mark.parametrize("low, high", [(5e-324, 0.9), (0.4, 0.6), (0.9, 1.0 - EPSILON / 2), (-0.99, 0.99)])
def test_inverse_error_function(low: float, high: float) -> None:
    for y in _points("erfinv", low, high, 150):
        x = SPECIAL["erfinv"](y)
        slope = 2 / mp.sqrt(mp.pi) * mp.exp(-(mpf(x) ** 2))
        assert abs((mpmath.erf(mpf(x)) - mpf(y)) / slope) <= 5 * math.ulp(x), y


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 20])
def test_polygamma(n: int) -> None:
    # The error of n! ζ grows with the power, n + 1 roundings of it; below 0 terms cancel between the poles.
    for x in [*_points("polygamma", 1e-3, 1e3, 60), 0.5, 1.0, 2.0]:
        exact = float(mpmath.psi(n, mpf(x)))
        assert SPECIAL["polygamma"](n, x) == pytest.approx(exact, rel=(8 + n) * EPSILON)
    for x in _points("polygamma", -12.03, -0.01, 60):
        exact = float(mpmath.psi(n, mpf(x)))
        assert SPECIAL["polygamma"](n, x) == pytest.approx(exact, rel=1e-13, abs=1e-13 * math.factorial(n))


# ---------------------------------------------------------------- edges, as torch has them

EDGES = [
    0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 1e-310, -1e-310, 1e-300, 0.5, -0.5, 1.0, -1.0,
    1.0 + EPSILON, 1.5, -1.5, 2.0, -2.0, -2.5, 3.0, -3.0, 27.0, -27.0, 40.0, -40.0, 709.5, 710.0, -745.0,
    -746.0, 1e17, -1e17, 1e200, -1e200, 1e308, -1e308,
]  # fmt: skip

TORCH: dict[str, Callable[..., torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "log_sigmoid": torch.nn.functional.logsigmoid,
    "softplus": torch.nn.functional.softplus,
    "trigamma": lambda x: torch.polygamma(1, x),
    "acosh": torch.acosh,
}
# Where torch overflows or underflows on the way, or has its poles wrong: the value.
BETTER: dict[tuple[str, float], float] = {
    ("sigmoid", -745.0): 5e-324,
    ("ndtr", -27.0): 7.389481006885017e-161,
    ("i0", math.inf): math.inf,
    ("i0", -math.inf): math.inf,
    ("i1", math.inf): math.inf,
    ("i1", -math.inf): -math.inf,
    ("i0", 710.0): 3.3453345586196563e306,
    ("i1", 710.0): 3.342977858509763e306,
    **{("trigamma", x): math.inf for x in EDGES if -math.inf < x < 0 and x == round(x)},
}
BINARY = [
    "pow", "atan2", "hypot", "logaddexp", "xlogy", "maximum", "minimum", "remainder", "fmod", "floor_divide",
]  # fmt: skip
UNARY = [name for name in SPECIAL if name not in {*BINARY, "polygamma"}]


def _operator(name: str) -> Callable[..., torch.Tensor]:
    return TORCH.get(name) or getattr(torch, name, None) or getattr(torch.special, name)


def _arguments(name: str, *x: float) -> tuple[float, ...]:
    return (*x, 1.0, 20.0) if name == "softplus" else x


def _agree(found: float, torch_says: float) -> bool:
    if math.isnan(torch_says) or math.isinf(torch_says):
        return found == torch_says or (math.isnan(found) and math.isnan(torch_says))
    # torch has ψ′ to 3e-10; and where half of the least subnormal number rounds is left open
    return abs(found - torch_says) <= 1e-9 * abs(torch_says) + 5e-324


@pytest.mark.parametrize("name", UNARY)
def test_edges_are_torchs(name: str) -> None:
    for x in EDGES:
        expected = _operator(name)(torch.tensor(x, dtype=torch.float64)).item()
        found = SPECIAL[name](*_arguments(name, x))
        assert _agree(found, BETTER.get((name, x), expected)), (x, found, expected)


@pytest.mark.parametrize("name", BINARY)
def test_edges_of_two_arguments_are_torchs(name: str) -> None:
    further = [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (6.0, -2.0), (1e300, 3.0), (0.1, 1e-5)]
    for x, y in [*product(EDGES, EDGES), *further]:
        expected = _operator(name)(
            torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
        ).item()
        found = SPECIAL[name](x, y)
        assert _agree(found, expected), (x, y, found, expected)


ODD = [
    "expm1", "log1p", "tanh", "sinh", "asinh", "asin", "atan", "atanh", "erf", "erfinv", "i1", "i1e", "sin",
    "tan",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_functions_keep_the_sign_of_zero(name: str) -> None:
    assert math.copysign(1.0, SPECIAL[name](-0.0)) == -1.0
    assert math.copysign(1.0, SPECIAL[name](0.0)) == 1.0


# ---------------------------------------------------------------- compiled

LIBM = {"sin", "cos", "tan"}  # in Python and compiled they are the same function, which needs no test
EXACT = [name for name in SPECIAL if name not in LIBM]
BRANCHING = {*LIBM, "polygamma", "remainder", "fmod", "floor_divide"}
N = 37  # not a multiple of any vector's width: the loop has a rest


@pytest.fixture(scope="module")
def library() -> Library:
    return build([SPECIAL[name] for name in EXACT], name="special")


@pytest.fixture(scope="module")
def loops() -> Library:
    """A loop over arrays for each function."""
    functions = []
    for name in EXACT:
        arity = 2 if name in BINARY else 1
        first = "1, " if name == "polygamma" else ""
        inside = first + ", ".join(["x[i]", "z[i]"][:arity]) + (", 1.0, 20.0" if name == "softplus" else "")
        functions += from_source(
            f"def loop_{name}(x: Floats, z: Floats, y: Floats, n: i64) -> None:\n"
            f"    for i in range(n):\n        y[i] = {name}({inside})\n",
            f"loop_{name}",
            uses={name: SPECIAL[name]},
        )
    return build(functions, name="loops")


def _same_bits(a: float, b: float) -> bool:
    return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))


ANY = st.one_of(st.floats(), st.floats(-40.0, 40.0), st.sampled_from(EDGES))


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("name", EXACT)
def test_compiled_is_python_to_the_bit(name: str, library: Library) -> None:
    """And neither raises, whatever the arguments."""
    function, compiled = SPECIAL[name], library[name]
    first = (2,) if name == "polygamma" else ()

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(ANY, ANY)
    def check(x: float, y: float) -> None:
        arguments = _arguments(name, x, y) if name in BINARY else (*first, *_arguments(name, x))
        assert _same_bits(function(*arguments), compiled(*arguments)), arguments

    check()


@pytest.mark.parametrize("name", EXACT)
def test_vectorised_is_scalar_to_the_bit(name: str, library: Library, loops: Library) -> None:
    rng = np.random.default_rng(4)
    for low, high in ((-5.0, 5.0), (0.0, 1.0), (-800.0, 800.0), (-1e300, 1e300)):
        x, z = rng.uniform(low / 2, high / 2, N) * 2, rng.uniform(low / 2, high / 2, N) * 2
        x[::7] = rng.choice(EDGES, len(x[::7]))
        y = np.empty(N)
        loops[f"loop_{name}"](x, z, y, N)
        for xi, zi, yi in zip(x.tolist(), z.tolist(), y.tolist(), strict=True):
            arguments = (xi, zi) if name in BINARY else _arguments(name, xi)
            if name == "polygamma":
                arguments = (1, xi)
            assert _same_bits(library[name](*arguments), yi), arguments


@pytest.mark.parametrize("name", [name for name in EXACT if name not in BRANCHING])
def test_loops_vectorise(name: str, loops: Library) -> None:
    body = loops.optimised_ir.split(f"@loop_{name}.")[1].split("\n}")[0]
    assert "vector.body" in body
    assert not re.search(r"call [^\n]*double @(?!llvm\.)", body)


@pytest.mark.parametrize("argument", ["t", "-t"])
def test_a_logistic_likelihood_and_its_gradient_share_their_exponential(argument: str) -> None:
    [f] = from_source(
        "def f(x: Floats, y: Floats, z: Floats, n: i64) -> None:\n    for i in range(n):\n        t = x[i]\n"
        f"        y[i] = log_sigmoid(t)\n        z[i] = sigmoid({argument})\n",
        "f",
        uses={name: SPECIAL[name] for name in ("log_sigmoid", "sigmoid")},
    )
    body = build([f]).optimised_ir.split("vector.body:")[1].split("br i1")[0]
    assert len(re.findall(r"= shl <", body)) == 1  # the power of two


def test_called_functions_are_not_inlined() -> None:
    [f] = from_source("def f(x: f64) -> f64:\n    return lgamma(x)\n", "f", uses={"lgamma": CALLED["lgamma"]})
    library = build([f])
    assert re.search(r"call [^\n]*double @lgamma\.", library.optimised_ir)
    assert library["f"](3.7) == SPECIAL["lgamma"](3.7)


def test_tables_name_functions_of_one_meaning() -> None:
    assert set(MATH) <= set(SPECIAL) == set(CALLED)
    for name, function in SPECIAL.items():
        assert function.name == name
        types = {p.annotation for p in inspect.signature(function.python).parameters.values()}
        assert types <= {"f64", "i64"}
