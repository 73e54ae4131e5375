"""Random programs: hypothesis draws a tree of statements; `build` turns it into a bound program that both
runtimes can run.

Statements nest plates, scans, conds and subprograms; sites cover every kind of support; some sites are
observed, some of these
partly missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import ppl
from ppl import distributions as D
from ppl.language.program import Bound

Vector = torch.Tensor


def positive(x: torch.Tensor) -> torch.Tensor:
    return F.softplus(x) + 0.2


def vector(*parts: torch.Tensor) -> torch.Tensor:
    return torch.stack(parts)


# name → distribution from two numbers; every value is later summed up to one number with fixed weights
LATENT: dict[str, Callable[[Any, Any], Any]] = {
    "normal": lambda a, b: D.Normal(a, positive(b)),
    "student": lambda a, b: D.StudentT(3.0 + positive(b), a, 1.0),
    "laplace": lambda a, b: D.Laplace(a, positive(b)),
    "logistic": lambda a, b: D.Logistic(a, positive(b)),
    "gumbel": lambda a, b: D.Gumbel(a, positive(b)),
    "skew": lambda a, b: D.SkewNormal(a, positive(b), b),
    "gamma": lambda a, b: D.Gamma(positive(a) + 1.0, positive(b)),
    "exponential": lambda a, b: D.Exponential(positive(a)),
    "lognormal": lambda a, b: D.LogNormal(0.3 * a, 0.5),
    "halfnormal": lambda a, b: D.HalfNormal(positive(b)),
    "halfcauchy": lambda a, b: D.HalfCauchy(positive(b)),
    "halfstudent": lambda a, b: D.HalfStudentT(4.0, positive(b)),
    "inversegamma": lambda a, b: D.InverseGamma(positive(a) + 2.0, positive(b)),
    "inversegaussian": lambda a, b: D.InverseGaussian(positive(a), positive(b)),
    "weibull": lambda a, b: D.Weibull(positive(a), 1.0 + positive(b)),
    "beta": lambda a, b: D.Beta(positive(a) + 1.0, positive(b) + 1.0),
    "uniform": lambda a, b: D.Uniform(a, a + positive(b)),
    "truncated": lambda a, b: D.Truncated(D.Normal(a, positive(b)), -1.0, 2.0),
    "mixture": lambda a, b: D.Mixture(torch.tensor([0.3, 0.7]), [D.Normal(a, 1.0), D.Laplace(b, 2.0)]),
    "batch": lambda a, b: D.Normal(vector(a, b, a * 0.5), positive(b)),
    "independent": lambda a, b: D.Independent(D.Gamma(positive(vector(a, b)) + 1.0, 1.0), 1),
    "dirichlet": lambda a, b: D.Dirichlet(positive(vector(a, b, a)) + 0.5),
    "mvn": lambda a, b: D.MultivariateNormal(vector(a, b), scale_tril=_lower(b)),
    "lkj": lambda a, b: D.LKJCholesky(3, 1.0 + positive(b)),
    "corr": lambda a, b: D.LKJ(2, 1.0 + positive(b)),
    "wishart": lambda a, b: D.Wishart(4.0 + positive(b), scale_tril=_lower(b)),
    "ordered": lambda a, b: D.Restricted(D.Independent(D.Normal(vector(a, a, b), 1.0), 1), "ordered"),
    "sumtozero": lambda a, b: D.SumToZeroNormal(3, positive(b)),
    "sphere": lambda a, b: D.VonMisesFisher(F.normalize(vector(a, b, a * 0 + 1.0), dim=0), positive(b)),
    "walk": lambda a, b: D.GaussianRandomWalk(positive(b), 3),
}
OBSERVED: dict[str, Callable[[Any, Any], Any]] = {
    **{
        k: LATENT[k]
        for k in ("normal", "student", "gamma", "beta", "lognormal", "dirichlet", "mvn", "batch", "laplace")
    },
    "poisson": lambda a, b: D.Poisson(positive(a)),
    "bernoulli": lambda a, b: D.Bernoulli(logits=a),
    "categorical": lambda a, b: D.Categorical(logits=vector(a, b, a * b)),
    "binomial": lambda a, b: D.Binomial(5, logits=a),
    "negbinomial": lambda a, b: D.NegativeBinomial2(positive(a), positive(b)),
    "orderedlogistic": lambda a, b: D.OrderedLogistic(a, vector(b - 1.0, b + 0.5)),
}
MAY_MISS = ("normal", "student", "gamma", "beta", "lognormal", "laplace")


def _lower(b: torch.Tensor) -> torch.Tensor:
    one = torch.ones_like(b)
    return torch.stack([torch.stack([positive(b), 0 * one]), torch.stack([torch.tanh(b), one])])


def one_number(value: torch.Tensor) -> torch.Tensor:
    if value.dim() == 0:
        return value * 1.0
    weights = torch.linspace(0.4, 1.3, value.numel()).reshape(value.shape)
    return (value * weights).sum()


# ---------------------------------------------------------------- trees

_index = st.integers(0, 7)
_numbers = st.floats(-1.5, 1.5).map(lambda v: round(v, 2))
expressions = st.recursive(
    st.one_of(st.tuples(st.just("const"), _numbers), st.tuples(st.just("env"), _index)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["add", "mul", "smooth", "max", "where"]), inner, inner),
        st.tuples(st.sampled_from(["sin", "exp", "square", "softplus", "vector", "matrix"]), inner),
    ),
    max_leaves=4,
)


def statements(depth: int) -> st.SearchStrategy[Any]:
    e = expressions
    leaf = [
        st.tuples(st.just("sample"), st.sampled_from(sorted(LATENT)), e, e),
        st.tuples(st.just("observe"), st.sampled_from(sorted(OBSERVED)), e, e, st.booleans()),
        st.tuples(st.just("factor"), e),
        st.tuples(st.just("let"), e),
    ]
    if depth == 0:
        return st.one_of(*leaf)
    body = st.lists(statements(depth - 1), min_size=1, max_size=3)
    return st.one_of(
        *leaf,
        st.tuples(st.just("plate"), st.integers(1, 3), body, st.booleans()),
        st.tuples(st.just("scan"), st.integers(1, 3), body, st.booleans()),
        st.tuples(st.just("cond"), e, body, body),
        st.tuples(st.just("sub"), body),
        st.tuples(st.just("weighted"), body, st.sampled_from([0.5, 2.0])),
    )


programs = st.lists(statements(2), min_size=1, max_size=4)


class Walk:
    """Runs a tree of statements under whatever runtime is active."""

    def __init__(self, data: torch.Tensor) -> None:
        self.data = data
        self.count = 0
        self.observed: list[tuple[str, str, bool]] = []
        self.in_branch = 0

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def number(self, e: Any, env: list[torch.Tensor]) -> torch.Tensor:
        op = e[0]
        if op == "const":
            return torch.tensor(e[1])
        if op == "env":
            return env[e[1] % len(env)]
        x = self.number(e[1], env)
        if op in ("sin", "exp", "square", "softplus"):
            return {
                "sin": torch.sin,
                "exp": lambda v: torch.exp(torch.tanh(v)),
                "square": lambda v: torch.tanh(v) ** 2,
                "softplus": F.softplus,
            }[op](x)
        if op == "vector":
            return torch.logsumexp(self.data[:3] * x, 0)
        if op == "matrix":
            m = torch.outer(self.data[:2], torch.stack([x, torch.sin(x)]))
            return torch.tanh((m @ self.data[1:3]).sum())
        y = self.number(e[2], env)
        if op == "add":
            return x + y
        if op == "mul":
            return x * torch.tanh(y)
        if op == "smooth":
            return x / (1.0 + y**2)
        if op == "max":
            return torch.maximum(x, y) + torch.relu(x - 0.3)
        return torch.where(x > y, x, y * 0.5)

    def block(self, body: Any, env: list[torch.Tensor]) -> list[torch.Tensor]:
        env = list(env)
        for s in body:
            self.statement(s, env)
        return env

    def statement(self, s: Any, env: list[torch.Tensor]) -> None:
        kind = s[0]
        if kind in ("sample", "observe"):
            if self.in_branch and kind == "observe":  # a site of a branch not taken has no value to observe
                kind, s = "sample", ("sample", "normal", s[2], s[3])
            table = LATENT if kind == "sample" else OBSERVED
            name = self.fresh(kind)
            value = ppl.sample(name, table[s[1]](self.number(s[2], env), self.number(s[3], env)))
            if kind == "observe":
                self.observed.append((name, s[1], s[4]))
            env.append(torch.tanh(0.3 * one_number(value)))
        elif kind == "factor":
            ppl.factor(self.fresh("factor"), -(self.number(s[1], env) ** 2))
        elif kind == "let":
            env.append(ppl.deterministic(self.fresh("let"), self.number(s[1], env)))
        elif kind == "plate":
            self.plate(s, env)
        elif kind == "scan":
            self.scan(s, env)
        elif kind == "cond":
            self.cond(s, env)
        elif kind == "sub":
            env.append(ppl.sample(self.fresh("sub"), _block(self, s[1], env)))
        else:
            inner = _block(self, s[1], env).scale(s[2])
            env.append(ppl.sample(self.fresh("sub"), inner))

    def plate(self, s: Any, env: list[torch.Tensor]) -> None:
        name = self.fresh("plate")
        before = self.count
        for j in (p := ppl.plate(name, s[1])):
            self.count = before  # every element has the same names
            inner = self.block(s[2], [*env, self.data[j], j * 0.1])
            last = inner[-1]
        if s[3]:
            env.append(torch.tanh(p.gather(last).sum()))

    def scan(self, s: Any, env: list[torch.Tensor]) -> None:
        name = self.fresh("scan")
        before = self.count

        def step(carry: torch.Tensor, x: torch.Tensor) -> Any:
            self.count = before
            inner = self.block(s[2], [*env, carry, x])
            new = torch.tanh(inner[-1] + 0.5 * carry)
            return (new, new * 2.0) if s[3] else new

        result = ppl.scan(name, step, torch.tensor(0.1), self.data[: s[1]])
        env.append(result[0] + result[1].sum() if s[3] else result)

    def cond(self, s: Any, env: list[torch.Tensor]) -> None:
        self.fresh("cond")
        before = self.count
        room = 10 ** (6 - self.in_branch)  # numbers for the names in a branch, those of inner branches too

        def branch(body: Any, offset: int) -> Callable[[], torch.Tensor]:
            def run() -> torch.Tensor:
                self.count = before + offset
                self.in_branch += 1
                value = self.block(body, env)[-1] * 1.0
                self.in_branch -= 1
                return value

            return run

        env.append(ppl.cond(self.number(s[1], env) > 0.1, branch(s[2], 0), branch(s[3], room)))
        self.count = before + 2 * room


@ppl.model
def _block(walk: Walk, body: Any, env: list[torch.Tensor]) -> Any:
    return walk.block(body, env)[-1]


@ppl.model
def _program(tree: Any, data: torch.Tensor, log: list[Any]) -> Any:
    walk = Walk(data)
    value = walk.block(tree, [data[0], data[1]])[-1]
    log[:] = [(n, f, m) for n, f, m in walk.observed]
    return value


def build(tree: Any) -> Bound:
    """The bound program of a tree, its observed sites conditioned on values drawn from it (some
    elements removed).
    """
    data = torch.tensor([0.3, -0.8, 1.1, 0.5], dtype=torch.float64)
    log: list[Any] = []
    free = _program(tree, data, log)
    trace = ppl.simulate(free, seed=3)
    names = {n: v for n, v in trace.choices.items() if n.rpartition("/")[2].startswith("observe")}
    families = {n: (f, m) for n, f, m in log}
    values = {}
    for name, value in names.items():
        value = value.clone()
        family, miss = families.get(name.rpartition("/")[2], ("", False))
        if miss and family in MAY_MISS:
            value.reshape(-1)[0] = float("nan")
        values[name] = value
    return free.condition(values)
