"""What automatic guides refuse, in words."""

import pytest
import torch
from inference.vi import zoo

import ppl
from ppl.distributions import Bernoulli, Dirichlet, Exponential, Gamma, Normal, Poisson, Uniform


def refused(make, *arguments, **options) -> str:
    with pytest.raises(ppl.PplError) as caught:
        make(*arguments, **options)
    text = str(caught.value)
    return text[text.index(caught.value.headline) :]


@ppl.model
def branching():
    b = ppl.sample("b", Bernoulli(0.5))
    ppl.cond(b > 0.5, lambda: ppl.sample("x", Normal(0.0, 1.0)), lambda: torch.tensor(0.0))


@ppl.model
def moving():
    top = ppl.sample("top", Exponential(1.0))
    ppl.sample("x", Uniform(0.0, top))


@ppl.model
def counting():
    ppl.sample("n", Poisson(2.0))


@ppl.model
def plain():
    ppl.sample("p", Dirichlet(torch.ones(3)))
    for _ in ppl.plate("i", 4):
        ppl.sample("x", Gamma(1.0, 1.0))


@ppl.model
def single():
    ppl.sample("x", Normal(0.0, 1.0))


def test_a_site_in_a_branch() -> None:
    assert refused(ppl.guides.mean_field, branching()) == (
        "no automatic guide covers 'x': it stands in a branch (cond, switch), where it may not exist\n"
        "  expected: latent sites that always exist and are not observed\n"
        "  found:    a site in a branch\n"
        "  edit:     write the guide by hand: start from ppl.guides.source(…) of a model without this site"
    )


def test_a_support_that_moves_with_a_random_value() -> None:
    assert refused(ppl.guides.mean_field, moving()) == (
        "the support of 'x' is not known before inference: it depends on top\n"
        "  expected: bounds that are numbers or data\n"
        "  found:    a support that moves with top\n"
        "  edit:     sample it on a fixed support and map it there, or write the guide by hand"
    )


def test_a_site_observed_in_part() -> None:
    holes = plain().condition(x=torch.tensor([1.0, torch.nan, 2.0, 3.0]))
    assert refused(ppl.guides.full_rank, holes).startswith(
        "no automatic guide covers 'x': it is observed in part; its missing elements have no guide"
    )


def test_a_discrete_site_with_infinitely_many_values() -> None:
    assert refused(ppl.guides.mean_field, counting()) == (
        "no automatic guide covers the discrete site 'n'\n"
        "  expected: Bernoulli, Categorical or OneHotCategorical, or continuous sites\n"
        "  found:    Poisson\n"
        "  edit:     sum it out by hand (torch.logsumexp over its values in a ppl.factor), or write the guide by hand"
    )


def test_a_discrete_site_has_no_point_estimate_and_no_joint_normal() -> None:
    bits = zoo.mixed().condition(y=torch.zeros(4), w=0.0)
    assert refused(ppl.guides.delta, bits).startswith(
        "site 'z' is discrete: a point of it can't be found by its gradient"
    )
    assert refused(ppl.guides.full_rank, bits).startswith(
        "a joint guide needs continuous sites, and all latent sites are discrete"
    )


def test_nothing_to_guide() -> None:
    assert refused(ppl.guides.mean_field, single().condition(x=1.0)).startswith(
        "'single' has no latent site, so there is nothing to guide"
    )


def test_a_model_without_its_arguments() -> None:
    assert refused(ppl.guides.mean_field, plain).endswith("edit:     plain()")


def test_starting_values_of_an_unknown_name_or_outside_the_support() -> None:
    assert refused(ppl.guides.mean_field, plain(), init={"q": 1.0}) == (
        "init gives a value for 'q', which is not a continuous latent site\n"
        "  expected: some of p, x\n"
        "  found:    q\n"
        "  edit:     remove q"
    )
    assert refused(ppl.guides.mean_field, plain(), init={"x": torch.ones(3)}) == (
        "init has no possible value for 'x'\n"
        "  expected: shape [4], inside the support nonnegative\n"
        "  found:    shape [3]\n"
        "  edit:     give a value that 'x' can take, loops first"
    )
    assert "a value outside the support" in refused(
        ppl.guides.delta, plain(), init={"p": torch.tensor([0.5, 0.6, 0.1])}
    )


def test_options_that_do_not_fit() -> None:
    assert "edit:     rank=6" in refused(ppl.guides.low_rank, plain(), rank=9)
    assert refused(ppl.guides.flow, plain(), "splines").startswith("no flow is called 'splines'")
    assert refused(ppl.guides.flow, plain(), layers=0).startswith("a flow needs layers ≥ 1")
    assert refused(ppl.guides.flow, single(), "affine").startswith("couplings need two coordinates")
