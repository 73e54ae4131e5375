"""`%load_ext ppl.syntax.editor.magic`, then `%%ppl` at the top of a notebook's cell: the programs in the cell become names.

%%ppl
model coin(x: int(0, 1)[N]):
    p ~ Beta(1, 1)
    for i in N:
        x[i] ~ Bernoulli(p)
"""

from __future__ import annotations

import sys
from typing import Any


def ppl(line: str, cell: str, names: dict[str, Any]) -> None:
    """Load a cell; `line` may give the module a name (`%%ppl models`), else its programs go into the notebook.

    Errors are printed as they are on the command line, without a traceback.
    """
    from ppl.syntax.load import loads
    from ppl.syntax.problems import SourceError

    try:
        module = loads(cell, "<cell>")
    except SourceError as error:
        print(error, file=sys.stderr)
        return
    if line.strip():
        names[line.strip()] = module
    else:
        names.update(module.exports)


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext` calls."""
    shell.register_magic_function(lambda line, cell: ppl(line, cell, shell.user_ns), "cell", "ppl")
