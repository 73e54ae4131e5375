"""`Posterior`: what `infer()` returns. Named draws with dims and coordinates, and everything one does with
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from ppl.errors import PplError
from ppl.results.arrays import NamedArrays, coordinate, elements

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure
    from torch import Tensor

    from ppl.results.diagnostics import Diagnosis

Arrays = Mapping[str, Any]


class Predictor(Protocol):
    """What wires a posterior to its program. `infer()` supplies one; `bound=None` means the program that was
    conditioned.
    """

    def posterior_predictive(self, bound: Any, draws: Mapping[str, np.ndarray], seed: int) -> Arrays: ...

    def prior_predictive(self, bound: Any, draws: int, seed: int) -> Arrays: ...


class Posterior:
    """Draws from a posterior, by name. Read-only: methods that change something return a new one.

    Arguments
        draws: site → array (chain, draw, *shape). Particle methods have one chain of equally weighted draws.
        dims: site → names of the axes after chain and draw (plates; of observed and constant data too).
        Unnamed axes are `{site}_dim_0`, ….
        coords: dim → its labels.
        sample_stats: ArviZ's names (`diverging`, `energy`, `tree_depth`, `step_size`, `lp`, …) → (chain,
        draw, …).
        observed_data, constant_data: name → array.
        log_likelihood: observed site → (chain, draw, *shape), or a function without arguments that computes
        it when first asked.
        attrs: plain facts about the run (method, seed, engine, warmup, target_accept, timings, …).
        predictor: see `Predictor`; it isn't saved.
        divergences: (chain, draw) booleans, for methods that don't put `diverging` into sample_stats.
        groups: further ArviZ groups: `prior`, `prior_predictive`, `posterior_predictive`, `warmup_posterior`,
        `warmup_sample_stats`.
        hierarchy: child site → (site of its location, site of its scale), None where that is no site; lets
        `diagnose()` propose edits.
        log_weights, log_evidence, params, losses, gradient_norms, khat: from the methods that have them, else None.
    Errors: `PplError` when arrays disagree about the number of chains or draws, or dims about the number of
    axes.

    >>> posterior = Posterior({"mu": np.zeros((2, 5, 3))}, {"mu": ("school",)}, {"school": ["a", "b", "c"]})
    >>> posterior.draws["mu"].shape, posterior.mean("mu").tolist()
    ((2, 5, 3), [0.0, 0.0, 0.0])
    """

    draws: NamedArrays
    dims: dict[str, tuple[str, ...]]
    coords: dict[str, np.ndarray]
    sample_stats: NamedArrays
    observed_data: NamedArrays
    constant_data: NamedArrays
    attrs: dict[str, Any]
    groups: dict[str, NamedArrays]
    hierarchy: dict[str, tuple[str | None, ...]]
    log_weights: np.ndarray | None
    log_evidence: float | None
    params: NamedArrays | None
    losses: np.ndarray | None
    gradient_norms: np.ndarray | None
    khat: float | None
    predictor: Predictor | None
    _log_likelihood: NamedArrays | Callable[[], Arrays] | None

    def __init__(
        self,
        draws: Arrays,
        dims: Mapping[str, Sequence[str]] | None = None,
        coords: Mapping[str, Any] | None = None,
        *,
        sample_stats: Arrays | None = None,
        observed_data: Arrays | None = None,
        constant_data: Arrays | None = None,
        log_likelihood: Arrays | Callable[[], Arrays] | None = None,
        attrs: Mapping[str, Any] | None = None,
        predictor: Predictor | None = None,
        divergences: Any = None,
        groups: Mapping[str, Arrays] | None = None,
        hierarchy: Mapping[str, Sequence[str | None]] | None = None,
        log_weights: Any = None,
        log_evidence: float | None = None,
        params: Arrays | None = None,
        losses: Any = None,
        gradient_norms: Any = None,
        khat: float | None = None,
    ) -> None:
        stats = NamedArrays(sample_stats or {})
        if divergences is not None and "diverging" not in stats:
            stats["diverging"] = np.asarray(divergences, dtype=bool)
        lazy = (
            log_likelihood
            if callable(log_likelihood) or log_likelihood is None
            else NamedArrays(log_likelihood)
        )
        fields = {
            "draws": NamedArrays(draws),
            "dims": {name: tuple(axes) for name, axes in (dims or {}).items()},
            "coords": {dim: coordinate(values) for dim, values in (coords or {}).items()},
            "sample_stats": stats,
            "observed_data": NamedArrays(observed_data or {}),
            "constant_data": NamedArrays(constant_data or {}),
            "_log_likelihood": lazy,
            "attrs": dict(attrs or {}),
            "predictor": predictor,
            "groups": {group: NamedArrays(arrays) for group, arrays in (groups or {}).items()},
            "hierarchy": {child: tuple(parents) for child, parents in (hierarchy or {}).items()},
            "log_weights": None if log_weights is None else np.asarray(log_weights),
            "log_evidence": None if log_evidence is None else float(log_evidence),
            "params": None if params is None else NamedArrays(params),
            "losses": None if losses is None else np.asarray(losses),
            "gradient_norms": None if gradient_norms is None else np.asarray(gradient_norms),
            "khat": None if khat is None else float(khat),
        }
        for field, value in fields.items():
            object.__setattr__(self, field, value)
        _check_shapes(self.draws, self.dims)
        _check_shapes(self.sample_stats, {}, like=self.draws)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Posterior is read-only: `{name}` can't be set (see `posterior.replace`)")

    def replace(self, **changes: Any) -> Posterior:
        """A copy with some constructor arguments changed.

        >>> Posterior({"x": np.zeros((1, 4))}).replace(attrs={"seed": 1}).attrs
        {'seed': 1}
        """
        names: tuple[str, ...] = (
            "draws",
            "dims",
            "coords",
            "sample_stats",
            "observed_data",
            "constant_data",
            "attrs",
            "predictor",
        )
        names += (
            "groups",
            "hierarchy",
            "log_weights",
            "log_evidence",
            "params",
            "losses",
            "gradient_norms",
            "khat",
        )
        fields = {name: getattr(self, name) for name in names} | {"log_likelihood": self._log_likelihood}
        return Posterior(**(fields | changes))

    # sizes and names

    @property
    def num_chains(self) -> int:
        return next((array.shape[0] for array in self.draws.values()), 0)

    @property
    def num_draws(self) -> int:
        """Draws per chain."""
        return next((array.shape[1] for array in self.draws.values()), 0)

    @property
    def divergences(self) -> int:
        """How many draws diverged."""
        return int(self.sample_stats["diverging"].sum()) if "diverging" in self.sample_stats else 0

    def __contains__(self, name: object) -> bool:
        return name in self.draws

    def __getitem__(self, name: str) -> np.ndarray:
        return self.draws[name]

    def __repr__(self) -> str:
        from ppl.results.display import text

        return text(self)

    def _repr_html_(self) -> str:
        from ppl.results.display import html

        return html(self)

    # numbers

    def summary(self, names: str | Sequence[str] | None = None, **options: Any) -> pd.DataFrame:
        """ArviZ's summary table: mean, sd, interval, Monte Carlo errors, bulk and tail ESS, rank-normalised
        R-hat (nan for one chain).

        Arguments: `names`, the sites wanted (all when None); options go to `arviz.summary` (`hdi_prob=`,
        `kind=`, `round_to=`, …).
        Returns: a pandas DataFrame, one row per element, that prints all its columns.
        Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), Bayesian Analysis 16(2).
        """
        from ppl.results.display import summary_table

        return summary_table(self, names, options)

    def extract(self, *names: str, draws: int | None = None, seed: int = 0) -> NamedArrays:
        """Chains laid end to end: site → (chain · draw, *shape).

        Arguments: `names`, all sites when none is given; `draws`, keep a random subset of that many rows, the
        same for every site.

        >>> Posterior({"x": np.zeros((2, 5, 3))}).extract("x", draws=4)["x"].shape
        (4, 3)
        """
        total = self.num_chains * self.num_draws
        rows = slice(None)
        if draws is not None and draws < total:
            rows = np.sort(np.random.default_rng(seed).choice(total, size=draws, replace=False))  # type: ignore[assignment]
        chosen = {name: self.draws[name] for name in names or self.draws}
        return NamedArrays({name: a.reshape(total, *a.shape[2:])[rows] for name, a in chosen.items()})

    def stack(self, name: str) -> np.ndarray:
        """One site with chains laid end to end: (chain · draw, *shape)."""
        return self.extract(name)[name]

    def mean(self, name: str) -> np.ndarray:
        """Posterior mean of every element of a site: an array of the site's shape."""
        return np.asarray(self.draws[name].mean(axis=(0, 1)))

    def sd(self, name: str) -> np.ndarray:
        """Posterior standard deviation (n − 1 in the denominator) of every element of a site."""
        return np.asarray(self.draws[name].std(axis=(0, 1), ddof=1))

    def quantile(self, name: str, q: float | Sequence[float]) -> np.ndarray:
        """Posterior quantiles of a site: shape (*shape of q, *shape of the site).

        >>> Posterior({"x": np.arange(5.0)[None]}).quantile("x", 0.5).tolist()
        2.0
        """
        return np.asarray(np.quantile(self.draws[name], q, axis=(0, 1)))

    def sel(self, **indexers: Any) -> Posterior:
        """Select by coordinate, as xarray does: `posterior.sel(chain=[0, 1], draw=slice(500, None),
        school="Choate")`.

        A scalar drops its dim (a scalar chain or draw keeps it). Stored groups and warm-up are left out.
        Errors: `UnknownNameError` for a dim that isn't there; `PplError` for a label that isn't.
        """
        from ppl.results.select import select

        return select(self, indexers)

    # the model again

    @property
    def has_log_likelihood(self) -> bool:
        return self._log_likelihood is not None

    @property
    def log_likelihood(self) -> NamedArrays:
        """Pointwise log likelihood log p(y_i | draw): observed site → (chain, draw, *shape). Computed when
        first asked for. It is nan for elements that are not observed: missing ones, and masked ones.

        `arviz.loo(posterior.to_arviz())` works from it. Errors: `PplError` when this posterior has none.
        """
        value = self._log_likelihood
        if value is None:
            raise PplError(
                "this posterior has no pointwise log likelihood",
                expected="at least one observed site",
                found="none, or a file that was saved without it",
                edit='ppl.infer(…, data={"y": y})   (and save(log_likelihood=True))',
            )
        if callable(value):
            value = NamedArrays(value())
            _check_shapes(value, {}, like=self.draws)
            object.__setattr__(self, "_log_likelihood", value)
        return value  # type: ignore[no-any-return]

    def predict(self, bound: Any = None, seed: int = 0) -> NamedArrays:
        """Posterior predictive draws: one run of the program per posterior draw, with the latent sites fixed
        to it.

        Arguments: `bound`, the program bound to new arguments (`model(new_x)`); the conditioned one when
        None.
        Returns: observed site → (chain, draw, *shape).
        """
        predictor = self._need_predictor("predict")
        return NamedArrays(predictor.posterior_predictive(bound, self.draws, seed))

    def prior_predictive(self, bound: Any = None, draws: int = 500, seed: int = 0) -> NamedArrays:
        """Runs of the program without data: every site → (1, draws, *shape)."""
        return NamedArrays(self._need_predictor("prior_predictive").prior_predictive(bound, draws, seed))

    def state_dict(self, name: str) -> dict[str, Tensor]:
        """The params of `ppl.module(name, …)` that were learned: `net.load_state_dict(fit.state_dict("net"))`."""
        from ppl.results.modules import state_dict

        return state_dict(self.params or {}, name)

    def _need_predictor(self, what: str) -> Predictor:
        if self.predictor is None:
            raise PplError(
                f"`{what}` needs the program, and this posterior has none attached",
                expected="a posterior straight from ppl.infer (files hold draws, not programs)",
                found="a posterior loaded from a file or built by hand",
                edit="posterior.replace(predictor=fresh.predictor), `fresh` a posterior of this program",
            )
        return self.predictor

    # out of here

    def to_xarray(self) -> xr.Dataset:
        """The draws as an xarray Dataset with dims (chain, draw, …)."""
        from ppl.results.export import dataset

        return dataset(self.draws, self.dims, self.coords, True, [*self.draws, *self.observed_data])

    def to_arviz(
        self,
        kind: str | None = None,
        *,
        log_likelihood: bool = True,
        posterior_predictive: bool | Arrays = False,
        prior_predictive: bool | Arrays = False,
        seed: int = 0,
    ) -> Any:
        """All groups for ArviZ: `InferenceData` with arviz 0.x, an xarray `DataTree` with arviz ≥ 1.

        Arguments: `kind`, "inferencedata", "datatree" or None (what is installed); `log_likelihood=False`
        leaves that group out; `posterior_predictive`, `prior_predictive`: True computes the group now, a dict
        is taken as it is. Prior draws of latent sites go to the group `prior`. A `/` in a site's name becomes
        `.` (ArviZ's files allow no `/`).
        """
        from ppl.results.export import to_arviz

        groups: dict[str, Arrays] = dict(self.groups)
        if posterior_predictive:
            given = posterior_predictive
            groups["posterior_predictive"] = self.predict(seed=seed) if isinstance(given, bool) else given
        if prior_predictive:
            runs = (
                self.prior_predictive(seed=seed) if isinstance(prior_predictive, bool) else prior_predictive
            )
            groups["prior"] = {k: v for k, v in runs.items() if k in self.draws}
            groups["prior_predictive"] = {k: v for k, v in runs.items() if k not in self.draws}
        shown = (
            self.replace(groups=groups) if len(groups) != len(self.groups) or posterior_predictive else self
        )
        return to_arviz(shown, kind, log_likelihood)

    def save(self, path: str | os.PathLike[str], *, log_likelihood: bool = True) -> None:
        """Write everything but the predictor to netCDF, or to zarr for a path ending in `.zarr`.
        `arviz.from_netcdf` reads it too.

        `log_likelihood=True` computes it now if it hasn't been. The file appears whole or not at all.
        """
        from ppl.results.store import save

        save(self, path, log_likelihood)

    @staticmethod
    def load(path: str | os.PathLike[str], predictor: Predictor | None = None) -> Posterior:
        """Read what `save` wrote, or the folder of `ppl.infer(…, draws_to=folder)`, whose draws stay in their
        files until they are looked at: the same arrays to the bit. Nothing in a file is ever run. Errors:
        `FileError`.
        """
        from ppl.results.store import load_posterior

        return load_posterior(path, predictor)

    # judgement and pictures

    def diagnose(self, **options: Any) -> Diagnosis:
        """What is wrong with these draws, where, and the edit that mends it: see `ppl.results.diagnose`."""
        from ppl.results.diagnostics import diagnose

        return diagnose(self, **options)

    def plot_trace(self, names: str | Sequence[str] | None = None, **options: Any) -> Figure:
        """Density and trace of each element, divergences marked. Returns the matplotlib figure."""
        from ppl.results.plots import plot_trace

        return plot_trace(self, names, **options)

    def plot_forest(self, names: str | Sequence[str] | None = None, **options: Any) -> Figure:
        """Intervals of each element, one under the other. Returns the matplotlib figure."""
        from ppl.results.plots import plot_forest

        return plot_forest(self, names, **options)

    def plot_pairs(self, names: str | Sequence[str] | None = None, **options: Any) -> Figure:
        """Scatter plots of every pair of elements, divergences marked. Returns the matplotlib figure."""
        from ppl.results.plots import plot_pairs

        return plot_pairs(self, names, **options)

    def plot_energy(self, **options: Any) -> Figure:
        """Marginal energy against its transitions, with E-BFMI per chain. Returns the matplotlib figure."""
        from ppl.results.plots import plot_energy

        return plot_energy(self, **options)

    def plot_ppc(self, name: str | None = None, **options: Any) -> Figure:
        """Posterior predictive draws against the observed data. Returns the matplotlib figure."""
        from ppl.results.plots import plot_ppc

        return plot_ppc(self, name, **options)

    def elements(self, names: str | Sequence[str] | None = None, limit: int | None = None) -> Any:
        """Draws with one column per scalar element: see `ppl.results.arrays.elements`."""
        return elements(self, [names] if isinstance(names, str) else names, limit)


def _check_shapes(arrays: Arrays, dims: Mapping[str, tuple[str, ...]], like: Arrays | None = None) -> None:
    """Every array begins with the same (chain, draw), and dims name as many axes as follow."""
    reference = next(iter((like or arrays).values()), None)
    for name, array in arrays.items():
        if array.ndim < 2 or (reference is not None and array.shape[:2] != reference.shape[:2]):
            expected = (
                "(chain, draw, …)"
                if reference is None or reference.ndim < 2
                else f"{reference.shape[:2]} + shape"
            )
            raise PplError(
                "draws of unequal length", site=name, expected=expected, found=f"shape {array.shape}"
            )
        if name in dims and len(dims[name]) != array.ndim - 2:
            raise PplError(
                "dims must name each axis after chain and draw",
                site=name,
                expected=f"{array.ndim - 2} names for shape {array.shape[2:]}",
                found=f"dims {dims[name]}",
                edit=f"dims={{{name!r}: {tuple(f'dim_{i}' for i in range(array.ndim - 2))}}}",
            )
