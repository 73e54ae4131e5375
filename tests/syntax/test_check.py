"""Correct programs have no problems: what the checker doesn't know, it lets pass."""

from __future__ import annotations

import pytest

from ppl.syntax.check import check
from ppl.syntax.problems import Problem


def problems(text: str) -> list[str]:
    def said(p: Problem) -> str:
        return f"{p.span.line}: {p.headline}"

    return [said(p) for p in check(text).problems]


MODELS = {
    "types of arguments": """
a: int, b: bool, c: real, d: positive, e: nonnegative, f: unit, g: real(lower=0, upper=2), h: real(-1, 1), i: int(0, 5),
j: index(3), k: simplex[K], l: ordered[K], m: positive_ordered[K], n: unit_vector[K], o: sum_to_zero[K], p: corr_cholesky[D],
q: cholesky[D], r: cov[D], s: corr[D], t: real[N, D], u: simplex[N, K], v: cov[N, D], w: real(lower=0)[N], x: index(K)[N]
---
z = a + c + d + e + f + g + h + i + j + sum(k) + sum(l) + sum(m) + sum(n) + sum(o) + sum(p) + sum(q) + sum(r) + sum(s)
y ~ Normal(z + sum(t) + sum(u) + sum(v) + sum(w) + sum(x) + (1 if b else 0), 1)
""",
    "types of sites": """
---
a: real[3] ~ Normal(0, 1)
b: positive ~ Normal(0, 1)
c: real(lower=-1, upper=1)[2] ~ Normal(0, 1)
d: simplex[3] ~ Dirichlet([1, 1, 1])
e: ordered[3] ~ Normal(0, 1)
f: unit ~ Beta(2, 2)
g: corr_cholesky[3] ~ LKJCholesky(3, 2)
h: nonnegative ~ StudentT(3, 0, 1)
i: real(upper=0) ~ Normal(0, 1)
j: int ~ Poisson(3)
k: real[2, 3] ~ Normal(0, b)
factor w = sum(a) + sum(c) + sum(d) + sum(e) + f + sum(g) + h + i + j + sum(k)
""",
    "a size from an int argument": "y: real[n], n: int\n---\nfor i in n:\n    y[i] ~ Normal(0, 1)",
    "sizes that are expressions": """
x: real[N], d: real[N - 1]
---
for i in N - 1:
    e[i] ~ Normal(x[i + 1] - x[i], 1)
factor f = sum(e * d)
""",
    "a plate in a plate": """
x: real[N, D], y: real[N, D]
---
for n in N:
    a[n] ~ Normal(0, 1)
    for d in D:
        y[n, d] ~ Normal(a[n] * x[n, d], 1)
""",
    "data by index": """
g: int[N], county: index(J)[N], y: real[N], J: int
---
tau ~ HalfNormal(1)
for j in J:
    a[j] ~ Normal(0, tau)
for n in N:
    y[n] ~ Normal(a[county[n]] + a[g[n]], 1)
""",
    "index of an index": """
g: int[N], h: int[N], a: real[J], y: real[N]
---
for n in N:
    y[n] ~ Normal(a[h[g[n]]], 1)
""",
    "a guarded chain": "T: int\n---\nfor t in T:\n    z[t] ~ Normal(z[t-1] if t > 0 else 0, 1)",
    "a guarded chain, the other way": """
T: int
---
for t in T:
    z[t] ~ Normal(0 if t == 0 else z[t-1], 1)
""",
    "a guard with not": "T: int\n---\nfor t in T:\n    z[t] ~ Normal(z[t-1] if not (t == 0) else 0, 1)",
    "a guard with and": """
T: int, k: real
---
for t in T:
    z[t] ~ Normal(z[t-1] if t > 0 and k > 0 else 0, 1)
""",
    "a guard turned round": "T: int\n---\nfor t in T:\n    z[t] ~ Normal(z[t-1] if 0 < t else 0, 1)",
    "two lags in nested conditionals": """
T: int
---
for t in T:
    z[t] ~ Normal(0 if t == 0 else (z[t-1] if t == 1 else z[t-1] + z[t-2]), 1)
""",
    "two lags under if": """
T: int
---
for t in T:
    if t > 1:
        m = z[t-1] + z[t-2]
    elif t == 1:
        m = z[t-1]
    else:
        m = 0
    z[t] ~ Normal(m, 1)
""",
    "a guard in an outer if": """
T: int, slow: bool
---
for t in T:
    if t >= 1:
        m = z[t-1] if slow else 2 * z[t-1]
    else:
        m = 0
    z[t] ~ Normal(m, 1)
""",
    "a guard that is not equal": "T: int\n---\nfor t in T:\n    z[t] ~ Normal(z[t-1] if t != 0 else 0, 1)",
    "a guard of t - 1": "T: int\n---\nfor t in T:\n    z[t] ~ Normal(z[t-1] if t - 1 >= 0 else 0, 1)",
    "a value before the first": "T: int\n---\nz[-1] = 0\nfor t in T:\n    z[t] ~ Normal(z[t-1], 1)",
    "two values before the first": """
T: int
---
z[-1] = 0
z[-2] = 0
for t in T:
    z[t] ~ Normal(z[t-1] + z[t-2], 1)
""",
    "a first element": """
T: int
---
z[0] ~ Normal(0, 1)
for t in range(1, T):
    z[t] ~ Normal(z[t-1], 1)
""",
    "first elements of several": """
y: real[T]
---
z[0] ~ Normal(0, 1)
y[0] ~ Normal(z[0], 1)
for t in range(1, T):
    z[t] ~ Normal(z[t-1], 1)
    y[t] ~ Normal(z[t], 1)
""",
    "a running total": "x: real[N]\n---\ntotal = 0\nfor n in N:\n    total += x[n]\ny ~ Normal(total, 1)",
    "a running total, written out": """
x: real[N]
---
total = 0.0
for n in N:
    total = total + x[n]
y ~ Normal(total, 1)
""",
    "garch": """
y: real[T]
---
mu ~ Normal(0, 1)
a ~ HalfNormal(1)
b: unit ~ Beta(2, 2)
for t in T:
    s[t] = sqrt(a + b * (y[t-1] - mu) ** 2 + b * s[t-1] ** 2) if t > 0 else a
    y[t] ~ Normal(mu, s[t])
""",
    "a chain of categories": """
P: simplex[K, K], T: int, start: simplex[K]
---
for t in T:
    s[t] ~ Categorical(P[s[t-1]] if t > 0 else start)
""",
    "a chain for every unit": """
T: int, N: int
---
for n in N:
    for t in T:
        z[n, t] ~ Normal(z[n, t-1] if t > 0 else 0, 1)
""",
    "units in every step": """
T: int, N: int
---
for t in T:
    for n in N:
        z[t, n] ~ Normal(z[t-1, n] if t > 0 else 0, 1)
""",
    "whole arrays after their loop": """
x: real[N], y: real[N]
---
b ~ Normal(0, 1)
for n in N:
    eta[n] = b * x[n]
m = mean(eta)
for n in N:
    y[n] ~ Normal(eta[n] - m + eta[-1] + eta[0], 1)
deterministic total = sum(eta)
""",
    "names local to an iteration": """
x: real[N], y: real[N]
---
b ~ Normal(0, 1)
for n in N:
    eta = b * x[n]
    y[n] ~ Normal(eta, 1)
for n in N:
    eta = b + x[n]
    factor f[n] = -eta ** 2
""",
    "a static if": """
k: int, y: real[N]
---
if k > 1:
    mu ~ Normal(0, 1)
else:
    mu = 0
for n in N:
    y[n] ~ Normal(mu, 1)
""",
    "an if that changes a name from above": "k: int\n---\ns = 1\nif k > 1:\n    s = 2\nx ~ Normal(0, s)",
    "an if on a random value": """
---
a ~ Normal(0, 1)
if a > 0:
    b = 2 * a
else:
    b = -a
c ~ Normal(b, 1)
""",
    "a bool as a test": "b: bool, c: bool[N]\n---\nx ~ Normal(1 if b and not c[0] else 0, 1)",
    "a random bool as a test": "---\nz ~ Bernoulli(0.5)\nx ~ Normal(1 if z == 1 else 0, 1)",
    "chained comparisons": "x: real\n---\ny ~ Normal(1 if 0 < x <= 1 else 2, 1)",
    "a mixture with an index": """
y: real[N], K: int
---
w: simplex[K] ~ Dirichlet(ones(K))
for k in K:
    mu[k] ~ Normal(0, 1)
for n in N:
    z[n] ~ Categorical(w)
    y[n] ~ Normal(mu[z[n]], 1)
""",
    "a mixture summed by hand": """
y: real[N]
---
p ~ Beta(1, 1)
for n in N:
    a = log(p) + log_prob(Normal(-1, 1), y[n])
    b = log1m(p) + log_prob(Normal(1, 1), y[n])
    factor f[n] = log_sum_exp([a, b])
""",
    "a matrix product": """
X: real[N, D], y: real[N]
---
b: real[D] ~ Normal(0, 1)
eta = X @ b
for n in N:
    y[n] ~ Normal(eta[n], 1)
""",
    "a row's product": """
X: real[N, D], y: real[N]
---
b: real[D] ~ Normal(0, 1)
for n in N:
    y[n] ~ Normal(X[n] @ b, 1)
""",
    "broadcasting": "X: real[N, D], m: real[D]\n---\nZ = (X - m) / sd(X, axis=0)\ny ~ Normal(sum(Z), 1)",
    "slices and several axes": """
X: real[N, D]
---
y ~ Normal(sum(X[1:, :2]) + X[0, -1] + sum(X[:, 0]) + sum(X[:, [0, 1]]), 1)
""",
    "a vectorised site": "x: real[N], y: real[N]\n---\nb ~ Normal(0, 1)\ny ~ Normal(b * x, 1)",
    "a typed vectorised site": "y: real[N]\n---\nb ~ Normal(0, 1)\ny: real[N] ~ Normal(b, 1)",
    "a datum of the model's shape in a plate": """
Y: real[N, D], S: cov[D]
---
mu: real[D] ~ Normal(0, 1)
for n in N:
    Y[n] ~ MultivariateNormal(mu, S)
""",
    "a covariance that is computed": """
x: real[N], y: real[N]
---
a ~ HalfNormal(1)
for i in N:
    for j in N:
        K[i, j] = a ** 2 * exp(-(x[i] - x[j]) ** 2)
y ~ MultivariateNormal(zeros(N), K + 0.1 * eye(N))
""",
    "a Cholesky factor": """
Y: real[N, D], D: int
---
L ~ LKJCholesky(D, 2)
s: positive[D] ~ HalfNormal(1)
for n in N:
    Y[n] ~ MultivariateNormal(zeros(D), scale_tril=diag(s) @ L)
""",
    "scales that are computed": """
a: real, b: positive, x: real[N]
---
u ~ Normal(0, exp(a))
v ~ Normal(0, softplus(a) + 0.1)
w ~ Normal(0, sqrt(b))
r ~ Normal(0, b / 2)
s ~ Normal(0, 1 / b)
t ~ Normal(0, abs(a) + 1)
o ~ Normal(0, sd(x))
p ~ Normal(0, a ** 2 + 1)
q ~ Normal(0, norm(x))
n ~ Normal(0, clip(a, 0.1, 2))
m ~ Normal(0, max(a, 0.1))
k ~ Normal(0, a * a + b)
j ~ Normal(0, b if a > 0 else 2 * b)
""",
    "probabilities that are computed": """
a: real, p: unit, q: unit
---
u ~ Bernoulli(sigmoid(a))
v ~ Bernoulli(1 - p)
w ~ Bernoulli(p * q)
r ~ Bernoulli(Phi(a))
s ~ Bernoulli(logits=a)
t ~ Bernoulli(inv_logit(a))
x ~ Bernoulli(p ** 2)
y ~ Bernoulli((p + q) / 2)
z ~ Bernoulli(exp(-abs(a)))
""",
    "counts": """
n: int, N: int(lower=1)
---
k ~ Binomial(n, 0.5)
l ~ Poisson(n + 1)
m ~ Poisson(k + 0.5)
o ~ Gamma(N - 1, 1)
""",
    "a probability that is a count over a count": "k: int, n: int\n---\nx ~ Bernoulli(k / n)",
    "softmax of scores": """
x: real[K]
---
z ~ Categorical(softmax(x))
w ~ Categorical(logits=x)
v ~ Categorical([0.2, 0.8])
""",
    "numbers of all kinds": """
---
x ~ Normal(1e-3 + .5 + 1_000 - 2. + pi + e, 1)
y ~ Uniform(-inf + inf * 0, 1) if false else Normal(0, 1)
""",
    "unpacking": "x: real, y: real\n---\na, b = x + y, x - y\nz ~ Normal(a, exp(b))",
    "observe": """
y: real[N]
---
mu ~ Normal(0, 1)
for n in N:
    observe r[n] = log(y[n]) ~ Normal(mu, 1)
""",
    "deterministic and factor": "x: real\n---\na ~ Normal(x, 1)\ndeterministic b = exp(a)\nfactor f = -b",
    "names of axes": """
---
z: real[3] ~ Normal(0, 1) with dims = [feature]
w ~ Normal(0, 1) with grad = score
""",
    "improper and restricted": "---\na ~ Flat()\nb ~ Flat(lower=0)\nc: ordered[3] ~ Flat()",
    "a name with an underscore is not used": "_x: real\n---\n_y = 2\nz ~ Normal(0, 1)",
    "lambda is a name": "y: int[N]\n---\nlambda ~ Gamma(2, 1)\nfor n in N:\n    y[n] ~ Poisson(lambda)",
    "other capitals": """
y: real[N]
---
Mu ~ Normal(0, 1)
mu ~ Normal(Mu, 1)
for n in N:
    y[n] ~ Normal(mu, 1)
""",
    "a discrete index": "K: int, x: real[K]\n---\nz ~ Categorical(ones(K) / K)\ny ~ Normal(x[z], 1)",
    "the last of a dim": "x: real[N]\n---\ny ~ Normal(x[N - 1] + x[-1] + x[N // 2], 1)",
    "size of an array": "x: real[N]\n---\ny ~ Normal(size(x) + N / 2, 1)",
    "an untyped argument": "x\n---\ny ~ Normal(sum(x[0]) * 2, 1)",
    "a default": "s: positive = 2, K: int = 3\n---\nfor k in K:\n    z[k] ~ Normal(0, s)",
    "seasons": """
y: real[T]
---
for t in T:
    m[t] = sin(2 * pi * t / 12) + (t % 7) / 7 + t // 2
    y[t] ~ Normal(m[t], 1)
""",
    "other loops of the same length": """
x: real[N], y: real[N]
---
for i in range(N):
    a[i] = x[i]
for j in range(0, N):
    y[j] ~ Normal(a[j], 1)
""",
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_correct_model_has_no_problems(name: str):
    head, _, body = MODELS[name].partition("---\n")
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    assert problems(f"model m({' '.join(head.split())}):\n{lines}") == []


def test_options_of_the_infer_block_are_those_of_inference() -> None:
    import dataclasses

    from ppl.inference.infer import COMMON
    from ppl.inference.methods import METHODS
    from ppl.syntax.check.inference import OPTIONS

    of_methods = {f.name for m in METHODS.values() for f in dataclasses.fields(m.options)}
    of_files = {"method", "model", "reparam", "thin"}
    of_others = {"num_samples", "num_warmup", "tune", "random_seed"}
    assert set(OPTIONS) <= of_methods | set(COMMON) | of_files | of_others
