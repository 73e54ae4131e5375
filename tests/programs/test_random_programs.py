"""Compiled equals interpreted on random programs: log density and gradient, each pass on and off, single
and batched.
"""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, Phase, example, given, settings

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.passes import PASSES
from ppl.language.compiled import Compiled
from ppl.language.readings import constant_input
from programs import generate, oracle

_SETTINGS = dict(
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
_CHOICES = [PASSES, (), *[tuple(p for p in PASSES if p != off) for off in PASSES]]


def close(a: torch.Tensor, b: torch.Tensor, what: str) -> None:
    scale = 1.0 + b.abs().max() if b.numel() else 1.0
    assert bool(((a - b).abs() <= 1e-8 * scale).all()), f"{what}: {a} against {b}"


def check(tree: object, plain: bool = True) -> None:
    """`plain` runs the native engine's text as plain Python, otherwise as machine code."""
    bound = generate.build(tree)
    x = points = None
    recorded = None
    for passes in _CHOICES:
        compiled = Compiled(bound, engine="torch", passes=passes, recorded=recorded)
        recorded = compiled.recorded
        if points is None:
            generator = torch.Generator().manual_seed(0)
            points = 0.7 * torch.randn(4, compiled.dim, generator=generator, dtype=torch.float64)
            x = points[0].clone().requires_grad_(True)
            expected = oracle.log_density(compiled, x)
            (gradient,) = (
                torch.autograd.grad(expected, x, allow_unused=True)
                if compiled.dim and expected.requires_grad
                else (None,)
            )
            gradient = torch.zeros(compiled.dim) if gradient is None else gradient
        if not bool(torch.isfinite(expected)) or not bool(torch.isfinite(gradient).all()):
            return
        value, grad = compiled.value_and_grad(points[0])
        close(value, expected.detach(), f"log density with passes {passes}")
        close(grad, gradient, f"gradient with passes {passes}")
    for batch in (None, 4):  # every value has the type of its node
        physical = compiled._physical(compiled.gradient_graph, batch)
        graph, data = physical.graph, physical.data(compiled.data)
        rest = [
            constant_input(compiled.recorded, n, data, "cpu")
            for n in graph.inputs
            if n.attr("role") not in ("flat", "value")
        ]
        compile_torch(graph, checked=True)(points[0] if batch is None else points, *rest)
    native = Compiled(
        bound, engine="native", passes=_CHOICES[len(str(tree)) % len(_CHOICES)], recorded=recorded
    )
    program, data = native.native()
    assert native.engine.name == "native"
    value, grad = program.plain(points[0], *data) if plain else native.value_and_grad(points[0])
    close(value, expected.detach(), "native log density")
    close(grad, gradient, "native gradient")
    values, grads = compiled.value_and_grad(points)
    close(values[0], expected.detach(), "batched log density")
    close(grads[0], gradient, "batched gradient")


ZERO = ("const", 0.0)
NUMBERS_ONLY = [  # a `where` of two numbers, in the gradient of a truncated density
    ("sample", "truncated", ("const", -0.58), ("sin", ("env", 0))),
]
COPIES = [  # all copies of a scan's carry over a plate
    ("scan", 1, [("sample", "batch", ZERO, ZERO), ("plate", 2, [("let", ("env", 2))], True)], False),
]


CUTPOINTS = ("where", ("softplus", ("vector", ("env", 7))), ("const", 0.5))
SCATTER = [  # one element of a table; its adjoint is scattered in each step of the reverse scan
    ("sample", "mvn", ("const", 0.5), ("const", 0.5)),
    ("sub", [("scan", 2, [("observe", "orderedlogistic", ("const", 0.5), CUTPOINTS, False)], True)]),
]


@settings(max_examples=300, **_SETTINGS)
@example(SCATTER)
@example(NUMBERS_ONLY)
@example(COPIES)
@given(generate.programs)
def test_compiled_equals_interpreted(tree: object) -> None:
    check(tree)


@settings(max_examples=60, **_SETTINGS)
@given(generate.programs)
def test_machine_code_equals_interpreted(tree: object) -> None:
    check(tree, plain=False)
