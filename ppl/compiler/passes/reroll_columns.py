"""Columns of look-alikes as one node over a plate.

A *column* is one node (or number) per lane, a lane per turn of the loop: all the means of N normal terms,
say. If its nodes apply one operator, the column is that operator over the columns of their arguments (anti-
unification, lane by lane); where they differ for good they are leaves, stacked along the plate: places in a
common base become a slice or a gather of it, numbers a constant, data a concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from ppl.compiler.graph import Node, Plate, Scalar
from ppl.compiler.ops import constant, make, plate_slice, plate_stack
from ppl.compiler.ops.batching import move_axis, reshape
from ppl.compiler.ops.core import Operand, remake
from ppl.compiler.passes.reroll_alike import (
    DEPTH,
    MIN,
    Lanes,
    LookAlikes,
    Refused,
    arguments,
    columns,
    number_dtype,
    places,
    same_number,
)


class Rolls:
    """One plate for each number of lanes, and what is known over it."""

    def __init__(self, looks: LookAlikes, level: int) -> None:
        self.looks = looks
        self.level = level
        self._rolls: dict[int, Roll] = {}

    def of(self, size: int) -> Roll:
        if size not in self._rolls:
            self._rolls[size] = Roll(self, Plate(DEPTH + self.level, f"loop{self.level}", size))
        return self._rolls[size]

    def stack(self, nodes: Lanes) -> Node:
        """Nodes of one type along a new first axis."""
        rolled = len(nodes) >= MIN or nodes[0].op in _LEAVES
        return (
            self.of(len(nodes)).stack(nodes)
            if rolled and self.looks.one_local(nodes)
            else side_by_side(nodes)
        )


_LEAVES = ("full", "constant", "slice", "select")


class Roll:
    """Columns of one number of lanes as nodes over one plate."""

    def __init__(self, rolls: Rolls, plate: Plate) -> None:
        self.rolls = rolls
        self.plate = plate
        self._known: dict[Lanes, Node] = {}

    def value(self, lanes: Lanes) -> Node:
        """The node over the plate whose element i is `lanes[i]`. Raises `Refused`."""
        stack = [lanes]
        while stack:
            top = stack[-1]
            if top not in self._known:
                leaf = self._leaf(top)
                missing = [] if leaf is not None else [c for c in columns(top) if c not in self._known]
                if missing:
                    stack += missing
                    continue
                self._known[top] = self._applied(top) if leaf is None else leaf
            stack.pop()
        return self._known[lanes]

    def stack(self, lanes: Lanes) -> Node:
        """The lanes along a new first axis. Raises `Refused`."""
        return plate_stack(self.value(lanes), self.plate)

    def numbers(self, node: Node, column: Sequence[Scalar]) -> Operand:
        """A column of numbers among the arguments of look-alikes of `node`."""
        if all(same_number(c, column[0]) for c in column):
            return column[0]
        dtype = number_dtype(node, column[0])
        if dtype is None:
            raise Refused
        return self.spread(torch.tensor([float(c) for c in column], dtype=dtype))

    def spread(self, stacked: Node | torch.Tensor) -> Node:
        """Element i of the first axis in lane i."""
        node = stacked if isinstance(stacked, Node) else constant(stacked)
        return plate_slice(node, self.plate)

    # ------------------------------------------------------------ look-alikes

    def _applied(self, lanes: Lanes) -> Node:
        """The operator of the lanes on the columns of their arguments."""
        first = lanes[0]
        args: list[Operand] = []
        for column in arguments(lanes):
            args.append(self._known[column] if isinstance(column[0], Node) else self.numbers(first, column))
        where = places(lanes)
        if where is not None:
            node = read(first, args[0], self.spread(torch.tensor(where)))
        else:
            node = self._reshaped(first, args[0]) or remake(first, tuple(args))
        if (node.type, node.outs) != (first.type, first.outs):
            raise Refused
        return node

    def _reshaped(self, like: Node, x: Operand) -> Node | None:
        """A reshaped stack is the stack reshaped."""
        if like.op != "reshape" or not isinstance(x, Node) or x.op != "plate_slice":
            return None
        if x.attr("plate") != self.plate:
            return None
        return self.spread(reshaped(x.nodes[0], (self.plate.size, *like.shape)))

    # ------------------------------------------------------------ leaves

    def _leaf(self, lanes: Lanes) -> Node | None:
        """A column that is no operator on other columns: shared, numbers, places of a base, a stack."""
        first = lanes[0]
        if all(n is first for n in lanes):
            return first
        alike = self.rolls.looks.one_local(lanes)
        if alike and first.op in ("full", "constant"):
            return self._constants(lanes)
        if alike and first.op in ("slice", "select") and (taken := self._places(lanes)) is not None:
            return taken
        distinct = tuple(dict.fromkeys(lanes))
        if first.outs is None and 2 * len(distinct) <= len(
            lanes
        ):  # a few values, each for many lanes: computed once
            number = {n: i for i, n in enumerate(distinct)}
            return self.spread(picked(self.rolls.stack(distinct), [number[n] for n in lanes]))
        if not first.args or not alike:
            return self.spread(side_by_side(lanes))
        return None

    def _constants(self, lanes: Lanes) -> Node:
        first = lanes[0]
        if first.op == "constant":
            return self.spread(torch.stack([n.attr("value").tensor() for n in lanes]))
        element = self.spread(torch.tensor([n.attr("value") for n in lanes], dtype=first.dtype))
        if not first.shape:
            return element
        return make("expand", reshape(element, (1,) * len(first.shape)), shape=first.shape)

    def _places(self, lanes: Lanes) -> Node | None:
        """Slices of a common base (or of a few), at different places."""
        first = lanes[0]
        where = places(lanes)
        if where is None:
            return None  # one place of different bases: an operator like any other
        if any(n.nodes[0].type != first.nodes[0].type for n in lanes):
            raise Refused
        bases = tuple(dict.fromkeys(n.nodes[0] for n in lanes))
        if len(bases) > 1 and 2 * len(bases) > len(lanes):
            return None
        dim = first.attr("dim")
        axis = len(bases[0].shape) + dim
        if len(bases) == 1:
            front = move_axis(bases[0], axis, 0)
        else:  # all bases one after the other
            front = move_axis(self.rolls.stack(bases), axis + 1, 1)
            front = reshape(front, (front.shape[0] * front.shape[1], *front.shape[2:]))
            number = {b: i * b.shape[dim] for i, b in enumerate(bases)}
            where = [p + number[n.nodes[0]] for p, n in zip(where, lanes, strict=True)]
        if first.op == "select":
            return self.spread(picked(front, where))
        element = self.spread(windows(front, where, first.shape[dim], first.attr("step")))
        return move_axis(element, 0, axis)


# ---------------------------------------------------------------- reading many places at once


def read(like: Node, x: Operand, where: Operand) -> Node:
    """What `like`, a `select` or a slice of one element, would read of `x` at a place that is computed."""
    dim = like.attr("dim")
    if like.op == "slice" and like.shape[dim] != 1:
        raise Refused
    return reshape(make("take", x, where, dim=dim), like.shape)


def side_by_side(nodes: Lanes) -> Node:
    """Nodes of one type along a new first axis, one by one."""
    if len({n.type for n in nodes}) > 1 or any(n.outs is not None for n in nodes):
        raise Refused
    shape = (1, *nodes[0].shape)
    return make("cat", *[reshape(n, shape) for n in nodes], dim=-len(shape))


def reshaped(x: Node, shape: tuple[int, ...]) -> Node:
    return reshape(x.nodes[0] if x.op == "reshape" else x, shape)


def picked(x: Node, where: Sequence[int]) -> Node:
    """x[where]: a slice where the places are in arithmetic progression, else a gather."""
    step = where[1] - where[0]
    if step == 0 or any(b - a != step for a, b in pairwise(where)):
        return make("index", x, constant(torch.tensor(where)), positions=(0,))
    low, high = min(where[0], where[-1]), max(where[0], where[-1])
    dim = -len(x.shape)
    if (low, high, abs(step)) != (0, x.shape[0] - 1, 1):
        x = make("slice", x, dim=dim, start=low, stop=high + 1, step=abs(step))
    return x if step > 0 else make("flip", x, dims=(dim,))


def windows(x: Node, starts: Sequence[int], length: int, step: int) -> Node:
    """x[start : start + step·length : step] for every start, stacked: [starts, length, …]."""
    if length == 1:
        x = picked(x, starts)
        return reshape(x, (x.shape[0], 1, *x.shape[1:]))
    count, stride, size, rest = len(starts), starts[1] - starts[0], x.shape[0], x.shape[1:]
    even = all(b - a == stride for a, b in pairwise(starts))
    begin = min(starts[0], size - stride * count)
    if not (even and step == 1 and begin >= 0 and starts[0] - begin + length <= stride):
        every = torch.tensor(starts)[:, None] + step * torch.arange(length)
        return make("index", x, constant(every), positions=(0,))
    if (begin, stride * count) != (0, size):  # rows of a matrix, or a piece of each
        x = make("slice", x, dim=-len(x.shape), start=begin, stop=begin + stride * count, step=1)
    x = reshape(x, (count, stride, *rest))
    inner = starts[0] - begin
    if length == stride:
        return x
    return make("slice", x, dim=1 - len(x.shape), start=inner, stop=inner + length, step=1)


__all__ = ["Roll", "Rolls", "picked", "read", "side_by_side"]
