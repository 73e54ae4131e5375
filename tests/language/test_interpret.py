"""The interpreter against densities written out by hand: plates, scans, branches, missing data, values."""

import math

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import (
    Bernoulli,
    Categorical,
    Dirichlet,
    Flat,
    Gamma,
    Independent,
    MultivariateNormal,
    Normal,
    Poisson,
    Uniform,
)
from ppl.language.gfi import generate, log_density, simulate
from ppl.language.interpret import interpret

from .by_hand import DTYPE, SIGMA, Y, close, normal, schools, t

# ---------------------------------------------------------------- plates


def test_a_plate_is_a_product() -> None:
    theta = np.array([1.0, -2.0, 0.5])
    found = log_density(schools(SIGMA).condition(y=Y), {"mu": 1.5, "tau": 2.0, "theta": theta})
    expected = (
        normal(1.5, 0, 5)
        + normal(2.0, 0, 5)
        + math.log(2)
        + normal(theta, 1.5, 2.0)
        + normal(Y, theta, SIGMA)
    )
    close(found, expected)


def test_nested_plates_index_from_the_outside_in() -> None:
    @ppl.model
    def m():
        for _ in ppl.plate("i", 2):
            a = ppl.sample("a", Normal(0.0, 1.0))
            for _ in ppl.plate("j", 3):
                ppl.sample("x", Normal(a, 2.0).expand([4]))

    a, x = torch.randn(2, dtype=DTYPE), torch.randn(2, 3, 4, dtype=DTYPE)
    close(log_density(m(), {"a": a, "x": x}), normal(a) + normal(x, a[:, None, None], 2.0))
    trace = simulate(m(), seed=3)
    assert trace["x"].shape == (2, 3, 4) and trace.dims("x") == ("i", "j")
    assert trace["x"].unique().numel() == 24  # every element has its own draw


def test_a_plate_over_a_vector_site_equals_its_elements() -> None:
    @ppl.model
    def vector(loc):
        ppl.sample("x", Normal(loc, 1.0))

    @ppl.model
    def loop(loc):
        for j in ppl.plate("j", 3):
            ppl.sample("x", Normal(loc[j], 1.0))

    loc, x = t(1, 2, 3), torch.randn(3, dtype=DTYPE)
    close(log_density(vector(loc), {"x": x}), log_density(loop(loc), {"x": x}))


def test_gather_stacks_what_the_variable_was_in_every_turn() -> None:
    @ppl.model
    def m(n):
        for j in (p := ppl.plate("j", n)):
            x = ppl.sample("x", Normal(0.0, 1.0))
            both = {"x": x, "j": (j, 2.0 * x)}
        return p.gather(x), p.gather(both), p.gather((x, j))

    trace = simulate(m(4), seed=1)
    x, both, pair = trace.value
    assert torch.equal(x, trace["x"]) and torch.equal(both["x"], x) and torch.equal(both["j"][1], 2 * x)
    assert both["j"][0].tolist() == [0, 1, 2, 3] == pair[1].tolist()


def test_gather_refuses_what_no_variable_held() -> None:
    @ppl.model
    def expression():
        for _ in (p := ppl.plate("j", 3)):
            x = ppl.sample("x", Normal(0.0, 1.0))
        return p.gather(x + 1)

    @ppl.model
    def inside():
        for _ in (p := ppl.plate("j", 3)):
            x = ppl.sample("x", Normal(0.0, 1.0))
            p.gather(x)

    with pytest.raises(ppl.PplError, match="can't tell which variable"):
        simulate(expression())
    with pytest.raises(ppl.PplError, match="stands inside the plate"):
        simulate(inside())


def test_an_empty_plate_has_empty_sites() -> None:
    @ppl.model
    def m(n):
        x = torch.zeros(())
        for _ in (p := ppl.plate("j", n)):
            x = ppl.sample("x", Normal(0.0, 1.0))
        return p.gather(x)

    trace = simulate(m(0))
    assert trace.value.shape == (0,) and float(trace.log_density) == 0.0
    close(log_density(m(0), {"x": torch.zeros(0)}), 0.0)


def test_a_subsampled_plate_rescales_and_picks_the_data() -> None:
    @ppl.model
    def m(loc):
        for j in (p := ppl.plate("j", 10, subsample=4)):
            ppl.sample("y", Normal(loc[j], 1.0))
        return p.gather(j)

    loc, y = torch.arange(10, dtype=DTYPE), torch.randn(10, dtype=DTYPE)
    trace = simulate(m(loc).condition(y=y), seed=5)
    chosen = trace.value
    assert len(set(chosen.tolist())) == 4 and trace["y"].shape == (4,)
    assert torch.equal(trace["y"], y[chosen])
    close(trace.log_density, 10 / 4 * normal(y[chosen], loc[chosen]))
    # Averaged over subsamples it is the full density.
    found = [float(simulate(m(loc).condition(y=y), seed=s).log_density) for s in range(400)]
    full = [normal(y[j], loc[j]) for j in range(10)]
    error = 10 * np.std(full) / math.sqrt(4) / math.sqrt(400)
    assert abs(np.mean(found) - sum(full)) < 4 * error


# ---------------------------------------------------------------- scans and branches


def test_a_scan_is_a_loop() -> None:
    @ppl.model
    def m(xs):
        def step(carry, x):
            z = ppl.sample("z", Normal(0.5 * carry, 1.0))
            ppl.sample("y", Normal(z + x, 0.1))
            return z, z * 2

        return ppl.scan("time", step, 0.3, xs)

    xs, z, y = torch.randn(5), torch.randn(5, dtype=DTYPE), torch.randn(5, dtype=DTYPE)
    before = torch.cat([t(0.3), z[:-1]])
    bound = m(xs).condition(y=y)
    close(log_density(bound, {"z": z}), normal(z, 0.5 * before) + normal(y, z + xs.to(DTYPE), 0.1))
    last, outputs = generate(bound, {"z": z})[0].value
    assert float(last) == float(z[-1]) and torch.equal(outputs, 2 * z)
    assert simulate(bound).dims("z") == ("time",)


def test_the_step_of_a_scan_returns_its_carry_or_a_pair() -> None:
    @ppl.model
    def m(kind):
        def carry_only(c, i):
            return (c[0] + i, c[1] * 2)

        def with_output(c, i):
            return (c[0] + i, c[1] * 2), {"i": i, "none": None}

        return ppl.scan("t", with_output if kind else carry_only, (0, 1.0), length=4)

    a, b = simulate(m(False)).value
    assert (int(a), float(b)) == (6, 16.0)
    (a, b), out = simulate(m(True)).value
    assert (int(a), float(b), out["i"].tolist(), out["none"]) == (6, 16.0, [0, 1, 2, 3], None)


def test_a_plate_in_a_scan_in_a_plate() -> None:
    @ppl.model
    def m():
        for _ in ppl.plate("i", 2):

            def step(c, k):
                for _ in ppl.plate("j", 3):
                    ppl.sample("x", Normal(c, 1.0))
                return c + 1.0

            ppl.scan("t", step, 0.0, length=4)

    x = torch.randn(2, 4, 3, dtype=DTYPE)
    close(log_density(m(), {"x": x}), normal(x, np.arange(4)[None, :, None]))


@ppl.model
def branching():
    b = ppl.sample("b", Bernoulli(0.3))
    x = ppl.cond(
        b == 1, lambda c: ppl.sample("x", Normal(c, 1.0)), lambda c: -ppl.sample("x", Gamma(2.0, 1.0)), 5.0
    )
    return x


def test_cond_scores_the_branch_taken() -> None:
    close(log_density(branching(), {"b": 1, "x": 4.0}), math.log(0.3) + normal(4.0, 5.0))
    close(log_density(branching(), {"b": 0.0, "x": 4.0}), math.log(0.7) + math.log(4.0) - 4.0)
    assert float(generate(branching(), {"b": 0, "x": 4.0})[0].value) == -4.0


def test_absent_elements_are_nan_outside_and_absent_inside() -> None:
    @ppl.model
    def m(kinds):
        for j in ppl.plate("j", 4):
            ppl.cond(
                kinds[j] > 0, lambda: ppl.sample("x", Normal(0.0, 1.0)), lambda: ppl.sample("k", Poisson(3.0))
            )

    trace = simulate(m(np.array([1, 0, 0, 1])))
    assert torch.isnan(trace["x"]).tolist() == [False, True, True, False]
    assert torch.isnan(trace["k"]).tolist() == [True, False, False, True]
    close(log_density(m(np.array([1, 0, 0, 1])), trace.choices), trace.log_density)
    close(log_density(m(np.array([1, 0, 0, 1])), dict(trace.choices)), trace.log_density)


@pytest.mark.parametrize(
    ("index", "taken"), [(-3, 0), (0, 0), (1, 1), (2, 2), (9, 2), (True, 1), (torch.tensor(1), 1)]
)
def test_switch_clamps_its_index(index, taken) -> None:
    @ppl.model
    def m():
        return ppl.switch(index, [lambda: 0, lambda: 1, lambda: 2])

    assert simulate(m()).value == taken


# ---------------------------------------------------------------- missing data


def test_missing_elements_are_latent() -> None:
    y = np.array([28.0, np.nan, -3.0])
    bound = schools(SIGMA).condition(y=y)
    trace = simulate(bound, seed=4)
    assert torch.isnan(trace.latents["y"]).tolist() == [True, False, True]
    assert torch.isnan(trace.observed["y"]).tolist() == [False, True, False]
    choices = {"mu": 0.0, "tau": 1.0, "theta": t(1, 2, 3), "y": t(math.nan, 7.0, math.nan)}
    close(
        log_density(bound, choices),
        log_density(
            schools(SIGMA).condition(y=np.array([28.0, 7.0, -3.0])),
            {k: v for k, v in choices.items() if k != "y"},
        ),
    )
    _, weight = generate(bound, {k: v for k, v in choices.items() if k != "y"})
    expected = normal(0, 0, 5) + normal(1, 0, 5) + math.log(2) + normal([1, 2, 3], 0, 1)
    close(weight, expected + normal([28.0, -3.0], [1, 3], SIGMA[[0, 2]]))


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Independent(d, 1)])
def test_missing_entries_of_a_vector(wrap) -> None:
    @ppl.model
    def m():
        mu = ppl.sample("mu", Normal(0.0, 1.0))
        ppl.observe("y", wrap(Normal(mu, 1.0).expand([3])), [1.0, math.nan, 3.0])

    trace, weight = generate(m(), {"mu": 0.5}, seed=1)
    drawn = float(trace["y"][1])
    assert trace["y"][[0, 2]].tolist() == [1.0, 3.0] and math.isfinite(drawn)
    close(weight, normal(0.5) + normal([1.0, 3.0], 0.5))
    close(trace.log_density, normal(0.5) + normal([1.0, drawn, 3.0], 0.5))
    close(log_density(m(), {"mu": 0.5, "y": t(0.0, 2.0, 0.0)}), normal(0.5) + normal([1.0, 2.0, 3.0], 0.5))


# ---------------------------------------------------------------- values, gradients, randomness


def test_outside_the_support_the_density_is_zero() -> None:
    @ppl.model
    def m():
        ppl.sample("u", Uniform(0.0, 1.0))
        ppl.sample("k", Categorical(torch.ones(3)))
        ppl.sample("s", Dirichlet(torch.ones(2)))
        ppl.sample("n", Poisson(1.0))

    good = {"u": 0.5, "k": 2, "s": t(0.5, 0.5), "n": 2.0}
    assert math.isfinite(log_density(m(), good))
    for name, bad in [("u", 1.5), ("k", 3), ("k", -1), ("s", t(0.5, 0.6)), ("n", -1.0), ("n", 0.5)]:
        assert float(log_density(m(), {**good, name: bad})) == -math.inf, (name, bad)


def test_log_density_is_differentiable() -> None:
    theta = t(0.1, 0.2, 0.3).requires_grad_()
    mu = torch.tensor(1.0, dtype=DTYPE, requires_grad=True)
    log_density(schools(SIGMA).condition(y=Y), {"mu": mu, "tau": 2.0, "theta": theta}).backward()
    close(mu.grad, -1.0 / 25 + float((theta.detach() - 1.0).sum()) / 4)
    expected = -(theta.detach() - 1.0) / 4 + (torch.tensor(Y) - theta.detach()) / torch.tensor(SIGMA) ** 2
    assert torch.allclose(theta.grad, expected, rtol=1e-12)


def test_draws_depend_on_seed_and_address_only() -> None:
    @ppl.model
    def m(first):
        if first:
            ppl.sample("other", Normal(0.0, 1.0))
        return ppl.sample("x", Normal(0.0, 1.0))

    state = torch.get_rng_state()
    assert (
        float(simulate(m(True), 1).value)
        == float(simulate(m(False), 1).value)
        != float(simulate(m(True), 2).value)
    )
    assert torch.equal(state, torch.get_rng_state())


def test_everything_is_float64() -> None:
    trace = simulate(schools(SIGMA.astype("float32")).condition(y=torch.tensor(Y, dtype=torch.float32)))
    assert {trace[n].dtype for n in trace} == {DTYPE} and torch.get_default_dtype() == torch.float32


def test_params_and_modules() -> None:
    layer = torch.nn.Linear(2, 1)

    @ppl.guide
    def q():
        loc = ppl.param("loc", torch.zeros(()))
        net = ppl.module("net", layer)
        ppl.sample("x", Normal(loc + net(torch.ones(2))[0], ppl.param("s", 1.0, constraint="positive")))

    shift = (layer.weight.double().sum() + layer.bias.double()).detach()
    close(log_density(q(), {"x": 1.0}).detach(), normal(1.0, shift))
    given = {"loc": torch.tensor(2.0, requires_grad=True), "net.bias": t(0.0), "net.weight": t(0, 0)[None]}
    value = log_density(q(), {"x": 1.0}, params=given)
    close(value.detach(), normal(1.0, 2.0))
    value.backward()
    close(given["loc"].grad, -1.0)
    assert set(simulate(q()).params) == {"loc", "s", "net.weight", "net.bias"}


def test_a_dynamic_program_branches_in_python() -> None:
    @ppl.model(dynamic=True)
    def geometric():
        n = 0
        while ppl.sample(f"stop{n}", Bernoulli(0.5)) == 0:
            n += 1
        return n

    trace = simulate(geometric(), seed=3)
    close(trace.log_density, -(trace.value + 1) * math.log(2))
    close(log_density(geometric(), {"stop0": 0, "stop1": 1, "stop2": 0}), -2 * math.log(2))


def test_score_factor_can_be_simulated_but_not_scored() -> None:
    @ppl.model
    def m():
        x = ppl.sample("x", Normal(0.0, 1.0))
        ppl.score_factor("s", x, -x)

    assert simulate(m())["x"].shape == ()
    for use in (
        lambda: simulate(m()).log_density,
        lambda: log_density(m(), {"x": 0.0}),
        lambda: generate(m()),
    ):
        with pytest.raises(ppl.PplError, match="has no value"):
            use()


def test_the_trace_prints_every_site() -> None:
    text = repr(simulate(schools(SIGMA).condition(y=np.array([1.0, np.nan, 2.0]))))
    assert all(word in text for word in ("schools", "mu", "theta", "partly observed", "log density"))


def test_a_multivariate_site_in_a_plate() -> None:
    @ppl.model
    def m():
        for _ in ppl.plate("i", 2):
            ppl.sample("x", MultivariateNormal(torch.zeros(2), 4.0 * torch.eye(2)))

    x = torch.randn(2, 2, dtype=DTYPE)
    close(log_density(m(), {"x": x}), normal(x, 0, 2))
    half = t(1.0, math.nan, 0.0, 0.0).reshape(2, 2)
    with pytest.raises(ppl.PplError, match="known in part"):
        generate(m(), {"x": half})
    fresh = t(1.0, 2.0, math.nan, math.nan).reshape(2, 2)
    close(generate(m(), {"x": fresh})[1], normal([1.0, 2.0], 0, 2))


def test_a_partly_observed_vector_is_scored_jointly() -> None:
    @ppl.model
    def m():
        ppl.sample("x", MultivariateNormal(torch.zeros(2), torch.tensor([[2.0, 1.0], [1.0, 2.0]])))

    bound = m().condition(x=[1.0, math.nan])
    joint = log_density(m(), {"x": [1.0, 3.0]})
    close(log_density(bound, {"x": [math.nan, 3.0]}), joint)
    close(generate(bound, {"x": [0.0, 3.0]})[1], joint)
    with pytest.raises(ppl.PplError, match="known in part"):
        simulate(bound)


def test_improper_priors_can_be_scored_not_drawn() -> None:
    @ppl.model
    def m():
        ppl.sample("x", Flat(lower=0.0))

    close(log_density(m(), {"x": 1.0}), 0.0)
    assert float(log_density(m(), {"x": -1.0})) == -math.inf
    with pytest.raises(ppl.PplError) as error:
        simulate(m())
    assert error.value.site == "x" and error.value.where is not None


def test_interpret_looks_up_constraints_before_the_past() -> None:
    past = simulate(schools(SIGMA).condition(y=Y))
    trace = interpret(past.bound, {"mu": 1.0}, previous=past.choices, draw=False)
    assert float(trace["mu"]) == 1.0 and torch.equal(trace["theta"], past["theta"])
