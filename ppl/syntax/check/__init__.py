"""All that can be said about a `.ppl` file before anything runs: names, types, sizes, supports, structure.

`check(text, path)` gives every problem of a file, and what the lowering needs to know. It loads neither torch nor numpy.
"""

from ppl.syntax.check.file import Checked, check

__all__ = ["Checked", "check"]
