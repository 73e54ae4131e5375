"""The laws of the generative-function interface: closed forms, random programs, Markov chains."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ppl
from ppl.distributions import Bernoulli, Categorical, Gamma, Normal
from ppl.language.gfi import generate, log_density, project, regenerate, select, simulate, update

from .programs import programs, run

TIGHT = {"rel": 1e-10, "abs": 1e-10}
seeds = st.integers(0, 10**6)


def normal(x: float, loc: float = 0.0, scale: float = 1.0) -> float:
    return -0.5 * ((x - loc) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)


def same(a: Any, b: Any) -> bool:
    """Two sets of choices with the same elements."""
    return a.elements.keys() == b.elements.keys() and all(
        a.elements[n].keys() == b.elements[n].keys()
        and all(torch.equal(a.elements[n][i], b.elements[n][i]) for i in a.elements[n])
        for n in a.elements
    )


# ---------------------------------------------------------------- closed forms


@ppl.model
def pair(scale=1.0):
    x = ppl.sample("x", Normal(0.0, 2.0))
    ppl.sample("y", Normal(x, scale))


def test_the_mean_weight_of_generate_is_the_evidence() -> None:
    """x ~ N(0, 4), y | x ~ N(x, 1): p(y) = N(y; 0, 5)."""
    bound = pair().condition(y=1.5)
    weights = np.exp([float(generate(bound, seed=s)[1]) for s in range(1500)])
    expected = math.exp(normal(1.5, 0.0, math.sqrt(5.0)))
    assert abs(weights.mean() - expected) < 4 * weights.std() / math.sqrt(len(weights))


def test_draws_follow_the_prior() -> None:
    draws = np.array([float(simulate(pair(), seed=s)["x"]) for s in range(1500)])
    assert abs(draws.mean()) < 4 * 2.0 / math.sqrt(1500)
    assert abs(draws.var() - 4.0) < 4 * 4.0 * math.sqrt(2 / 1500)


def test_generate_weighs_constraints_data_and_factors() -> None:
    @ppl.model
    def m():
        x = ppl.sample("x", Normal(0.0, 1.0))
        z = ppl.sample("z", Normal(x, 1.0))
        ppl.factor("f", 3.0 * x)
        ppl.observe("y", Normal(z, 1.0), 0.5)

    trace, weight = generate(m(), {"x": 0.2}, seed=3)
    assert float(weight) == pytest.approx(normal(0.2) + 0.6 + normal(0.5, float(trace["z"])), **TIGHT)


def test_masks_and_scales_change_the_target_not_the_proposal() -> None:
    trace, weight = generate(pair().condition(y=1.0).scale(0.5), seed=1)
    x = float(trace["x"])
    assert float(weight) == pytest.approx(0.5 * (normal(x, 0, 2) + normal(1.0, x)) - normal(x, 0, 2), **TIGHT)
    trace, weight = generate(pair().condition(y=1.0).mask(x=False), seed=1)
    x = float(trace["x"])
    assert float(weight) == pytest.approx(normal(1.0, x) - normal(x, 0, 2), **TIGHT)


def test_update_of_arguments_and_data() -> None:
    trace, _ = generate(pair(1.0).condition(y=1.0), {"x": 0.5})
    for arguments in (pair(3.0).condition(y=1.0), {"scale": 3.0}):
        new, weight, discard = update(trace, arguments=arguments)
        assert float(weight) == pytest.approx(normal(1.0, 0.5, 3.0) - normal(1.0, 0.5, 1.0), **TIGHT)
        assert not discard and float(new["x"]) == 0.5
    _, weight, _ = update(trace, arguments=pair(1.0).condition(y=4.0))
    assert float(weight) == pytest.approx(normal(4.0, 0.5) - normal(1.0, 0.5), **TIGHT)


@ppl.model
def switching():
    b = ppl.sample("b", Bernoulli(0.3))
    ppl.cond(b == 1, lambda: ppl.sample("x", Normal(1.0, 1.0)), lambda: ppl.sample("g", Gamma(2.0, 1.0)))


def test_a_branch_that_flips_in_update() -> None:
    trace, _ = generate(switching(), {"b": 1, "x": 0.4})
    before = math.log(0.3) + normal(0.4, 1.0)
    new, weight, discard = update(trace, {"b": 0, "g": 2.5})
    assert float(weight) == pytest.approx(math.log(0.7) + math.log(2.5) - 2.5 - before, **TIGHT)
    assert {n: float(v) for n, v in discard.items()} == {"b": 1.0, "x": 0.4} and "x" not in new
    back, inverse, _ = update(new, discard)
    assert float(weight + inverse) == pytest.approx(0.0, abs=1e-12) and same(back.choices, trace.choices)
    # With g drawn afresh its density is both in p and in q.
    _, weight, _ = update(trace, {"b": 0}, seed=5)
    assert float(weight) == pytest.approx(math.log(0.7) - before, **TIGHT)


def test_update_of_one_element_of_a_plate() -> None:
    @ppl.model
    def m():
        for _ in ppl.plate("i", 3):
            ppl.sample("x", Normal(0.0, 1.0))

    trace = simulate(m(), seed=1)
    new, weight, discard = update(trace, {"x": [math.nan, 2.0, math.nan]})
    assert new["x"][[0, 2]].tolist() == trace["x"][[0, 2]].tolist() and float(new["x"][1]) == 2.0
    assert list(discard.elements["x"]) == [(1,)]
    assert float(weight) == pytest.approx(normal(2.0) - normal(float(trace["x"][1])), **TIGHT)
    assert same(update(new, discard)[0].choices, trace.choices)


def test_update_keeps_the_drawn_elements_of_a_subsampled_plate() -> None:
    @ppl.model
    def m():
        for j in (p := ppl.plate("i", 50, subsample=5)):
            ppl.sample("x", Normal(1.0 * j, 1.0))
        return p.gather(j)

    trace = simulate(m(), seed=1)
    new, weight, _ = update(trace, seed=9)
    assert torch.equal(new.value, trace.value) and float(weight) == 0.0


def test_regenerate_has_the_metropolis_hastings_ratio() -> None:
    """A proposal from the prior is accepted by the ratio of likelihoods."""
    trace, _ = generate(pair().condition(y=1.0), {"x": 0.5})
    new, weight = regenerate(trace, "x", seed=4)
    x = float(new["x"])
    assert x != 0.5 and float(weight) == pytest.approx(normal(1.0, x) - normal(1.0, 0.5), **TIGHT)
    # Also when the prior itself is scaled: then p and q differ at x.
    trace, _ = generate(pair().condition(y=1.0).scale(x=0.5), {"x": 0.5})
    new, weight = regenerate(trace, "x", seed=4)
    x = float(new["x"])
    expected = normal(1.0, x) - 0.5 * normal(x, 0, 2) - normal(1.0, 0.5) + 0.5 * normal(0.5, 0, 2)
    assert float(weight) == pytest.approx(expected, **TIGHT)


def test_project_splits_the_log_density() -> None:
    trace, _ = generate(pair().condition(y=1.0), {"x": 0.5})
    assert float(project(trace, "x")) == pytest.approx(normal(0.5, 0, 2), **TIGHT)
    assert float(project(trace, select("y"))) == pytest.approx(normal(1.0, 0.5), **TIGHT)
    assert float(project(trace, all)) == float(trace.log_density)
    assert float(project(trace, [])) == 0.0


# ---------------------------------------------------------------- Markov chains

P_Z, P_A, P_B = [0.2, 0.8], [0.6, 0.3, 0.1], [0.25, 0.75]


@ppl.model
def discrete():
    """z chooses which of a and b exists; the data weigh every state."""
    z = ppl.sample("z", Categorical(torch.tensor(P_Z)))
    k = ppl.switch(
        z,
        [
            lambda: ppl.sample("a", Categorical(torch.tensor(P_A))),
            lambda: 3 + ppl.sample("b", Categorical(torch.tensor(P_B))),
        ],
    )
    ppl.factor("f", torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0])[k])


def state_of(trace) -> tuple[str, int]:
    return ("a", int(trace["a"])) if int(trace["z"]) == 0 else ("b", int(trace["b"]))


STATES = [("a", i) for i in range(3)] + [("b", i) for i in range(2)]
PRIOR = [P_Z[0] * p for p in P_A] + [P_Z[1] * p for p in P_B]
TARGET = np.array(PRIOR) * np.exp([0.0, 1.0, -1.0, 0.5, 2.0])
TARGET /= TARGET.sum()


def proposal(old: tuple[str, int], new: tuple[str, int], selected: tuple[str, ...]) -> float:
    """The probability that regenerate proposes `new` from `old`."""
    inside = {"a": P_A, "b": P_B}[new[0]][new[1]]
    if "z" in selected:
        redraw = new[0] in selected or new[0] != old[0]
        return P_Z[int(new[0] == "b")] * (inside if redraw else float(new == old))
    return inside if new[0] == old[0] and new[0] in selected else float(new == old)


@pytest.mark.parametrize("selected", [("z",), ("z", "a"), ("z", "a", "b"), ("a", "b")])
def test_regenerate_is_in_detailed_balance(selected) -> None:
    """π(t) q(t → t′) min(1, w) is the same both ways, branches that come and go included."""
    weights = {}
    for old in STATES:
        trace, _ = generate(discrete(), {"z": int(old[0] == "b"), old[0]: old[1]})
        for seed in range(40):
            new, weight = regenerate(trace, selected, seed=seed)
            weights[old, state_of(new)] = math.exp(weight)
    moves = [(s, u) for s, u in itertools.permutations(range(5), 2) if (STATES[s], STATES[u]) in weights]
    checked = 0
    for s, u in moves:
        forth, back = (STATES[s], STATES[u]), (STATES[u], STATES[s])
        if back not in weights:
            continue
        flow = TARGET[s] * proposal(*forth, selected) * min(1, weights[forth])
        assert flow == pytest.approx(TARGET[u] * proposal(*back, selected) * min(1, weights[back]), rel=1e-10)
        checked += 1
    assert checked >= 6


def test_a_chain_of_regenerate_has_the_posterior_as_its_law() -> None:
    steps, trace, counts = 1000, simulate(discrete()), np.zeros(5)
    uniform = np.random.default_rng(0).uniform(size=steps)
    for step in range(steps):
        new, weight = regenerate(trace, all if step % 2 else ["a", "b"], seed=step)
        if math.log(uniform[step]) < float(weight):
            trace = new
        counts[STATES.index(state_of(trace))] += 1
    # Rejections and half-moves correlate the draws: an effective size of a quarter is on the safe side.
    error = np.sqrt(TARGET * (1 - TARGET) / (steps / 4))
    assert (np.abs(counts / steps - TARGET) < 4 * error).all(), (counts / steps, TARGET)


# ---------------------------------------------------------------- laws on random programs


@settings(max_examples=40)
@given(programs, seeds)
def test_generate_with_all_choices_is_log_density(tree, seed) -> None:
    trace = simulate(run(tree), seed)
    for choices in (trace.latents, trace.choices, dict(trace.latents)):
        again, weight = generate(run(tree), choices, seed=seed + 1)
        assert float(weight) == pytest.approx(float(trace.log_density), **TIGHT)
        assert float(log_density(run(tree), choices)) == pytest.approx(float(weight), **TIGHT)
        assert same(again.choices, trace.choices)


@settings(max_examples=40)
@given(programs, seeds)
def test_generate_without_choices_weighs_data_and_factors(tree, seed) -> None:
    trace, weight = generate(run(tree), seed=seed)
    rest = [n for n in trace.log_densities if n not in trace.latents]
    assert float(weight) == pytest.approx(float(project(trace, rest)), **TIGHT)


@settings(max_examples=60)
@given(programs, seeds, st.data())
def test_update_there_and_back(tree, seed, data) -> None:
    trace, other = simulate(run(tree), seed), simulate(run(tree), seed + 1)
    names = data.draw(st.sets(st.sampled_from(sorted(other.latents))))
    new, weight, discard = update(trace, {n: other.latents[n] for n in names}, seed=seed)
    back, inverse, redo = update(new, discard, seed=seed + 2)
    assert same(back.choices, trace.choices)
    assert float(back.sum("log_fresh")) == 0.0
    assert float(weight + inverse) == pytest.approx(-float(new.sum("log_fresh")), **TIGHT)
    assert float(weight) == pytest.approx(
        float(new.log_density - trace.log_density - new.sum("log_fresh")), **TIGHT
    )
    assert same(update(back, redo)[0].choices, new.choices)


@settings(max_examples=60)
@given(programs, seeds, st.data())
def test_regenerate_leaves_out_what_it_draws(tree, seed, data) -> None:
    """The ratio is p over q both ways: what one direction draws is not in its side of the ratio."""
    trace = simulate(run(tree), seed)
    names = data.draw(st.sets(st.sampled_from(sorted(trace.latents))))
    new, weight = regenerate(trace, names, seed=seed)
    kept = {
        n: {i for i in e if n not in names and i in trace.latents.elements.get(n, {})}
        for n, e in new.latents.elements.items()
    }
    own = {
        n: {i for i in e if n not in names and i in new.latents.elements.get(n, {})}
        for n, e in trace.latents.elements.items()
    }
    for n, indices in kept.items():
        assert all(torch.equal(new.latents.at(n, i), trace.latents.at(n, i)) for i in indices)

    def without_fresh(t: Any, stay: Any) -> float:
        fresh = [
            float(e.log_density)
            for n, ix in t.latents.elements.items()
            for i in ix
            if i not in stay[n]
            for e in [t.sites[n].elements[i]]
        ]
        return float(t.log_density) - sum(fresh)

    assert float(weight) == pytest.approx(without_fresh(new, kept) - without_fresh(trace, own), **TIGHT)
