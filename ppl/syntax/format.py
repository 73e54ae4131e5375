"""Tree and comments → text in the one canonical style."""

from __future__ import annotations

from ppl.syntax import tree


def type_text(kind: tree.Type) -> str:
    return kind.name.id
