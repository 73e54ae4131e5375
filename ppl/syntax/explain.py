"""Why each loop of a source is what it is."""

from __future__ import annotations

from ppl.syntax import tree
from ppl.syntax.blocks import statements
from ppl.syntax.format import expression_text
from ppl.syntax.loops import structure
from ppl.syntax.parse import parse


def loops_explained(text: str, program: str) -> list[str]:
    """A row for each `for` of a program.

    >>> loops_explained("model m():\\n    for i in 3:\\n        x[i] ~ Normal(0, 1)\\n", "m")
    ['line 2  for i in 3: a plate: iterations are independent']
    """
    for item in parse(text).file.items:
        if isinstance(item, tree.Program) and item.name.id == program:
            found = structure(item.body, (p.name.id for p in item.parameters or ()))
            return [
                f"line {s.span.line}  for {s.index.id} in {expression_text(s.domain)}: {found.of(s).why()}"
                for s in statements(found.body)
                if isinstance(s, tree.For)
            ]
    return []
