"""`explain` says what was understood and what will run; printed graphs tell different graphs apart."""

import re

import pytest
import torch

import ppl
from ppl.compiler.passes import PASSES
from ppl.distributions import Bernoulli, Beta, LogNormal, MultivariateNormal, Normal, StudentT
from ppl.language.record import record
from tests.language.diagrams import SIGMA, Y, discrete, dynamic, eight_schools, regressed, schools, walked

SCHOOLS = """\
model eight_schools: 4 statements, 10 unconstrained coordinates

handlers: condition(y)

sites
  name   kind      meaning                         support      dims      coords  gradients
  mu     latent    ~ Normal(0, 5)                  real                   1       reparam, icdf, score, mvd
  tau    latent    ~ HalfCauchy(5)                 nonnegative            1       reparam, icdf, score
  theta  latent    ~ Normal(mu, tau)               real         school 8  8       reparam, icdf, score, mvd
  y      observed  ~ Normal(theta, sigma[school])  real         school 8          reparam, icdf, score, mvd

loops and branches
  plate  school  8 elements  2 statements

notes
  theta: location or scale is random (mu, tau): with few data, .reparam(theta=ppl.NonCentered()) samples
    better

cost
  density   # nodes
  gradient  # nodes
  engine    native on cpu, float64: …
  passes    PASSES"""

WALK = """\
sites
  name    kind                    meaning                             support      dims            coords  gradients
  phi     latent                  ~ Uniform(-1, 1)                    [-1, 1]                      1       reparam, icdf
  s       latent                  ~ HalfNormal(1)                     nonnegative                  1       reparam, icdf, score
  z       latent                  ~ Normal(phi * z[t-1], s)           real         time 6          6       reparam, icdf, score, mvd
  y       observed                ~ Normal(z + x[t], 1)               real         time 6                  reparam, icdf, score, mvd
  jump    latent                  ~ Normal(z[last], 1)                real                         1       reparam, icdf, score, mvd
  beta    latent                  ~ Dirichlet(1)                      simplex      beta_dim_0 3    2       implicit, reparam, rejection, score
  scaled  deterministic           = f(beta, jump, phi, z)                          scaled_dim_0 3
  w       partly observed 2 of 4  ~ Normal(f(beta, jump, phi, z), s)  real         obs 4           2       reparam, icdf, score, mvd

loops and branches
  scan    time    6 steps     2 statements
  branch  switch  2 branches  1 statement
  plate   obs     4 elements  1 statement
"""  # noqa: E501


def steady(text: str) -> str:
    """A report without the sizes of graphs, which better passes change, and without the engine's reason."""
    text = text.replace(", ".join(PASSES), "PASSES")
    text = re.sub(r"^(  (?:density|gradient) +)\d+", r"\1#", text, flags=re.MULTILINE)
    return re.sub(r"^(  engine [^:]*: ).*$", r"\1…", text, flags=re.MULTILINE)


def test_the_report_of_eight_schools() -> None:
    assert steady(str(ppl.explain(schools()))) == SCHOOLS


def test_the_report_of_a_scan_a_branch_and_missing_data() -> None:
    explained = ppl.explain(walked())
    assert WALK in str(explained)
    assert explained.coordinates == ppl.compile(walked()).dim == 13
    assert explained["jump"].notes[-1] == "inside a branch, decided by phi"
    assert explained.cost is not None
    assert explained.cost.regions[0].startswith(
        "switch: branches of "
    )  # steps over latent states need no scan


def test_a_compiled_program_is_explained_as_it_is() -> None:
    compiled = ppl.compile(schools(), passes=())
    explained = compiled.explain()
    assert explained.cost.passes == () and explained.cost.density_nodes == len(compiled.graph)
    assert explained.cost.gradient_nodes == len(compiled.gradient_graph)
    assert "passes    none" in str(explained)


def test_handlers_show() -> None:
    explained = ppl.explain(eight_schools(SIGMA).condition(y=Y).do(mu=1.0).reparam().scale(y=0.5))
    assert explained["mu"].kind == "fixed by do" and explained["mu"].meaning == "set, not Normal"
    assert explained["theta"].meaning == "mu + tau * theta_base"
    assert explained["theta_base"].notes == ("the base of 'theta', which is non-centred",)
    assert explained["y"].notes == ("its log density is multiplied by 0.5",)
    assert explained.handlers == ("condition(y)", "do(mu)", "reparam()", "scale(y)")
    blocked = ppl.explain(schools().block("mu"))
    assert blocked["mu"].kind == "blocked" and "blocked" in blocked.not_compiled


def test_discrete_improper_and_unnormalised_sites_are_explained_though_nothing_compiles() -> None:
    explained = ppl.explain(discrete(5))
    assert explained.cost is None and "site 'k' is discrete (Poisson)" in explained.not_compiled
    assert explained["k"].coordinates == 0 and explained["k"].notes[0].startswith("discrete")
    assert explained["x"].notes[0].startswith("improper")
    assert explained["v"].notes[0].startswith("unnormalised") and explained["v"].coordinates == 3
    assert explained["y"].meaning == "Normal(k * x, 1)"
    assert explained.loops[0].size == 2 and explained.loops[0].total == 5


def test_a_dynamic_program_shows_one_run_and_why_it_is_not_compiled() -> None:
    explained = ppl.explain(dynamic())
    assert [s.name for s in explained.sites] == ["k", "always"]
    assert "dynamic program" in explained.not_compiled


def test_params_and_nested_plates() -> None:
    explained = ppl.explain(regressed())
    assert explained.params == (("weight", (), "real"),)
    assert explained["eta"].meaning == "alpha[group[person]] + weight * x[person][0]"
    assert explained["answer"].dims == (("person", 5), ("question", 2))
    assert [(loop.name, loop.inside) for loop in explained.loops if loop.name == "question"] == [
        ("question", ("person",))
    ]
    assert "param 'weight' has no prior" in explained.not_compiled


def test_distributions_are_written_as_the_user_would() -> None:
    @ppl.model
    def m() -> None:
        a = ppl.sample("a", LogNormal(0.0, 2.0))
        ppl.sample("b", Beta(2.0, 1.0 + a))
        ppl.sample("c", Bernoulli(logits=-a))
        ppl.sample("d", MultivariateNormal(a.expand(2), scale_tril=torch.eye(2)))
        ppl.sample("e", StudentT(3.0, a**2, torch.exp(a)))

    explained = ppl.explain(m())
    shown = {s.name: (s.meaning, s.support) for s in explained.sites}
    assert shown["a"] == ("LogNormal(0, 2)", "positive")
    assert shown["b"] == ("Beta(2, a + 1)", "[0, 1]")
    assert shown["c"] == ("Bernoulli(logits=-a)", "0 or 1")
    assert shown["d"][0].startswith("MultivariateNormal(a, ")
    assert shown["e"][0] == "StudentT(3, a ** 2, exp(a))" or shown["e"][0] == "StudentT(3, a * a, exp(a))"


# ---------------------------------------------------------------- graphs as text


def test_a_recorded_program_reads_like_a_program() -> None:
    text = re.sub(r"%(sigma|y)\.\d+", r"%\1", str(record(schools()).graph))
    assert text.splitlines()[1:] == [
        "  %0: f64[] = full(value=0.0)",
        "  %1: f64[] = full(value=5.0)",
        '  %2: f64[] = sample "mu" Normal(loc=%0, scale=%1)',
        '  %3: f64[] = sample "tau" HalfCauchy(base_dist=Cauchy(loc=%0, scale=%1), transforms=[AbsTransform()])',
        '  %4: f64[]@school:8 = sample "theta" Normal(loc=%2, scale=%3) over school',
        "  %5: f64[]@school:8 = plate_slice(%y, plate=school:8)",
        "  %6: f64[]@school:8 = plate_slice(%sigma, plate=school:8)",
        '  %7: f64[]@school:8 = observe "y" Normal(loc=%4, scale=%6) = %5 over school',
        "  return effects [%2, %3, %4, %7]",
    ]


def test_different_graphs_have_different_texts() -> None:
    b = schools()
    variants = [
        b,
        b.scale(0.5),
        b.scale(0.25),
        b.mask(y=torch.ones(8, dtype=torch.bool)),
        b.do(mu=1.0),
        b.reparam(),
        b.block("theta"),
        eight_schools(SIGMA),
        eight_schools(SIGMA[:4]),
        eight_schools(SIGMA).condition(y=torch.where(Y > 0, Y, torch.nan)),
        walked(),
        regressed(),
    ]
    digests = [record(v).graph.digest for v in variants]
    assert len(set(digests)) == len(digests)
    assert digests == [record(v).graph.digest for v in variants]


@pytest.mark.parametrize("grad", ["auto", "score"])
def test_the_text_of_a_site_holds_what_it_was_given(grad: str) -> None:
    @ppl.model
    def m() -> None:
        ppl.sample("v", Normal(torch.zeros(3), 1.0), dims=("axis",), grad=grad)

    (row,) = [r for r in str(record(m()).graph).splitlines() if "sample" in r]
    ending = "dims (axis)" + (" grad score" if grad == "score" else "")
    assert row.endswith(f'sample "v" Normal(batch=(3,), loc=%0, scale=%1) {ending}')


def test_values_equal_in_python_only_are_told_apart() -> None:
    from ppl.compiler.graph import Graph
    from ppl.compiler.ops import make, make_input

    x = make_input("x", (2,), torch.float64)
    texts = {str(Graph((x,), (make("mul", x, value),))) for value in (2, 2.0, -0.5, 0.5)}
    assert len(texts) == 4
