"""Random programs for hypothesis: sites that depend on what came before, in plates, scans and branches."""

from typing import Any

import torch
from hypothesis import strategies as st

import ppl
from ppl.distributions import Bernoulli, Exponential, Gamma, HalfNormal, Normal, Poisson

FAMILIES: dict[str, Any] = {
    "normal": lambda a: Normal(a, 1.5),
    "vector": lambda a: Normal(a, 0.5).expand([2]),
    "halfnormal": lambda a: HalfNormal(0.1 + torch.exp(0.1 * a)),
    "gamma": lambda a: Gamma(2.0, 0.1 + a * a),
    "exponential": lambda a: Exponential(torch.exp(0.2 * a)),
    "bernoulli": lambda a: Bernoulli(torch.sigmoid(a)),
    "poisson": lambda a: Poisson(torch.exp(torch.clamp(a, -2.0, 2.0))),
}

leaves = st.one_of(
    st.tuples(st.just("site"), st.sampled_from(sorted(FAMILIES))),
    st.tuples(st.just("observe"), st.floats(-2, 2)),
    st.tuples(st.just("factor"), st.floats(-1, 1)),
)


def blocks(inner: Any) -> Any:
    body = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.tuples(st.just("plate"), st.integers(1, 3), body),
        st.tuples(st.just("scan"), st.integers(1, 3), body),
        st.tuples(st.just("cond"), body, body),
        st.tuples(st.just("sub"), body),
    )


statements = st.recursive(leaves, lambda inner: st.one_of(inner, blocks(inner)), max_leaves=8)
programs = st.lists(statements, min_size=1, max_size=4).map(lambda s: (("site", "normal"), *s))


@ppl.model
def run(tree: Any) -> Any:
    """The program that a tree describes; a site's name is its place in the tree."""
    return _block(tree, torch.zeros(()), "s")


@ppl.model
def _sub(tree: Any, a: Any, name: str) -> Any:
    return _block(tree, a, name)


def _block(body: Any, a: Any, name: str) -> Any:
    for k, statement in enumerate(body):
        a = _statement(statement, a, f"{name}{k}")
    return a


def _statement(statement: Any, a: Any, name: str) -> Any:
    kind, *rest = statement
    if kind == "site":
        return _small(ppl.sample(name, FAMILIES[rest[0]](a)))
    if kind == "observe":
        ppl.observe(name, Normal(a, 1.0), rest[0])
        return a
    if kind == "factor":
        ppl.factor(name, rest[0] * a)
        return a
    if kind == "plate":
        for _ in (p := ppl.plate(f"plate_{name}", rest[0])):
            x = _block(rest[1], a, f"{name}_")
        return p.gather(x).mean()
    if kind == "scan":
        return ppl.scan(f"scan_{name}", lambda c, _: _block(rest[1], c, f"{name}_"), a, length=rest[0])
    if kind == "cond":
        return ppl.cond(
            a > 0, lambda c: _block(rest[0], c, f"{name}_t"), lambda c: _block(rest[1], c, f"{name}_f"), a
        )
    return ppl.sample(name, _sub(rest[0], a, f"{name}_s"))


def _small(x: Any) -> Any:
    return torch.tanh(x).mean()
