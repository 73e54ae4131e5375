"""`ppl`, and `python -m ppl`: the commands, and what their exit codes mean.

| code | meaning |
|---|---|
| 0 | done; for `check` and `fmt --check`: nothing to mend |
| 1 | something in the program, the data or the options has to be mended: the text says what |
| 2 | the command line itself is wrong |
| 130 | interrupted; draws so far are saved where `--out` says |
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ppl.cli.bench import bench
from ppl.cli.check import check
from ppl.cli.explain import explain
from ppl.cli.fmt import fmt
from ppl.cli.graph import graph
from ppl.cli.run import INTERRUPTED, run
from ppl.errors import PplError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ppl", message="%(package)s %(version)s")
def ppl() -> None:
    """Probabilistic programs in .ppl files: check them, draw them, run them."""


for command in (run, check, fmt, explain, graph, bench):
    ppl.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors a user can cause are printed without a traceback."""
    try:
        code = ppl.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except PplError as error:
        if error.where is not None and not error.where.file.endswith(".ppl"):
            error.where = None  # the innermost frame that isn't ours: that of this command
        click.echo(str(error), err=True)
        sys.exit(1)
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        places = getattr(error, "__notes__", [])
        if not places:  # not an error of the program: a mistake of ours, with its traceback
            raise
        click.echo("\n".join(["error in the program", str(error), *places]), err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
