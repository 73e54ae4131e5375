"""Where a native function's text comes from: a Python function in a file, or generated text."""

from __future__ import annotations

import ast
import builtins as python
import itertools
import linecache
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from types import FunctionType
from typing import Any, Protocol

from .refusals import NativeError, location


class Origin(Protocol):
    """What the compiler asks of a native function's text."""

    file: str

    @property
    def line_shift(self) -> int:
        """What to add to the tree's line numbers to get the file's."""

    @property
    def source(self) -> str:
        """The text, decorators included."""

    @property
    def tree(self) -> ast.FunctionDef:
        """The parsed function."""

    @property
    def python(self) -> Callable[..., Any]:
        """The plain Python function."""

    def line(self, number: int) -> str:
        """A source line, by the tree's number."""

    @property
    def text_key(self) -> bytes:
        """A digest of the text, and of what its annotations stand for."""

    def mentioned(self) -> Iterator[tuple[str, Any]]:
        """Global names that the body may look up, with what they stand for now; in a fixed order. A name
        that is only an attribute comes with no value (`...`).
        """

    def lookup(self, name: str) -> Any:
        """What a global name stands for; KeyError if nothing."""


class FromFunction:
    """A Python function written in a file."""

    def __init__(self, python: Callable[..., Any]) -> None:
        if not isinstance(python, FunctionType):
            raise NativeError(
                "@native marks a function", expected="a `def`", found=f"{type(python).__name__} `{python!r}`"
            )
        self.python = python
        self.code = python.__code__
        self.file = self.code.co_filename
        # Now, because the file may be edited before it is compiled.
        self.every_line = linecache.getlines(self.file, python.__globals__)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the function, decorators first; as they stand in the file."""
        every = self.every_line
        first = self.code.co_firstlineno - 1
        last = max((line for *_, line in self.code.co_lines() if line is not None), default=first + 1)
        if not first < last <= len(every):
            raise NativeError(
                f"the source of `{self.python.__name__}` can't be read",
                expected=f"the text in {self.file}",
                edit="from_source(text, name) for a function made from text",
            )
        indent = _indentation(every[first])
        while last < len(every) and (not every[last].strip() or _indentation(every[last]) > indent):
            last += 1  # what Python dropped as unreachable, and comments
        return every[first:last]

    @property
    def source(self) -> str:
        return "".join(self.lines).rstrip() + "\n"

    @cached_property
    def _indented(self) -> bool:
        return self.lines[0][:1].isspace()

    @property
    def line_shift(self) -> int:
        return self.code.co_firstlineno - 1 - self._indented

    @cached_property
    def tree(self) -> ast.FunctionDef:
        text = f"if True:\n{self.source}" if self._indented else self.source
        body = ast.parse(text).body[0]
        found = body.body[0] if isinstance(body, ast.If) else body
        assert isinstance(found, ast.FunctionDef)
        return found

    def line(self, number: int) -> str:
        return self.lines[number - 1 - self._indented]

    @property
    def text_key(self) -> bytes:
        digest = blake2b(self.source.encode(), digest_size=16)
        for name, meaning in self.python.__annotations__.items():
            word = meaning if isinstance(meaning, str) else getattr(meaning, "__name__", repr(meaning))
            known = getattr(self.python.__globals__.get(word), "__name__", "")
            digest.update(f"\0{name}\0{word}\0{known}".encode())
        return digest.digest()

    def mentioned(self) -> Iterator[tuple[str, Any]]:
        for name in self.code.co_names + self.code.co_freevars:
            try:
                yield name, self.lookup(name)
            except KeyError:
                yield name, ...

    def lookup(self, name: str) -> Any:
        if name in self.code.co_freevars:
            cell = (self.python.__closure__ or ())[self.code.co_freevars.index(name)]
            try:
                return cell.cell_contents
            except ValueError:
                raise KeyError(name) from None
        try:
            return self.python.__globals__[name]
        except KeyError:
            return vars(python)[name]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


_WORD = re.compile(r"[^\W\d]\w*")
_DEFINITION = re.compile(r"^(?:@.*\n)*def +([^\W\d]\w*)", re.MULTILINE)


class Text:
    """Generated text: functions of the subset and global numbers, one after another. Parsed, and run as
    Python, only when somebody asks.
    """

    def __init__(self, source: str, name: str, names: Mapping[str, Any]) -> None:
        self.source = source
        self.names: dict[str, Any] = dict(names)  # the natives defined here are added to these
        self.lines = source.splitlines(keepends=True)
        self.file = self._register(f"<native {name}>")

    def _register(self, name: str) -> str:
        """Let tracebacks and errors show the text, as long as it lives."""
        for number in itertools.count(1):
            file = name if number == 1 else f"{name[:-1]} {number}>"
            entry: Any = (len(self.source), None, self.lines, file)
            if linecache.cache.setdefault(file, entry) is entry:
                break
        weakref.finalize(self, linecache.cache.pop, file, None)
        return file

    def blocks(self) -> list[tuple[str, str]]:
        """(name, text) of every function."""
        found = list(_DEFINITION.finditer(self.source))
        ends = [m.start() for m in found[1:]] + [len(self.source)]
        return [(m[1], self.source[m.start() : end]) for m, end in zip(found, ends, strict=True)]

    @cached_property
    def digest(self) -> bytes:
        return blake2b(self.source.encode(), digest_size=16).digest()

    @cached_property
    def _parsed(self) -> tuple[dict[str, ast.FunctionDef], dict[str, Any]]:
        """Functions and global numbers."""
        trees, numbers = {}, {}
        for node in ast.parse(self.source, self.file).body:
            match node:
                case ast.FunctionDef(name=name):
                    trees[name] = node
                case ast.Assign(targets=[ast.Name(id=name)]):
                    numbers[name] = ast.literal_eval(node.value)
                case ast.Expr(value=ast.Constant()):
                    pass
                case _:
                    raise NativeError(
                        "generated text holds functions and global numbers only",
                        where=location(self.file, node),
                        found=ast.unparse(node).split("\n")[0],
                    )
        return trees, numbers

    @property
    def trees(self) -> dict[str, ast.FunctionDef]:
        return self._parsed[0]

    @property
    def numbers(self) -> dict[str, Any]:
        return self._parsed[1]

    @cached_property
    def functions(self) -> dict[str, Any]:
        """The text, run as Python."""

        def plain(function: Any = None, **options: Any) -> Any:
            return function if function is not None else plain

        space = dict(self.names) | {"native": plain}
        exec(compile(self.source, self.file, "exec"), space)
        return space


class FromText:
    """A function of a generated text."""

    line_shift = 0

    def __init__(self, text: Text, name: str, source: str) -> None:
        self.text = text
        self.name = name
        self.source = source
        self.file = text.file

    @property
    def tree(self) -> ast.FunctionDef:
        return self.text.trees[self.name]

    @property
    def python(self) -> Callable[..., Any]:
        return self.text.functions[self.name]

    def line(self, number: int) -> str:
        return self.text.lines[number - 1]

    @property
    def text_key(self) -> bytes:
        return self.text.digest

    def mentioned(self) -> Iterator[tuple[str, Any]]:
        names = self.text.names  # global numbers are in the text, and so in its digest
        for name in dict.fromkeys(_WORD.findall(self.source)):
            yield name, names.get(name, ...)

    def lookup(self, name: str) -> Any:
        if name in self.text.names:
            return self.text.names[name]
        if name in self.text.numbers:
            return self.text.numbers[name]
        return vars(python)[name]
