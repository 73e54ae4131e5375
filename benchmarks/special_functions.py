"""Native special functions in a compiled loop, against numpy and scipy: ns per element, and their ratio.

    python benchmarks/special_functions.py [name ...]

Arrays of 1024 stay in the first-level cache. Ours and the peer's are timed in turn, 40 rounds; the table has the
fastest of each, as other work on the machine only adds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.special as sp

from ppl.compiler.native import Library, build, from_source
from ppl.compiler.native.special import SPECIAL
from ppl.compiler.native.special.gamma import lgamma_positive

N = 1024
REPEATS = 100
ROUNDS = 40
Peer = Callable[[np.ndarray], np.ndarray]

# name -> (peer, where it is timed)
PEERS: dict[str, tuple[Peer, tuple[float, float]]] = {
    "exp": (np.exp, (-5.0, 5.0)),
    "expm1": (np.expm1, (-5.0, 5.0)),
    "log": (np.log, (0.01, 10.0)),
    "log1p": (np.log1p, (-0.9, 10.0)),
    "sigmoid": (sp.expit, (-5.0, 5.0)),
    "softplus": (lambda x: np.logaddexp(x, 0.0), (-5.0, 5.0)),
    "log_sigmoid": (sp.log_expit, (-5.0, 5.0)),
    "logaddexp": (lambda x: np.logaddexp(x, 0.3), (-5.0, 5.0)),
    "tanh": (np.tanh, (-3.0, 3.0)),
    "pow": (lambda x: np.power(x, 2.3), (0.01, 10.0)),
    "atan": (np.arctan, (-5.0, 5.0)),
    "erf": (sp.erf, (-3.0, 3.0)),
    "erfc": (sp.erfc, (-3.0, 5.0)),
    "ndtr": (sp.ndtr, (-5.0, 5.0)),
    "log_ndtr": (sp.log_ndtr, (-5.0, 5.0)),
    "ndtri": (sp.ndtri, (0.001, 0.999)),
    "erfinv": (sp.erfinv, (-0.999, 0.999)),
    "lgamma": (sp.gammaln, (0.01, 20.0)),
    "lgamma_positive": (sp.gammaln, (0.01, 20.0)),
    "digamma": (sp.psi, (0.01, 20.0)),
    "trigamma": (lambda x: sp.polygamma(1, x), (0.01, 20.0)),
    "i0e": (sp.i0e, (0.0, 20.0)),
    "i1e": (sp.i1e, (0.0, 20.0)),
}
MORE = {"softplus": ", 1.0, 20.0", "logaddexp": ", 0.3", "pow": ", 2.3"}

LOOP = """
def loop_{name}(x: Floats, y: Floats, n: i64, repeats: i64) -> None:
    for r in range(repeats):
        for i in range(n):
            y[i] = {name}(x[i]{more})
"""


def loop(name: str) -> Library:
    function = {**SPECIAL, "lgamma_positive": lgamma_positive}[name]
    source = LOOP.format(name=name, more=MORE.get(name, ""))
    return build(from_source(source, f"benchmark_{name}", uses={name: function}), name=name)


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def timed(name: str) -> tuple[float, float, bool]:
    """ns per element of ours and of the peer, and whether LLVM vectorised our loop."""
    peer, (low, high) = PEERS[name]
    library = loop(name)
    compiled = library[f"loop_{name}"]
    x = np.random.default_rng(0).uniform(low, high, N)
    y, many = np.empty(N), np.tile(x, REPEATS // 10)
    ours = theirs = np.inf
    for _ in range(ROUNDS):
        ours = min(ours, seconds(lambda: compiled(x, y, N, REPEATS)) / (N * REPEATS))
        theirs = min(theirs, seconds(lambda: peer(many)) / many.size)
    return ours * 1e9, theirs * 1e9, "vector.body" in library.optimised_ir


def main(names: list[str]) -> None:
    print(f"{'':16}{'ours':>8}{'peer':>8}{'ratio':>8}   ns per element; ratio = peer/ours")
    for name in names or PEERS:
        ours, theirs, vectorised = timed(name)
        print(
            f"{name:16}{ours:8.2f}{theirs:8.2f}{theirs / ours:8.1f}{'' if vectorised else '   not vectorised'}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
