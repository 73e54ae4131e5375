"""`import ppl.importer` lets Python import `.ppl` files: `import my_models` finds `my_models.ppl` on the path."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for folder in path if path is not None else sys.path:
            file = Path(folder or ".") / f"{name.rpartition('.')[2]}.ppl"
            if file.is_file():
                return spec_from_file_location(name, file, loader=_Loader(file))
        return None


if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.append(_Finder())
