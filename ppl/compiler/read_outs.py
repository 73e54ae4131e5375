"""Read-outs: calls that would freeze a recorded value into a Python one, and the words in which each is
refused.
"""

from __future__ import annotations

from typing import NoReturn

from ppl.compiler.graph import Node, topological
from ppl.compiler.ops.effects import EFFECTS
from ppl.errors import RecordingError, user_mark

READ_OUTS = {
    "__bool__": "a branch on {what} can't be recorded",
    "item": "reading {what} out as a Python number can't be recorded",
    "__float__": "reading {what} out as a Python float can't be recorded",
    "__int__": "reading {what} out as a Python int can't be recorded",
    "__index__": "using {what} as a Python index can't be recorded",
    "__complex__": "reading {what} out as a Python number can't be recorded",
    "__format__": "writing {what} into a text can't be recorded",
    "numpy": "passing {what} to NumPy can't be recorded",
    "__array__": "passing {what} to NumPy can't be recorded",
    "tolist": "turning {what} into a list can't be recorded",
    "__contains__": "a membership test on {what} can't be recorded",
}
_BRANCH = "ppl.cond(x > 0, f, g), ppl.switch(i, fs), torch.where(x > 0, a, b), or @ppl.model(dynamic=True)"
_TORCH = "the torch function of the same name, for instance torch.exp(x)"
INDEX = "index a tensor, for instance torch.tensor(values)[i], made outside the program"
_EDITS = {
    "__bool__": _BRANCH,
    "__contains__": _BRANCH,
    "numpy": _TORCH,
    "__array__": _TORCH,
    "__float__": "torch.exp(x) instead of math.exp(x); a value stays a tensor",
    "__index__": INDEX,
    "__format__": 'ppl.deterministic("name", x) reports a value',
}
_EDITS_IN_LOOPS = {
    "__bool__": "torch.where(i > 0, a, b), ppl.cond(i > 0, f, g), or a mask",
    "__array__": INDEX,
    "numpy": INDEX,
}


def _subject(node: Node) -> tuple[str, str, bool]:
    """(what a value is, why it can't be read out, whether it is one because of a loop)."""
    once = "the program does the same whatever values are drawn"
    nodes = topological([node])
    roles = {str(n.attr("role", "")).partition(" ")[0] for n in nodes if n.op == "input"}
    random = any(n.op in EFFECTS for n in nodes) or roles & {"carry", "capture", "subsample"}
    plates = [n.attr("plate") for n in nodes if n.op in ("plate_index", "plate_slice")]
    steps = [
        str(n.attr("role")).partition(" ")[2]
        for n in nodes
        if n.op == "input" and str(n.attr("role")).startswith("element")
    ]
    if "batch" in roles and not random:
        return "data of a minibatch", "the program does the same for every batch of a shape", False
    if "param" in roles and not random:
        return "a parameter", "the program does the same whatever the parameters are", False
    if plates and not random:
        return (
            f"a value that differs between elements of plate '{plates[0].name}'",
            "the body runs once, for all elements together",
            True,
        )
    if steps and not random:
        return (
            f"a value that differs between steps of scan '{steps[0]}'",
            "the step runs once, for all steps together",
            True,
        )
    return "a random value", once, False


_FOUND = {
    "__bool__": "its truth value is asked for (if, while, and, or, not, min, max)",
    "item": "x.item()",
    "__float__": "float(x), or a function of Python's math",
    "__int__": "int(x)",
    "__index__": "a list, range or NumPy array indexed by it",
    "__complex__": "complex(x)",
    "__format__": "a format such as {x:.2f}",
    "numpy": "x.numpy()",
    "__array__": "a NumPy function or array that takes it",
    "tolist": "x.tolist()",
    "__contains__": "a in x",
}


def refuse_read_out(name: str, node: Node) -> NoReturn:
    """Refuse the call of `name` on a value with this node."""
    what, why, loop = _subject(node)
    edit = _EDITS.get(name, "keep the value a tensor, or mark the program @ppl.model(dynamic=True)")
    if loop:
        edit = _EDITS_IN_LOOPS.get(name, edit)
    raise RecordingError(
        READ_OUTS[name].format(what=what), where=user_mark(), expected=why, found=_FOUND[name], edit=edit
    )
