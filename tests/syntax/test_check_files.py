"""Correct files have no problems: programs that use each other, guides, objectives, data and settings."""

from __future__ import annotations

import pytest

from ppl.syntax.check import check
from ppl.syntax.problems import Problem


def problems(text: str) -> list[str]:
    def said(p: Problem) -> str:
        return f"{p.span.line}: {p.headline}"

    return [said(p) for p in check(text).problems]


FILES = {
    "submodels": """
model prior(scale: positive = 1):
    mu ~ Normal(0, scale)
    sigma ~ HalfNormal(1)
    return mu, sigma

model level(s: positive):
    x ~ Normal(0, s)
    return x

model m(y: real[N]):
    a ~ level(2)
    b ~ prior()
    for n in N:
        c[n] ~ level(1)
        y[n] ~ Normal(a + c[n], 1)
    mu, sigma = b
    z ~ Normal(mu, sigma)
""",
    "functions": '''
def scaled(x: real[N], by: real = 2) -> real[N]:
    """x times `by`."""
    return by * x

def either(x: real) -> real:
    if x > 0:
        return x
    elif x == 0:
        return 1
    else:
        return -x

def total(x: real[N]) -> real:
    s = 0
    for n in N:
        s += x[n]
    return s

def both(x: real):
    return x, exp(x)

model m(x: real[N], y: real[M]):
    a, b = both(total(scaled(x)))
    c ~ Normal(either(a), b)
    d ~ Normal(sum(scaled(y, by=3)), 1)
    factor f = -c * d
''',
    "a function above another": """
def f(x: real) -> real:
    return g(x) + 1

def g(x: real) -> real:
    return 2 * x

model m():
    y ~ Normal(f(1), 1)
""",
    "a guide": """
model m(y: real[N]):
    mu ~ Normal(0, 1)
    tau ~ HalfNormal(1)
    for n in N:
        z[n] ~ Normal(mu, tau)
        y[n] ~ Normal(z[n], 1)

guide q for m:
    param a: real = 0
    param s: positive[N] = 1
    param c: real[N] = 0
    mu ~ Normal(a, 1)
    tau ~ LogNormal(0, 1)
    _noise ~ Normal(0, 1)
    for n in N:
        z[n] ~ Normal(c[n] + 0 * _noise, s[n])

data:
    y = [1, 2, nan]
""",
    "a guide of its own arguments": """
model m(y: real[N]):
    p ~ Beta(1, 1)
    for n in N:
        y[n] ~ Bernoulli(p)

guide q(y) for m:
    param a: positive = 1
    p ~ Beta(a + sum(y), 1)
""",
    "an objective": """
objective iwelbo(p: model, q: guide, K: int = 10):
    for k in K:
        z = simulate(q)
        w[k] = log_density(p, z) - log_density(q, z)
    return log_mean_exp(w)

objective smooth(p: model, q: guide):
    state average: real = 0
    z = simulate(q)
    value = log_density(p, z) - log_density(q, z)
    set average = 0.9 * average + 0.1 * stop_gradient(value)
    return value - average + z["mu"]
""",
    "marginal and normalize": """
model m(x: real):
    a ~ Normal(0, 1)
    b ~ Normal(a, 1)
    return a + x

model k(x: real):
    y ~ marginal(m(x), keep=["b"])
    z ~ normalize(m(x))
""",
    "a law as an argument": """
model m(prior: distribution, n: int):
    mu ~ prior
    for i in n:
        y[i] ~ Normal(mu, 1)
""",
    "a module as an argument": """
model m(decoder: module, N: int):
    for n in N:
        z[n] ~ Normal(0, 1)
        y[n] ~ Normal(decoder(z[n]), 1)
""",
    "a text as an argument": 'model m(kind: text = "a"):\n    """What it is."""\n    y ~ Normal(0, 1)\n    pass\n',
    "imports": """
import std.objectives as o
from std.objectives import elbo as bound

model m():
    x ~ Normal(0, 1)

infer:
    method = vi
    objective = bound
""",
    "data and inference": """
model m(x: real[N], g: index(K)[N], K: int, y: int[N], S: cov[D]):
    a: real[K] ~ Normal(0, 1)
    b: real[D] ~ MultivariateNormal(zeros(D), S)
    for n in N:
        y[n] ~ Poisson(exp(a[g[n]] * x[n] + b[0]))

data:
    x = [0.5, -1, 2 * pi]
    g = [0, 1, 1]
    K = 2
    y = [3, nan, 10 ** 2]
    S = [[1, 0.5], [0.5, 1]]
    D = ["left", "right"]

infer:
    method = nuts
    draws = 100
    warmup = 0
    chains = 2
    seed = 1
    target_accept = 0.9
""",
    "comments and empty lines": "# a\n\nmodel m():  # b\n\n    # c\n    x ~ Normal(0, 1)  # it's\n\n# d\n",
    "a suite on one line": "model m(N: int): x ~ Normal(0, 1)\n\ndef f(x): return x\n",
    "lines in brackets": """
model m(
    x: real,
    y: real,
):
    z ~ Normal(
        x + y,  # both
        1,
    )
""",
    "tabs": "model m():\n\tx ~ Normal(0, 1)\n\ty ~ Normal(x, 1)\n",
    "windows line ends": "model m():\r\n    x ~ Normal(0, 1)\r\n    y ~ Normal(x, 1)\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_correct_file_has_no_problems(name: str):
    assert [p for p in problems(FILES[name]) if "is not used" not in p] == []
