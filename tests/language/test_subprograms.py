"""Programs inside programs: what their loops and dims are called in the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ppl
from ppl.distributions import Normal
from ppl.errors import StructureError
from ppl.language.program import Bound


@ppl.model
def rows(n: int) -> Any:
    for _ in (p := ppl.plate("row", n)):
        x = ppl.sample("x", Normal(0.0, 1.0))
    ppl.sample("v", Normal(torch.zeros(n), 1.0), dims=("row",))
    return p.gather(x)


@ppl.model
def steps(n: int) -> Any:
    def step(before: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return ppl.sample("z", Normal(before, 1.0))

    return ppl.scan("step", step, torch.zeros(()), length=n)


def dims(bound: Bound, *names: str) -> list[tuple[str, ...]]:
    """Of sites, as both runtimes name them."""
    trace = ppl.simulate(bound, seed=0)
    recorded = {site.name: tuple(name for name, _ in site.dims) for site in ppl.explain(bound).sites}
    found = [trace.dims(name) for name in names]
    assert found == [recorded[name] for name in names]
    return found


def test_equal_sizes_share_a_name() -> None:
    @ppl.model
    def m() -> None:
        ppl.sample("a", rows(3))
        ppl.sample("b", rows(3))

    assert dims(m(), "a/x", "a/v", "b/x", "b/v") == [("row",)] * 4


def test_another_size_is_the_subprograms_own() -> None:
    @ppl.model
    def m() -> None:
        ppl.sample("a", rows(3))
        ppl.sample("b", rows(2))

    assert dims(m(), "a/x", "a/v", "b/x", "b/v") == [("row",), ("row",), ("b/row",), ("b/row",)]
    assert ppl.compile(m()).sampler(seed=0, n=4)["b/x"].shape == (4, 2)


def test_inside_a_loop_of_the_same_name() -> None:
    @ppl.model
    def m() -> None:
        for _ in ppl.plate("row", 2):
            ppl.sample("a", rows(2))

    assert dims(m(), "a/x")[0] == ("row", "a/row")
    assert ppl.compile(m()).dim == 8


def test_scans() -> None:
    @ppl.model
    def m() -> None:
        ppl.sample("a", steps(3))
        ppl.sample("b", steps(2))

    assert dims(m(), "a/z", "b/z") == [("step",), ("b/step",)]


def test_a_programs_own_loops_keep_their_one_size() -> None:
    @ppl.model
    def m() -> None:
        for n in (2, 3):
            for _ in ppl.plate("row", n):
                ppl.sample(f"x{n}", Normal(0.0, 1.0))

    for read in (ppl.simulate, ppl.compile):
        with pytest.raises(StructureError, match="plate 'row' has two sizes"):
            read(m())
