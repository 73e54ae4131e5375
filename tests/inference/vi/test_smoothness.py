"""What the soundness gate takes for continuous: poles that a value can reach are refused, others are not."""

from __future__ import annotations

import math

import pytest
import torch
from inference.vi.subjects import near
from inference.vi.test_gradients import DRAWS
from torch import sigmoid

import ppl
from ppl.compiler.estimators.intervals import NONNEGATIVE, POSITIVE, REAL, UNIT, Interval, Ranges
from ppl.compiler.ops import make, make_input
from ppl.distributions import Beta, Dirichlet, Gamma, HalfNormal, Normal, Uniform, ZeroInflated
from ppl.errors import PplError

DATA = torch.tensor([0.5, 2.0])


@ppl.guide
def real():
    ppl.sample("x", Normal(ppl.param("m", 0.2), ppl.param("s", 1.0, constraint="positive")), grad="reparam")


@ppl.guide
def positive():
    ppl.sample("x", Gamma(ppl.param("m", 3.2), 1.0), grad="reparam")


def objective(f):
    return ppl.objective(lambda q: f(ppl.simulate(q)["x"]))


POLES = {
    "1 / x": lambda x: sigmoid(1 / x),
    "reciprocal": lambda x: sigmoid(torch.reciprocal(x)),
    "division": lambda x: sigmoid((x + 1) / x),
    "a negative power": lambda x: sigmoid(x**-1.0),
    "the square's": lambda x: 1 / (x * x),
    "log of |x|": lambda x: torch.log(x.abs()),
    "rsqrt of |x|": lambda x: torch.rsqrt(x.abs()),
    "log1p": lambda x: torch.log1p(x.clamp(min=-1.0)),
    "lgamma": torch.lgamma,
    "tan": torch.tan,
    "between the data": lambda x: (1 / (DATA - torch.exp(x))).sum(),
    "1 / sin": lambda x: 1 / torch.sin(x),
}

KEPT_AWAY = {
    "exp": lambda x: 1 / torch.exp(x),
    "1 + x²": lambda x: x / (1 + x * x),
    "1 + x ** 2": lambda x: 1 / (1 + x**2),
    "1 − sigmoid": lambda x: torch.log(1 - sigmoid(x)),
    "1 − tanh²": lambda x: torch.log1p(-(torch.tanh(x) ** 2)),
    "softplus": lambda x: torch.log(torch.nn.functional.softplus(x)),
    "softmax": lambda x: torch.log(torch.softmax(torch.stack([x, -x]), 0)).sum(),
    "clamp": lambda x: 1 / x.clamp(min=0.1),
    "sqrt": lambda x: 1 / torch.sqrt(x * x + 1e-3),
    "beside data": lambda x: (DATA / (DATA + torch.exp(x))).sum(),
    "a scale that no choice moves": lambda x: x / DATA[0],
    "lgamma of exp": lambda x: torch.lgamma(torch.exp(x)),
    "a share": lambda x: torch.log(1 - torch.exp(x) / (torch.exp(x) + 2.0)),
    "the length of a vector": lambda x: x / torch.sqrt((torch.stack([x, x + 1]) ** 2).sum()),
}


@pytest.mark.parametrize("name", POLES)
def test_poles_that_can_be_reached_are_refused(name):
    with pytest.raises(PplError, match="not sound for 'x': the objective jumps"):
        ppl.value_and_grad(objective(POLES[name]))(real())


@pytest.mark.parametrize("name", KEPT_AWAY)
def test_what_is_kept_away_from_poles_is_smooth(name):
    ppl.value_and_grad(objective(KEPT_AWAY[name]))(real())


@pytest.mark.parametrize("name", ("1 / x", "reciprocal", "division", "log of |x|", "rsqrt of |x|", "lgamma"))
def test_the_ends_of_a_support_are_no_poles(name):
    ppl.value_and_grad(objective(POLES[name]))(positive())


def test_a_simplex_is_positive():
    @ppl.guide
    def q():
        ppl.sample("x", Dirichlet(ppl.param("a", torch.ones(3))), grad="reparam")

    ppl.value_and_grad(objective(lambda x: torch.log(x).sum() + 1 / (x[0] + x[1])))(q())
    with pytest.raises(PplError, match="`log` of it"):
        ppl.value_and_grad(objective(lambda x: torch.log(x[0] - x[1])))(q())


def test_auto_finds_the_derivative_past_a_pole():
    """d/dm E sigmoid(1/x), x ~ N(m, 1): the pathwise derivative alone lacks the jump at 0."""

    @ppl.guide
    def q():
        ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0))

    m = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    x = torch.linspace(-12, 12, 480_001, dtype=torch.float64)[1::2]  # 0 is none of them
    density = torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi)
    exact = (density * sigmoid(1 / x)).sum() * float(x[1] - x[0])
    found, grads = ppl.value_and_grad(objective(POLES["1 / x"]))(q(), draws=DRAWS)
    near(found, exact.detach())
    near(grads["m"], torch.autograd.grad(exact, m)[0])


def test_scans_keep_what_is_known_of_their_carries():
    """A variance that stays positive from step to step (the local level model's filter)."""

    def filtered(x):
        r = torch.exp(x)

        def step(variance, _):
            forecast = variance + 0.5
            return (1.0 - forecast / (forecast + r)) * forecast

        return torch.log(ppl.scan("time", step, torch.tensor(1.0), length=3))

    def falling(x):
        return torch.log(ppl.scan("time", lambda c, _: c - 0.1 * torch.exp(x), torch.tensor(1.0), length=3))

    ppl.value_and_grad(objective(filtered))(real())
    with pytest.raises(PplError, match="`log` of it"):
        ppl.value_and_grad(objective(falling))(real())


def test_intervals():
    x, y = (make_input(n, (), torch.float64) for n in "xy")
    ranges = Ranges({x: Interval(-1.0, 2.0), y: POSITIVE})

    def of(op, *args):
        return ranges[make(op, *args)]

    assert of("mul", x, x) == Interval(0.0, 4.0)
    assert of("mul", x, y) == REAL
    assert (of("div", x, y).low, of("div", x, y).high) == (-math.inf, math.inf)
    assert of("add", x, y) == Interval(-1.0, math.inf, below=True)
    assert of("sub", 1.0, make("sigmoid", x)).within(UNIT)
    assert of("exp", make("neg", y)) == Interval(0.0, 1.0, True, True)
    assert of("reciprocal", make("add", y, 2.0)).within(Interval(0.0, 0.5, True, True))
    assert of("sqrt", make("mul", x, x)) == Interval(0.0, 2.0)
    assert of("maximum", x, y).within(POSITIVE) and not of("minimum", x, y).within(NONNEGATIVE)
    assert of("pow", x, 3.0) == REAL and of("pow", x, -2.0) == REAL
    assert of("pow", y, -0.5).within(POSITIVE)
    assert of("clamp", x).within(Interval(-1.0, 2.0))


# ---------------------------------------------------------------- densities


def scored(guide, model):
    @ppl.objective
    def f(p, q):
        return ppl.log_density(p, {"y": ppl.simulate(q).value})

    return lambda: ppl.value_and_grad(f)(model(), guide())


def test_a_value_inside_a_support_is_no_jump_and_one_that_leaves_it_is():
    @ppl.model
    def p():
        ppl.sample("y", HalfNormal(1.0))

    def q(f):
        @ppl.guide
        def guide():
            return f(ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0), grad="reparam"))

        return guide

    scored(q(torch.exp), p)()
    with pytest.raises(PplError, match="HalfNormal"):
        scored(q(lambda x: x + 1.0), p)()


def test_what_a_scan_returns_is_not_taken_for_a_choice():
    """y = 2x − 1 leaves the positive numbers, wherever it is computed."""

    @ppl.model
    def p():
        ppl.sample("y", HalfNormal(1.0))

    def q(last):
        @ppl.guide
        def guide():
            def step(_, t):
                return last(ppl.sample("x", Beta(ppl.param("a", 2.0), 2.0), grad="reparam"))

            return ppl.scan("time", step, torch.tensor(0.5), length=100)

        return guide

    scored(q(lambda x: x), p)()
    with pytest.raises(PplError, match="HalfNormal"):
        scored(q(lambda x: 2.0 * x - 1.0), p)()


def test_ends_that_move_inside_a_wrapper_are_seen():
    """A zero-inflated uniform distribution whose end depends on x."""

    def p(family):
        @ppl.model
        def model():
            x = ppl.sample("y", Normal(0.0, 1.0))
            ppl.observe("seen", family(x), torch.tensor(0.3))

        return model

    @ppl.guide
    def q():
        return ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0), grad="reparam")

    scored(q, p(lambda x: ZeroInflated(Normal(x, 1.0), gate=0.2)))()
    scored(q, p(lambda x: ZeroInflated(Gamma(torch.exp(x), 1.0), gate_logits=x)))()
    with pytest.raises(PplError, match="whose support ZeroInflated moves"):
        scored(q, p(lambda x: ZeroInflated(Uniform(-1.0, torch.exp(x)), gate=0.2)))()
