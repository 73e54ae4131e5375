"""Python's import of `.ppl` files: `ppl.importer` puts a finder in place for all of them, the standard library
one for its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


class _Loader(Loader):
    def __init__(self, path: Path) -> None:
        self.path = path

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        from ppl.syntax.load import load

        module = load(self.path)
        module.__name__ = spec.name
        return module

    def exec_module(self, module: ModuleType) -> None:
        """All was done when it was created."""


@dataclass(frozen=True)
class Finder(MetaPathFinder):
    """Finds `name.ppl` on the path of an import; `within` names the only package that it looks in."""

    within: str = ""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, stem = name.rpartition(".")
        if self.within and package != self.within:
            return None
        for folder in path if path is not None else sys.path:
            file = Path(folder or ".") / f"{stem}.ppl"
            if file.is_file():
                return spec_from_file_location(name, file, loader=_Loader(file))
        return None
