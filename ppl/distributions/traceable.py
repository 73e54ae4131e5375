"""torch's families whose own versions read tensor values while they are built or evaluated, made recordable.

Each is a thin subclass under torch's name with torch's constructor: same meaning, no read-outs, and a density
that is minus infinity or has a finite gradient where torch's has not.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions import Distribution

from .base import Number, as_float, broadcast, only, open_uniform
from .registry import register
from .special import log1mexp

__all__ = [
    "ContinuousBernoulli",
    "ExpRelaxedCategorical",
    "FisherSnedecor",
    "Geometric",
    "LogitRelaxedBernoulli",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
]


def _by_probs_or_logits(d: Any) -> dict[str, Tensor]:
    name = "probs" if "probs" in d.__dict__ else "logits"
    return {name: getattr(d, name)}


def _rebuilt(d: Distribution, **params: Any) -> Any:
    new = type(d)(**params, validate_args=False)
    new._validate_args = d._validate_args  # type: ignore[attr-defined]
    return new


@register(
    strategies=("implicit", "reparam", "score"),
    location_scale=("loc", "scale"),
    example=lambda: [StudentT(3.0, 0.5, 2.0), StudentT(torch.tensor([1.5, 8.0]))],
    also=(td.StudentT,),
)
class StudentT(td.StudentT):
    """Student's t: as `torch.distributions.StudentT`, recordable.

    >>> StudentT(3.0, 0.0, 1.0).log_prob(torch.tensor(0.0)).shape
    torch.Size([])
    """

    def __init__(self, df: Number, loc: Number = 0.0, scale: Number = 1.0, validate_args: bool | None = None):
        self.df, self.loc, self.scale = broadcast(df, loc, scale)
        Distribution.__init__(self, self.df.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        return _rebuilt(
            self, df=self.df.expand(shape), loc=self.loc.expand(shape), scale=self.scale.expand(shape)
        )

    @property
    def _chi2(self) -> td.Chi2:  # type: ignore[override]
        # Made for sampling only: its constructor makes constants on the parameter's device, which a recording
        # would lose.
        return td.Chi2(self.df, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df > 1, self.loc, torch.nan)

    @property
    def variance(self) -> Tensor:
        finite = self.scale**2 * self.df / (self.df - 2)
        return torch.where(self.df > 2, finite, torch.where(self.df > 1, torch.inf, torch.nan))


@register(
    strategies=("implicit", "reparam", "score"),
    example=lambda: FisherSnedecor(4.0, 7.0),
    also=(td.FisherSnedecor,),
)
class FisherSnedecor(td.FisherSnedecor):
    """Fisher–Snedecor F: as torch's, recordable.

    >>> FisherSnedecor(4.0, 7.0).support
    GreaterThan(lower_bound=0.0)
    """

    def __init__(self, df1: Number, df2: Number, validate_args: bool | None = None):
        self.df1, self.df2 = broadcast(df1, df2)
        self._gamma1 = td.Gamma(self.df1 * 0.5, self.df1, validate_args=False)
        self._gamma2 = td.Gamma(self.df2 * 0.5, self.df2, validate_args=False)
        Distribution.__init__(self, self.df1.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        return _rebuilt(self, df1=self.df1.expand(shape), df2=self.df2.expand(shape))

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df2 > 2, self.df2 / (self.df2 - 2), torch.nan)

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, self.df2
        value = 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4))
        return torch.where(b > 4, value, torch.nan)


@register(
    strategies=("score", "mvd"),
    example=lambda: [Geometric(0.3), Geometric(logits=torch.tensor([0.5, -2.0]))],
    also=(td.Geometric,),
)
class Geometric(td.Geometric):
    """Number of failures before the first success: as torch's, recordable.

    >>> Geometric(0.5).log_prob(torch.tensor(1.0)).exp().item()
    0.25
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        if (probs is None) == (logits is None):
            raise ValueError("Geometric takes either probs or logits")
        if probs is not None:
            (self.probs,) = broadcast(probs)
        else:
            (self.logits,) = broadcast(logits)
        shape = (self.probs if probs is not None else self.logits).shape
        Distribution.__init__(self, shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        return _rebuilt(self, **{k: v.expand(shape) for k, v in _by_probs_or_logits(self).items()})

    def log_prob(self, value: Number) -> Tensor:
        if "probs" in self.__dict__:
            x = as_float(value, self.probs)
            log_p = torch.special.xlog1py(x, -self.probs) + torch.log(self.probs)
        else:
            x = as_float(value, self.logits)
            ls = torch.nn.functional.logsigmoid
            log_p = x * ls(-self.logits) + ls(self.logits)
        return torch.where((x >= 0) & (x == torch.floor(x)), log_p, -torch.inf)


@register(
    strategies=("reparam", "icdf", "score"),
    example=lambda: [ContinuousBernoulli(0.2), ContinuousBernoulli(logits=torch.tensor([1.5, 0.0]))],
    also=(td.ContinuousBernoulli,),
)
class ContinuousBernoulli(td.ContinuousBernoulli):
    """Continuous Bernoulli p(x) ∝ λ^x (1 − λ)^(1−x), as torch's, recordable, and with gradients at λ = ½ too.

    >>> ContinuousBernoulli(0.2).support
    Interval(lower_bound=0.0, upper_bound=1.0)
    """

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ):
        # torch looks at the values whenever `validate_args` is given at all; probs are clamped either way.
        super().__init__(probs=probs, logits=logits, lims=lims)
        if validate_args is not None:
            self._validate_args = validate_args

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        params = {k: v.expand(shape) for k, v in _by_probs_or_logits(self).items()}
        return _rebuilt(self, **params, lims=self._lims)

    def _split(self) -> tuple[Tensor, Tensor]:
        """Whether the logit l is near 0, where the law is near uniform and e^l − 1 loses digits, and an l
        that is not.
        """
        near = torch.abs(self.logits) < 1e-3
        return near, torch.where(near, 1.0, self.logits)

    def log_prob(self, value: Number) -> Tensor:
        """x l + log(l / (e^l − 1)), with its series near l = 0."""
        near, logit = self._split()
        x, small = as_float(value, self.logits), torch.where(near, self.logits, 0.0)
        # log(l / (e^l − 1)) = log|l| − log|1 − e^(−|l|)| − max(l, 0)
        far = torch.log(torch.abs(logit)) - log1mexp(torch.abs(logit)) - logit.clamp_min(0.0)
        constant = torch.where(near, small * (-0.5 - small / 24 + small**3 / 2880), far)
        return only((x >= 0) & (x <= 1), x * self.logits + constant)

    def cdf(self, value: Tensor) -> Tensor:
        near, logit = self._split()
        x = as_float(value, logit).clamp(0.0, 1.0)
        small = torch.where(near, self.logits, 0.0)
        # Written with e^(−|l|), so that nothing overflows.
        a = torch.abs(logit)
        falling = torch.expm1(-a * x) / torch.expm1(-a)
        rising = torch.exp(-a * (1 - x)) * falling
        series = x + 0.5 * small * x * (x - 1) * (1 + small * (2 * x - 1) / 6)
        return torch.where(near, series, torch.where(logit > 0, rising, falling))

    def icdf(self, value: Tensor) -> Tensor:
        near, logit = self._split()
        small = torch.where(near, self.logits, 0.0)
        a = torch.abs(logit)
        p = torch.where(logit > 0, 1 - value, value)
        falling = -torch.log1p(p * torch.expm1(-a)) / a
        series = value + 0.5 * small * value * (1 - value) * (1 + small * (1 - 2 * value) / 3)
        return torch.where(near, series, torch.where(logit > 0, 1 - falling, falling))

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.icdf(open_uniform(self._extended_shape(sample_shape), self.logits))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)


def _one_hot(d: Any, probs: Any, logits: Any, validate_args: bool | None) -> None:
    d._categorical = td.Categorical(probs=probs, logits=logits, validate_args=False)
    shape = d._categorical.batch_shape
    Distribution.__init__(d, shape, d._categorical.param_shape[-1:], validate_args=validate_args)


@register(
    strategies=("enum", "score", "mvd"),
    example=lambda: OneHotCategorical(torch.tensor([0.2, 0.5, 0.3])),
    also=(td.OneHotCategorical,),
)
class OneHotCategorical(td.OneHotCategorical):
    """One-hot categorical: as torch's, recordable.

    >>> OneHotCategorical(torch.ones(3)).event_shape
    torch.Size([3])
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        _one_hot(self, probs, logits, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return _one_hot_log_prob(self.logits, value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return _expanded_one_hot(self, batch_shape)


def _one_hot_log_prob(logits: Tensor, value: Tensor) -> Tensor:
    """Linear in the value, so that relaxed and straight-through values have its derivative."""
    finite = logits.clamp(min=torch.finfo(logits.dtype).min)  # 0 · −∞ would be nan
    return (as_float(value, logits) * finite).sum(-1)


def _expanded_one_hot(d: Any, batch_shape: Any, **more: Any) -> Any:
    name, value = next(iter(_by_probs_or_logits(d._categorical).items()))
    return _rebuilt(d, **more, **{name: value.expand(torch.Size(batch_shape) + value.shape[-1:])})


@register(
    strategies=("enum", "score", "mvd"),
    example=lambda: OneHotCategoricalStraightThrough(torch.tensor([0.2, 0.5, 0.3])),
    also=(td.OneHotCategoricalStraightThrough,),
)
class OneHotCategoricalStraightThrough(td.OneHotCategoricalStraightThrough):
    """One-hot categorical with torch's (biased) straight-through `rsample`, recordable.

    >>> OneHotCategoricalStraightThrough(torch.ones(3)).event_shape
    torch.Size([3])
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        _one_hot(self, probs, logits, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return _one_hot_log_prob(self.logits, value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return _expanded_one_hot(self, batch_shape)


@register(
    strategies=("reparam", "score"),
    example=lambda: LogitRelaxedBernoulli(torch.tensor(0.7), probs=torch.tensor(0.3)),
)
class LogitRelaxedBernoulli(td.relaxed_bernoulli.LogitRelaxedBernoulli):
    """The logit of a relaxed Bernoulli: a logistic with location logits/temperature; temperature may be
    batched.

    >>> LogitRelaxedBernoulli(torch.tensor(0.7), probs=torch.tensor(0.3)).support
    Real()
    """

    has_rsample = True

    def log_prob(self, value: Tensor) -> Tensor:
        diff = self.logits - as_float(value, self.logits) * self.temperature
        log_temperature = torch.as_tensor(self.temperature, dtype=diff.dtype).log()
        return log_temperature + diff - 2 * torch.nn.functional.softplus(diff)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        params = {k: v.expand(shape) for k, v in _by_probs_or_logits(self).items()}
        return _rebuilt(self, temperature=self.temperature, **params)


@register(
    strategies=("reparam", "score"),
    example=lambda: RelaxedBernoulli(torch.tensor(0.7), probs=torch.tensor([0.3, 0.6])),
    has_cdf=False,
    also=(td.RelaxedBernoulli,),
)
class RelaxedBernoulli(td.RelaxedBernoulli):
    """Relaxed Bernoulli (binary concrete): as torch's, recordable.

    >>> RelaxedBernoulli(torch.tensor(0.7), probs=torch.tensor(0.3)).support
    Interval(lower_bound=0.0, upper_bound=1.0)
    """

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ):
        (t,) = broadcast(temperature)
        base = LogitRelaxedBernoulli(t, probs=probs, logits=logits, validate_args=False)
        td.TransformedDistribution.__init__(self, base, td.SigmoidTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        base = self.base_dist.expand(batch_shape)
        return _rebuilt(self, temperature=base.temperature, **_by_probs_or_logits(base))


@register(
    strategies=("reparam",),
    example=lambda: ExpRelaxedCategorical(torch.tensor(0.7), probs=torch.tensor([0.3, 0.6, 0.1])),
    proper=False,
)
class ExpRelaxedCategorical(td.relaxed_categorical.ExpRelaxedCategorical):
    """Logarithm of a relaxed one-hot: its values lie on a surface (log-sum-exp 0), so it has no density on
    R^K.

    >>> ExpRelaxedCategorical(torch.tensor(0.7), probs=torch.ones(3)).event_shape
    torch.Size([3])
    """

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ):
        (self.temperature,) = broadcast(temperature)
        _one_hot(self, probs, logits, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return _expanded_one_hot(self, batch_shape, temperature=self.temperature)


@register(
    strategies=("reparam", "score"),
    example=lambda: RelaxedOneHotCategorical(torch.tensor(0.7), probs=torch.tensor([0.3, 0.6, 0.1])),
    also=(td.RelaxedOneHotCategorical,),
)
class RelaxedOneHotCategorical(td.RelaxedOneHotCategorical):
    """Relaxed one-hot categorical (Gumbel–softmax, concrete): as torch's, recordable.

    >>> RelaxedOneHotCategorical(torch.tensor(0.7), probs=torch.ones(3)).event_shape
    torch.Size([3])
    """

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ):
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=False)
        td.TransformedDistribution.__init__(self, base, td.ExpTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        base = self.base_dist.expand(batch_shape)
        return _rebuilt(self, temperature=base.temperature, **_by_probs_or_logits(base._categorical))
