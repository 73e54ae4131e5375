"""A guide being written: its params and sites become lines of text, the lines a bound program."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ppl.inference.vi.guides.latents import Latent
from ppl.inference.vi.guides.supports import Bound as End
from ppl.inference.vi.guides.text import Call, call, identifier, literal, program, quoted
from ppl.language.program import Bound
from ppl.language.structure import Box, Boxes

Maker = Callable[[str], Call]
"""The distribution of one element of a site, from the text of its index: "" or "[school, time]"."""

Argument = Callable[[str], str | Call]
"""An argument of that distribution, from the same text."""

_INDENT = "    "
_MODULES = ("torch", "ppl", "flows", "mix")


def carry_name(boxes: Boxes) -> str:
    """The variable that the innermost of some loops, a scan, carries."""
    depth = sum(box.kind == "scan" for box in boxes)
    return "carry" if depth == 1 else f"carry_{depth}"


class Draft:
    """The text of a guide. `vocabulary`: the distributions it may name, kept free of variables."""

    def __init__(self, name: str, model: Bound, summary: str, vocabulary: Sequence[str]) -> None:
        self.name, self.model, self.summary = name, model, summary
        self.vocabulary = tuple(vocabulary)
        self.taken = {name, "carry", "carry_2", "carry_3", *_MODULES, *self.vocabulary}
        self.arguments: dict[str, Any] = {}
        self.rows: list[str] = []
        self.loop_names: dict[str, str] = {}

    # ------------------------------------------------------------ values

    def variable(self, name: str) -> str:
        """A Python name of its own."""
        found = identifier(name, self.taken)
        self.taken.add(found)
        return found

    def argument(self, name: str, value: Any) -> str:
        """A value that is given to the guide rather than written down in it."""
        variable = self.variable(name)
        self.arguments[variable] = value
        return variable

    def value(self, name: str, tensor: torch.Tensor) -> str:
        """The text of a tensor: a literal, or an argument where that would be long."""
        return literal(tensor) or self.argument(name, tensor)

    def assign(self, name: str, value: Call | str) -> str:
        """`name = value`; the variable's name."""
        variable = self.variable(name)
        if isinstance(value, Call):
            self.rows += value.lines(_INDENT, f"{variable} = ")
        else:
            self.rows.append(f"{_INDENT}{variable} = {value}")
        return variable

    def param(self, name: str, init: torch.Tensor | str, constraint: str | None = None) -> str:
        """`name = ppl.param("name", init)`, dots in the variable's name being underscores."""
        text = init if isinstance(init, str) else self.value(f"{name}.init", init)
        more = {} if constraint is None else {"constraint": constraint}
        return self.assign(name, call("ppl.param", quoted(name), text, **more))

    def write(self, lines: Sequence[str]) -> None:
        """Lines of the body as they are."""
        self.rows += [_INDENT + line for line in lines]

    def blank(self) -> None:
        if self.rows and self.rows[-1]:
            self.rows.append("")

    def support(self, latent: Latent, indexed: bool = True) -> Argument:
        """The support of an element as `ppl.param` and `Pushforward` take it; of all elements if not `indexed`."""
        support = latent.support
        if support.name is not None:
            name = quoted(support.name)
            return lambda index: name
        if support.bounds is None:
            variable = self.argument(f"{latent.name}.support", support.constraint)
            return lambda index: variable
        ends = [
            self._end(f"{latent.name}.{side}", end, indexed)
            for side, end in zip(("lower", "upper"), support.bounds, strict=True)
        ]
        return lambda index: Call("", tuple(end(index) for end in ends))

    def _end(self, name: str, end: End, indexed: bool) -> Callable[[str], str]:
        if not isinstance(end, torch.Tensor):
            shown = "None" if end is None or math.isinf(end) else repr(float(end))
            return lambda index: shown
        variable = self.argument(name, end)
        return lambda index: variable + index if indexed else variable

    # ------------------------------------------------------------ sites

    def sites(self, latents: Sequence[Latent], makers: Mapping[str, Maker]) -> None:
        """Every site in its loops; neighbours share those they have in common."""
        self.blank()
        self._nest(latents, makers, 0)

    def _nest(self, latents: Sequence[Latent], makers: Mapping[str, Maker], depth: int) -> None:
        """Sites that stand in the same `depth` loops."""
        start = 0
        while start < len(latents):
            latent = latents[start]
            here = latent.boxes[: depth + 1]
            stop = start + 1
            if len(here) == depth:
                before, statement = self._site(latent, makers)
                self.rows += statement.lines(_INDENT * (depth + 1), before)
            else:
                while stop < len(latents) and latents[stop].boxes[: depth + 1] == here:
                    stop += 1
                self._loop(here, latents[start:stop], makers)
            start = stop

    def _site(self, latent: Latent, makers: Mapping[str, Maker]) -> tuple[str, Call]:
        """What stands before a site's statement ("x = " where its value is used), and the statement."""
        index = f"[{', '.join(map(self.loop_name, latent.boxes))}]" if latent.boxes else ""
        dims = ", ".join(map(quoted, latent.dims)) + ("," if len(latent.dims) == 1 else "")
        more = {"dims": f"({dims})"} if latent.dims else {}
        return "", call("ppl.sample", quoted(latent.name), makers[latent.name](index), **more)

    def _loop(self, boxes: Boxes, latents: Sequence[Latent], makers: Mapping[str, Maker]) -> None:
        """The innermost of some loops, with the sites inside."""
        box, indent = boxes[-1], _INDENT * len(boxes)
        counter = self.loop_name(box)
        if box.kind == "plate":
            more = {"subsample": str(box.size)} if box.total else {}
            head = call("ppl.plate", quoted(box.name), str(box.total or box.size), **more)
            self.rows += head.lines(indent, f"for {counter} in ", ":")
            self._nest(latents, makers, len(boxes))
            return
        step = self.variable(f"{counter}_step")
        first, following = self._carry(boxes)
        self.blank()
        self.rows.append(f"{indent}def {step}({carry_name(boxes)}, {counter}):")
        self._nest(latents, makers, len(boxes))
        self.rows += [f"{indent}{_INDENT}return {following}", ""]
        self.rows += call("ppl.scan", quoted(box.name), step, first, length=str(box.size)).lines(indent)

    def _carry(self, boxes: Boxes) -> tuple[str, str]:
        """What a scan carries to begin with, and from each step to the next."""
        return "0.0", carry_name(boxes)

    def loop_name(self, box: Box) -> str:
        """The variable that counts a loop's elements or steps."""
        if box.name not in self.loop_names:
            self.loop_names[box.name] = self.variable(box.name)
        return self.loop_names[box.name]

    # ------------------------------------------------------------ the program

    @property
    def text(self) -> str:
        body = "\n".join(self.rows)
        words = set(re.findall(r"[A-Za-z_]\w*(?=[.(])", body))
        uses = [
            "import torch" if "torch" in words else "",
            "import ppl",
            *_imported("ppl.distributions", sorted(words & set(self.vocabulary))),
            *_imported("ppl.guides", sorted(words & {"flows", "mix"})),
        ]
        imports = [line for line in uses if line]
        if imports[0] == "import torch":
            imports.insert(1, "")
        head = f"def {self.name}({', '.join(self.arguments)}):"
        if len(head) > 88:
            inside = "".join(f"{_INDENT}{a},\n" for a in self.arguments)
            head = f"def {self.name}(\n{inside}):"
        summary = f'{_INDENT}"""{self.summary}"""'
        return "\n".join([*imports, "", "", "@ppl.guide", head, summary, *self.rows, ""])

    def bound(self) -> Bound:
        return program(self.text, self.name)(**self.arguments)


def _imported(module: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    line = f"from {module} import {', '.join(names)}"
    return [line] if len(line) <= 88 else [f"from {module} import (", *(f"    {n}," for n in names), ")"]
