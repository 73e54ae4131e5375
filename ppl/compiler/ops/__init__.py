"""The operators of the Graph: what each computes, its batching and its reverse rule, one declaration each.

`pointwise`, `shapes`, `indexing` and `linalg` hold the tensor operators; `plates` the moves between implicit and
explicit axes; `regions` scan and switch; `implicit` draws with implicit derivatives; `surrogates` derivatives that a
user gives and functions without any; `opaque` everything else that torch can do.
"""

from ppl.compiler.ops import implicit, shapes, surrogates
from ppl.compiler.ops.batching import Batched
from ppl.compiler.ops.core import (
    OPERATORS,
    Operand,
    Operator,
    define,
    full,
    item,
    make,
    make_input,
    meta,
    remake,
)
from ppl.compiler.ops.indexing import scatter_sum
from ppl.compiler.ops.linalg import matmul, transpose
from ppl.compiler.ops.opaque import Constant, constant, make_opaque, vmapped
from ppl.compiler.ops.plates import plate_index, plate_slice, plate_stack, plate_sum, sliced, stacked
from ppl.compiler.ops.regions import Scan, body_inputs, retype, scan, scan_outputs, switch

__all__ = [
    "OPERATORS",
    "Batched",
    "Constant",
    "Operand",
    "Operator",
    "Scan",
    "body_inputs",
    "constant",
    "define",
    "full",
    "implicit",
    "item",
    "make",
    "make_input",
    "make_opaque",
    "matmul",
    "meta",
    "plate_index",
    "plate_slice",
    "plate_stack",
    "sliced",
    "stacked",
    "plate_sum",
    "remake",
    "retype",
    "scan",
    "scan_outputs",
    "shapes",
    "scatter_sum",
    "surrogates",
    "switch",
    "transpose",
    "vmapped",
]
