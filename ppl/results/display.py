"""How a posterior shows itself: a few lines of text, a small HTML table, and the summary table."""

from __future__ import annotations

import html as markup
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.errors import DataError
from ppl.results.arrays import unknown_name
from ppl.results.export import dataset, import_arviz, quiet_arviz, variable_names

if TYPE_CHECKING:
    import pandas as pd

    from ppl.results.posterior import Posterior

_MOST_SITES = 20
_MOST_NUMBERS = 50_000_000  # a repr must stay instant: beyond this many numbers mean and sd are left out


def _shape(posterior: Posterior, name: str) -> str:
    shape = posterior.draws[name].shape[2:]
    dims = posterior.dims.get(name, ("",) * len(shape))
    return ", ".join(f"{dim}: {size}" if dim else str(size) for dim, size in zip(dims, shape, strict=True))


def _value(array: np.ndarray) -> str:
    if array.dtype.kind == "c" or not array.size or array.size > _MOST_NUMBERS:
        return ""
    if array.ndim == 2:
        return f"{array.mean():.3g} ± {array.std():.2g}"
    means = array.mean(axis=(0, 1))
    return f"{means.min():.3g} … {means.max():.3g}"


def headline(posterior: Posterior) -> str:
    """`nuts, 4 chains × 1000 draws, seed 0`."""
    attrs = posterior.attrs
    chains, draws = posterior.num_chains, posterior.num_draws
    size = f"{chains} chain{'s' * (chains != 1)} × {draws} draws" if chains > 1 else f"{draws} draws"
    facts = [str(attrs["method"])] if "method" in attrs else []
    facts.append(size)
    facts += [f"{key} {attrs[key]}" for key in ("seed", "engine") if key in attrs]
    return ", ".join(facts)


def rows(posterior: Posterior) -> list[tuple[str, str, str]]:
    """(site, its axes, mean ± sd or the range of its means), at most twenty."""
    names = list(posterior.draws)
    shown = [(name, _shape(posterior, name), _value(posterior.draws[name])) for name in names[:_MOST_SITES]]
    if len(names) > _MOST_SITES:
        shown.append((f"… {len(names) - _MOST_SITES} more sites", "", ""))
    return shown


def remarks(posterior: Posterior) -> list[str]:
    """What a reader must know at first sight."""
    from ppl.results.diagnostics import notices

    found = notices(posterior)
    if posterior.log_evidence is not None:
        found.append(f"log evidence {posterior.log_evidence:.4g}")
    return found


def text(posterior: Posterior) -> str:
    """The repr of a posterior."""
    table = rows(posterior)
    wide = [max((len(row[i]) for row in table), default=0) for i in range(2)]
    lines = [f"Posterior: {headline(posterior)}"]
    lines += [f"  {a:<{wide[0]}}  {f'({b})' if b else '':<{wide[1] + 2}}  {c}".rstrip() for a, b, c in table]
    lines += [f"  ! {remark}" for remark in remarks(posterior)]
    return "\n".join(lines)


def html(posterior: Posterior) -> str:
    """The notebook form of the same."""
    escape = markup.escape
    left = "style='text-align:left'"
    head = f"<tr><th {left}>site</th><th {left}>axes</th><th>mean ± sd</th></tr>"
    body = "".join(
        f"<tr><td {left}>{escape(a)}</td><td {left}>{escape(b)}</td><td>{escape(c)}</td></tr>"
        for a, b, c in rows(posterior)
    )
    notes = "".join(f"<div>⚠ {escape(remark)}</div>" for remark in remarks(posterior))
    return f"<div><b>Posterior</b>: {escape(headline(posterior))}<table>{head}{body}</table>{notes}</div>"


def summary_table(
    posterior: Posterior, names: str | Sequence[str] | None, options: Mapping[str, Any]
) -> pd.DataFrame:
    """ArviZ's `summary`, rows labelled with our site names. Complex sites give rows for real and imaginary
    parts.
    """
    chosen = list(posterior.draws) if names is None else [names] if isinstance(names, str) else list(names)
    arrays: dict[str, np.ndarray] = {}
    dims = dict(posterior.dims)
    for name in chosen:
        if name not in posterior.draws:
            raise unknown_name(name, posterior.draws)
        array = posterior.draws[name]
        if array.dtype.kind == "c":
            arrays |= {f"{name}.real": array.real, f"{name}.imag": array.imag}
            dims |= {f"{name}.real": dims.get(name, ()), f"{name}.imag": dims.get(name, ())}
        else:
            arrays[name] = array
    if not posterior.num_draws:
        raise DataError(
            "there are no draws to summarise",
            expected="one draw or more",
            found="a run that was interrupted in its warm-up"
            if posterior.attrs.get("interrupted")
            else "none",
            edit="infer(…, save_to=FILE), and resume=FILE to go on",
        )
    arviz = import_arviz()
    data: Any = dataset(arrays, dims, posterior.coords, drawn=True)
    if not hasattr(arviz, "InferenceData"):  # the DataTree generation
        import xarray as xr

        data = xr.DataTree.from_dict({"/posterior": data})
    with quiet_arviz():
        table = arviz.summary(data, **options)
    if hasattr(table, "index"):
        back = {new: old for old, new in variable_names(list(arrays)).items() if new != old}
        table.index = [_relabel(str(row), back) for row in table.index] if back else table.index
    from ppl.results.table import whole

    return whole(table)


def _relabel(row: str, back: Mapping[str, str]) -> str:
    name, bracket, rest = row.partition("[")
    return back.get(name, name) + bracket + rest
