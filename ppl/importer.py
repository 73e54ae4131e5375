"""`import ppl.importer` lets Python import `.ppl` files: `import my_models` finds `my_models.ppl` on the path."""

from __future__ import annotations

import sys

from ppl.syntax.finder import Finder

if Finder() not in sys.meta_path:
    sys.meta_path.append(Finder())
