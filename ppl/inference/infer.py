"""`infer`: one entry point for every method."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ppl.errors import MethodError, closest, placed
from ppl.inference.methods import METHODS
from ppl.inference.options import COMMON, as_data, as_device, as_dtype, counts, is_loader, unknown_option
from ppl.inference.run import Run
from ppl.inference.vi.method import VI
from ppl.language.program import Bound, Program, as_bound
from ppl.results.folder import vacant

_ALIASES = {
    "num_samples": "draws",
    "num_draws": "draws",
    "samples": "draws",
    "num_warmup": "warmup",
    "tune": "warmup",
    "num_chains": "chains",
    "random_seed": "seed",
}
_DEFAULTS = {"draws": 1000, "warmup": 1000, "chains": 4, "seed": 0}


@placed
def infer(
    b: Bound | Program,
    data: Mapping[str, Any] | Iterable[Any] | None = None,
    method: Any = "nuts",
    draws: int = 1000,
    warmup: int = 1000,
    chains: int = 4,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
    dtype: Any = "auto",
    coords: Mapping[str, Any] | None = None,
    keep: Sequence[str] | None = None,
    progress: bool = True,
    save_to: Any = None,
    resume: Any = None,
    draws_to: Any = None,
    **options: Any,
) -> Any:
    """The posterior of a bound program given data.

    Args:
        b: the program with its arguments, `model(x)`.
        data: observed sites by name; each value has the site's full shape (plates first). `nan`
            elements stay latent. For `ppl.VI(total_size=…)` also a torch `DataLoader`, see there; the program may then
            be given without the arguments that its batches have.
        method: "nuts", "hmc", or an object (`ppl.NUTS(target_accept=0.9)`).
        draws, warmup, chains: per chain; `num_samples`, `num_warmup`, `tune`, `random_seed` are accepted too.
        seed: the same seed gives the same draws, whatever the number of chains.
        device, engine, dtype: "auto" takes the CPU, the native engine (machine code) where it can run the
            program, otherwise the torch engine, and float64 (an nn.Module's dtype where one takes part).
        coords: labels for dims, `{"school": ["A", "B", …]}`.
        keep: names of the sites to report (all by default).
        progress: live progress on a terminal; always quiet elsewhere.
        save_to: a file for checkpoints of the run, written every 30 s and at its end, or
            `ppl.Checkpoint(file, every=5.0)`; `resume`: such a file to go on from, with as many `draws` as you
            like. Of a chain that has more already the first are returned; `save_to` keeps them all.
        draws_to: a folder that holds no draws yet, for runs larger than memory. While sampling, draws go to a
            mapped file there, float64 [chains, draws, unconstrained numbers]; then each site's values to an
            `.npy` file, [chains, draws, *shape], and the posterior's arrays are read-only maps of the files.
            `ppl.load_posterior(folder)` opens them again. A resumed run goes to a new folder. It takes
            chains · draws · 8 bytes · (unconstrained numbers + numbers in the kept sites) on the disk.
        options: of the method (`target_accept=0.9`), and `chain_ids`, `keep_warmup`, `thin`.

    Returns:
        a `Posterior`; Ctrl-C returns what was drawn so far.

    Raises:
        PplError: with the site, the source line, what was expected and found, and the edit that mends it.
        FileError: (a PplError) before sampling: `draws_to` holds draws, is a file, or its disk is too full.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> posterior = ppl.infer(m(), data={"y": 1.0}, draws=200, warmup=200, chains=2)
    >>> posterior.draws["x"].shape
    (2, 200)

    With the draws in files:

    >>> import tempfile
    >>> place = tempfile.TemporaryDirectory()
    >>> folder = place.name + "/draws"
    >>> on_disk = ppl.infer(m(), data={"y": 1.0}, draws=200, warmup=200, chains=2, draws_to=folder)
    >>> again = ppl.load_posterior(folder)
    >>> bool((again.draws["x"] == posterior.draws["x"]).all()), on_disk.draws["x"].flags.writeable
    (True, False)
    >>> place.cleanup()
    """
    settings: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "seed": seed}
    for alias, name in _ALIASES.items():
        if alias in options:
            value = options.pop(alias)
            if settings[name] not in (_DEFAULTS[name], value):
                raise MethodError(
                    f"{alias} is another name of {name}, and both are given",
                    expected="one of them",
                    found=f"{name}={settings[name]!r}, {alias}={value!r}",
                    edit=f"{name}={settings[name]!r}",
                )
            settings[name] = value
    numbers = counts(settings)
    folder = None if draws_to is None else vacant(draws_to)
    extras = {k: options.pop(k) for k in ("chain_ids", "keep_warmup", "thin") if k in options}
    chosen, runner = _method(method, options)
    stream = stream_of(b, data, chosen) if is_loader(data) else None
    bound = as_bound(b, "a program with its arguments") if stream is None else stream.first
    if bound.program.kind == "objective":
        raise MethodError(
            f"'{bound.name}' is an objective: it has no posterior",
            expected="a model, with its arguments",
            found=f"the objective {bound.name}",
            edit=f"ppl.infer(model(…), data, method=ppl.VI(guide=…, objective={bound.name}))",
        )
    if stream is None and (values := as_data(data)):
        bound = bound.condition(values)
    run = Run(
        bound=bound,
        device=as_device(device),
        engine=engine,
        dtype=as_dtype(dtype),
        coords=dict(coords or {}),
        keep=[keep] if isinstance(keep, str) else keep,
        progress=progress,
        save_to=save_to,
        resume=resume,
        draws_to=folder,
        stream=stream,
        **numbers,  # type: ignore[arg-type]
        **extras,
    )
    return runner(run, chosen)


def stream_of(b: Any, data: Any, method: Any) -> Any:
    """The batches of a loader, with the programs that take them."""
    if not isinstance(method, VI):
        raise MethodError(
            "batches of a loader are for variational inference",
            expected="all the data, by name",
            found=f"{type(data).__name__} as data, with {type(method).__name__}",
            edit="method=ppl.VI(total_size=N), or data={…}",
        )
    from ppl.inference.vi.loader import Batches
    from ppl.inference.vi.streamed import Stream

    return Stream(Batches(data, method.batch_names), b, method.guide, method.total_size)


def _method(method: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """The method's options object and the function that runs it."""
    if isinstance(method, str):
        entry = METHODS.get(method.lower())
        if entry is None:
            near = closest(method.lower(), METHODS) or list(METHODS)
            raise MethodError(
                f"there is no method '{method}'",
                expected=", ".join(METHODS),
                found=repr(method),
                edit=f'method="{near[0]}"',
            )
        known = [f.name for f in dataclasses.fields(entry.options)]
        for name in options:
            if name not in known:
                raise unknown_option(name, options[name], method.lower(), known, COMMON)
        return entry.options(**options), entry.run
    for entry in METHODS.values():
        if isinstance(method, entry.options):
            changed: Any = dataclasses.replace(method, **options) if options else method  # type: ignore[type-var]
            return changed, entry.run
    known_class = next((e.options for e in METHODS.values() if method is e.options), None)
    raise MethodError(
        "method must be a name or a method object",
        expected=", ".join(f'"{m}"' for m in METHODS) + ", or an object such as ppl.NUTS(target_accept=0.9)",
        found=f"the class {method.__name__}" if isinstance(method, type) else repr(method)[:80],
        edit=f"method=ppl.{known_class.__name__}()" if known_class else 'method="nuts"',
    )
