"""What the subset refuses, and what to write instead."""

from __future__ import annotations

import ast
import linecache

from ppl.errors import Location, PplError

from .types import Type


class NativeError(PplError):
    """A native function that leaves the subset, or is called with what it can't take."""

    kind = "native error"


# Construct -> (what it is called, what to write instead).
CONSTRUCTS: dict[type[ast.AST], tuple[str, str]] = {
    ast.ListComp: ("a list comprehension", "a `for` loop that stores into an array"),
    ast.SetComp: ("a set comprehension", "a `for` loop that stores into an array"),
    ast.DictComp: ("a dict comprehension", "a `for` loop that stores into an array"),
    ast.GeneratorExp: ("a generator", "a `for` loop"),
    ast.List: ("a list", "an array parameter (Floats or Ints)"),
    ast.Set: ("a set", "an array parameter (Floats or Ints)"),
    ast.Dict: ("a dict", "an array parameter (Floats or Ints)"),
    ast.Tuple: ("a tuple", "one assignment for each value"),
    ast.Lambda: ("a lambda", "a function of its own, marked @native"),
    ast.FunctionDef: ("a nested function", "a function of its own, marked @native"),
    ast.AsyncFunctionDef: ("an async function", "a function of its own, marked @native"),
    ast.ClassDef: ("a class", "arrays and numbers"),
    ast.NamedExpr: ("`:=`", "an assignment on a line of its own"),
    ast.JoinedStr: ("a formatted string", "numbers; strings stay outside"),
    ast.Starred: ("`*` unpacking", "each argument by name"),
    ast.Yield: ("`yield`", "`return`, with the state kept in an array"),
    ast.Await: ("`await`", "a plain call"),
    ast.With: ("`with`", "the statements of its body"),
    ast.Try: ("`try`", "an `if` and a result code"),
    ast.Raise: ("`raise`", "`return` of a code that the caller checks"),
    ast.Assert: ("`assert`", "a check by the caller"),
    ast.Delete: ("`del`", "nothing: locals need no deletion"),
    ast.Global: ("`global`", "a parameter"),
    ast.Nonlocal: ("`nonlocal`", "a parameter"),
    ast.Import: ("an import", "an import at the top of the file"),
    ast.ImportFrom: ("an import", "an import at the top of the file"),
    ast.Match: ("`match`", "`if` and `elif`"),
    ast.MatMult: ("`@`", "a loop"),
    ast.Is: ("`is`", "`==`"),
    ast.IsNot: ("`is not`", "`!=`"),
    ast.In: ("`in`", "a loop"),
    ast.NotIn: ("`not in`", "a loop"),
}


def location(file: str, node: ast.AST, line_shift: int = 0) -> Location:
    """The place of a node; its columns, which ast counts in bytes, in characters."""
    line = getattr(node, "lineno", 1) + line_shift
    start = getattr(node, "col_offset", None)
    end = getattr(node, "end_col_offset", None)
    if start is None or end is None or getattr(node, "end_lineno", None) != getattr(node, "lineno", 1):
        return Location(file, line)
    text = linecache.getline(file, line).encode()
    characters = [len(text[:k].decode("utf-8", "replace")) + 1 for k in (start, end)]
    return Location(file, line, *characters)


def converted(wanted: Type, found: Type, node: ast.AST) -> str | None:
    """The text that would give a value the wanted type, if there is a function for it."""
    function = {Type.F64: "float", Type.I64: "int", Type.BOOL: "bool"}.get(wanted)
    if function is None or found not in (Type.F64, Type.I64, Type.BOOL):
        return None
    if isinstance(node, ast.Constant) and wanted is Type.F64 and found is Type.I64:
        return f"{ast.unparse(node)}.0"
    return f"{function}({ast.unparse(node)})" if isinstance(node, ast.expr) else f"{function}(...)"
