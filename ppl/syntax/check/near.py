"""Names that could have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

from ppl.errors import comparable


def near(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names that `name` is a slip of, best first: other capitals, or a letter or two apart.

    >>> near("sgima", ["sigma", "mu", "s"]), near("mu", ["m", "Mu"]), near("getattr", ["Beta", "lbeta"])
    (['sigma'], ['Mu'], [])
    """
    close = (k for k in dict.fromkeys(known) if not k.startswith("__") and abs(len(k) - len(name)) <= 6)
    rated = [(_likeness(name, k), k) for k in comparable(name, close)]
    return [k for likeness, k in sorted(rated, key=lambda r: (-r[0], r[1])) if likeness >= 0.7][:n]


def _likeness(a: str, b: str) -> float:
    if a.lower() == b.lower():
        return 1.0
    if min(len(a), len(b)) < 3:
        return 0.0
    return SequenceMatcher(None, a.lower(), b.lower()).ratio()
