"""ATen overloads in the vocabulary of the Graph.

Each entry takes the overload's own arguments (tensors already nodes) and returns the node with ATen's
meaning. An overload
without an entry becomes an `opaque` node: still recorded, batched by vmap, differentiated by torch's own
formula.
`table` is the registry; `elementwise`, `views`, `reductions` and `linalg` fill it.
"""

from ppl.compiler.aten import elementwise, linalg, reductions, views
from ppl.compiler.aten.table import ATEN, aten

__all__ = ["ATEN", "aten", "elementwise", "linalg", "reductions", "views"]
