"""Objectives for the tests of the optimisation loop: a graph, the same in torch, and what is known of the optimum."""

import numpy as np
import torch

from ppl.compiler.engines.native import NativeProgram
from ppl.compiler.graph import Graph
from ppl.compiler.ops import make, make_input
from ppl.compiler.passes.differentiate import value_and_grad
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.tracer import working_dtype
from ppl.inference.vi.native import Objective

F = torch.float64


def total(node):
    return make("sum", node, dims=(-1,), keepdim=False)


def program_of(value, u, *others):
    """A native program of (value, gradient with respect to u)."""
    with working_dtype(F):
        return NativeProgram(vectorise(value_and_grad(Graph((u, *others), (value,)), [u])))


def mean_field(dim):
    """u = (m, w) and noise e as nodes, with the guide's draw m + eʷ · e, and its entropy Σ w up to a constant."""
    u, e = make_input("u", (2 * dim,), F, (), "flat"), make_input("e", (dim,), F, (), "noise")
    mean = make("slice", u, dim=-1, start=0, stop=dim, step=1)
    log_scale = make("slice", u, dim=-1, start=dim, stop=2 * dim, step=1)
    return u, e, make("add", mean, make("mul", make("exp", log_scale), e)), total(log_scale)


class Gaussian:
    """The ELBO of a mean-field guide on N(mean, precision⁻¹): ½ (z − a)ᵀ Λ (z − a) less Σ w, with its sign changed.

    Its optimum is m = a, eʷ = 1 / √Λᵢᵢ (Bishop 2006, equation 10.13 and what follows).
    """

    def __init__(self, dim=3, seed=0):
        draw = np.random.default_rng(seed)
        root = draw.normal(size=(dim, dim))
        self.dim = dim
        self.mean, self.precision = draw.normal(size=dim), root @ root.T / dim + np.eye(dim)
        self.data = [torch.tensor(self.mean), torch.tensor(self.precision)]
        self.optimum = np.concatenate([self.mean, -0.5 * np.log(np.diag(self.precision))])
        u, e, z, entropy = mean_field(dim)
        a, p = make_input("a", (dim,), F), make_input("p", (dim, dim), F)
        with working_dtype(F):
            gap = make("sub", z, a)
            fit = make("mul", total(make("mul", gap, make("matmul", p, gap))), -0.5)
            self.program = program_of(make("add", fit, entropy), u, e, a, p)
        self.objective = Objective.of_program(self.program, self.data, [("normal", dim)])

    def elbo(self, u, e):
        """The same in torch."""
        m, w = u[: self.dim], u[self.dim :]
        gap = m + w.exp() * e - self.data[0]
        return -0.5 * gap @ self.data[1] @ gap + w.sum()


class Logistic:
    """The ELBO of a mean-field guide on a logistic regression with standard normal coefficients."""

    def __init__(self, rows=50, dim=4, seed=1):
        draw = torch.Generator().manual_seed(seed)
        self.dim = dim
        X = torch.randn(rows, dim, generator=draw, dtype=F)
        y = torch.bernoulli(torch.sigmoid(X.sum(1)), generator=draw)
        self.data = [X, y]
        u, e, b, entropy = mean_field(dim)
        x, seen = make_input("X", (rows, dim), F), make_input("y", (rows,), F)
        with working_dtype(F):
            eta = make("matmul", x, b)
            fit = total(make("sub", make("mul", eta, seen), make("softplus", eta)))
            prior = make("mul", total(make("mul", b, b)), -0.5)
            self.program = program_of(make("add", make("add", fit, prior), entropy), u, e, x, seen)
        self.objective = Objective.of_program(self.program, self.data, [("normal", dim)])

    def elbo(self, u, e):
        """The same in torch."""
        m, w = u[: self.dim], u[self.dim :]
        b = m + w.exp() * e
        eta = self.data[0] @ b
        fit = (eta * self.data[1] - torch.nn.functional.softplus(eta)).sum()
        return fit - 0.5 * b @ b + w.sum()


def without_noise(function, dim):
    """The objective of a function of u [D] that gives a node, for tests of the loop alone."""
    u = make_input("u", (dim,), F, (), "flat")
    with working_dtype(F):
        return Objective.of_program(program_of(function(u), u), [])
