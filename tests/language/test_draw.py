"""`graph` draws the right things in the right boxes, as well-formed and unchanging SVG without overlaps."""

import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
import torch

import ppl
from ppl.language.draw import Drawing
from ppl.language.layout import layout, rows_of
from ppl.language.svg import text_width, vertex_size
from tests.language.diagrams import discrete, regressed, schools, walked

PROGRAMS = {"schools": schools, "walked": walked, "regressed": regressed, "discrete": lambda: discrete(5)}


def edges(d: Drawing) -> set[tuple[str, str, str]]:
    return {(e.source[1], e.target[1], e.kind) for e in d.edges}


def boxes(d: Drawing) -> dict[str, tuple[str, ...]]:
    return {v.name: tuple(b.name for b in v.boxes) for v in d.vertices}


def kinds(d: Drawing) -> dict[str, str]:
    return {v.name: v.kind for v in d.vertices}


def test_eight_schools() -> None:
    d = ppl.graph(schools())
    assert edges(d) == {
        ("mu", "theta", "direct"),
        ("tau", "theta", "direct"),
        ("theta", "y", "direct"),
        ("sigma", "y", "direct"),
    }
    assert boxes(d) == {"mu": (), "tau": (), "theta": ("school",), "y": ("school",), "sigma": ("school",)}
    assert kinds(d) == {"mu": "latent", "tau": "latent", "theta": "latent", "y": "observed", "sigma": "data"}
    assert "sigma" not in boxes(ppl.graph(schools(), data=False))


def test_a_deterministic_stands_between_what_it_is_made_of_and_what_uses_it() -> None:
    d = ppl.graph(schools().reparam(theta=ppl.NonCentered()), data=False)
    assert edges(d) == {
        ("mu", "theta", "direct"),
        ("tau", "theta", "direct"),
        ("theta_base", "theta", "direct"),
        ("theta", "y", "direct"),
    }
    assert kinds(d)["theta"] == "deterministic"


def test_do_cuts_the_arrows_into_a_site_and_keeps_those_out_of_it() -> None:
    d = ppl.graph(schools().do(theta=torch.zeros(8)), data=False)
    assert edges(d) == {("theta", "y", "direct")} and kinds(d)["theta"] == "fixed"


def test_scan_branch_and_missing_data() -> None:
    d = ppl.graph(walked())
    found = edges(d)
    assert {
        ("z", "z", "previous"),
        ("phi", "z", "direct"),
        ("x", "y", "direct"),
        ("z", "jump", "direct"),
    } <= found
    assert ("phi", "jump", "control") in found
    assert {("jump", "w", "direct"), ("z", "w", "direct"), ("phi", "w", "direct")} <= found
    assert ("z", "phi", "direct") not in found and ("y", "jump", "direct") not in found
    assert boxes(d)["z"] == boxes(d)["y"] == boxes(d)["x"] == ("time",)
    assert [v.boxes[0].kind for v in d.vertices if v.name == "jump"] == ["branch"]
    assert kinds(d)["w"] == "partly observed" and kinds(d)["scaled"] == "deterministic"
    labels = set(d.labels.values())
    assert labels == {"time: t = 1…6", "if phi > 0", "obs: 4"}


def test_nested_plates_gathered_values_params_and_factors() -> None:
    d = ppl.graph(regressed())
    assert boxes(d)["alpha"] == ("group",) and boxes(d)["eta"] == ("person",)
    assert boxes(d)["answer"] == ("person", "question")
    assert {
        ("alpha", "eta", "direct"),
        ("eta", "answer", "direct"),
        ("weight", "penalty", "direct"),
    } <= edges(d)
    assert ("alpha", "answer", "direct") not in edges(d)
    assert kinds(d)["weight"] == "param" and kinds(d)["penalty"] == "factor"


def test_the_state_of_a_scan_passes_through_carries_and_branches() -> None:
    """The old state enters the new one through a branch in the step; the initial one only at the start."""

    @ppl.model
    def m() -> None:
        start = ppl.sample("start", ppl.distributions.Normal(0.0, 1.0))

        def step(
            carry: tuple[torch.Tensor, torch.Tensor], t: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            old, older = carry
            mean = ppl.cond(old > 0, lambda: old + older, lambda: -old)
            new = ppl.sample("new", ppl.distributions.Normal(mean, 1.0))
            return new, old

        last, _ = ppl.scan("time", step, (start, torch.zeros(())), length=4)
        ppl.sample("end", ppl.distributions.Normal(last, 1.0))

    found = edges(ppl.graph(m()))
    assert found == {
        ("start", "new", "direct"),
        ("new", "new", "previous"),
        ("new", "end", "direct"),
    }


def test_subprograms_keep_their_addresses() -> None:
    @ppl.model
    def inner(a: torch.Tensor) -> torch.Tensor:
        return ppl.sample("x", ppl.distributions.Normal(a, 1.0))

    @ppl.model
    def outer() -> None:
        a = ppl.sample("a", ppl.distributions.Normal(0.0, 1.0))
        ppl.sample("b", ppl.distributions.Normal(ppl.sample("sub", inner(a)), 1.0))

    assert edges(ppl.graph(outer())) == {("a", "sub/x", "direct"), ("sub/x", "b", "direct")}


# ---------------------------------------------------------------- SVG


@pytest.mark.parametrize("name", PROGRAMS)
def test_svg_is_well_formed_complete_and_the_same_every_time(name: str) -> None:
    d = ppl.graph(PROGRAMS[name]())
    root = ET.fromstring(d.svg)
    assert root.tag.endswith("svg") and float(root.attrib["width"]) > 0
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {v.name for v in d.vertices} <= set(texts) and set(d.labels.values()) <= set(texts)
    arrows = [p for p in root.iter("{http://www.w3.org/2000/svg}path") if "marker-end" in p.attrib]
    assert len(arrows) == len(d.edges)
    assert ppl.graph(PROGRAMS[name]()).svg == d.svg == d._repr_svg_()


def test_names_with_special_characters_are_escaped() -> None:
    @ppl.model
    def m() -> None:
        ppl.sample("a<b&c", ppl.distributions.Normal(0.0, 1.0))

    texts = [t.text for t in ET.fromstring(ppl.graph(m()).svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "a<b&c" in texts


def test_saving(tmp_path: Path) -> None:
    file = tmp_path / "model.svg"
    d = ppl.graph(schools(), file)
    assert file.read_text("utf-8") == d.svg
    with pytest.raises(ppl.PplError, match=r"diagrams are written as SVG"):
        d.save(tmp_path / "model.png")


def test_an_empty_program_has_a_drawing() -> None:
    @ppl.model
    def nothing() -> None:
        return None

    ET.fromstring(ppl.graph(nothing()).svg)


# ---------------------------------------------------------------- layout


def placed(d: Drawing):
    sizes = {v.key: vertex_size(v) for v in d.vertices}
    order = {v.key: i for i, v in enumerate(d.vertices)}
    forward = [
        (e.source, e.target) for e in d.edges if e.kind != "previous" and order[e.source] < order[e.target]
    ]
    paths = {v.key: v.boxes for v in d.vertices}
    return layout(paths, sizes, forward, {}), sizes, forward, paths


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_overlaps_and_boxes_hold_their_members_only(name: str) -> None:
    p, sizes, forward, paths = placed(ppl.graph(PROGRAMS[name]()))
    rectangles = {k: (x - sizes[k][0] / 2, y - sizes[k][1] / 2, *sizes[k]) for k, (x, y) in p.centres.items()}
    for a, b in combinations(rectangles.values(), 2):
        assert not overlap(a, b)
    for path, box in p.boxes.items():
        for key, r in rectangles.items():
            inside = paths[key][: len(path)] == path
            assert contains(box, r) if inside else not overlap(box, r)
        for other, r in p.boxes.items():
            if len(other) > len(path) and other[: len(path)] == path:
                assert contains(box, r)
            elif path[: len(other)] != other:
                assert not overlap(box, r)
    for a, b in forward:
        assert p.centres[a][1] < p.centres[b][1]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def contains(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and a[0] + a[2] >= b[0] + b[2] and a[1] + a[3] >= b[1] + b[3]


def test_rows_are_longest_paths_and_roots_stand_above_their_first_child() -> None:
    chain = [("a", "b"), ("b", "c"), ("a", "c"), ("late", "c")]
    assert rows_of(["a", "late", "b", "c"], chain) == {"a": 0, "b": 1, "c": 2, "late": 1}


def test_a_crossing_that_can_be_avoided_is() -> None:
    vertices = {k: () for k in ("a", "b", "x", "y")}
    p = layout(vertices, dict.fromkeys(vertices, (40.0, 20.0)), [("a", "y"), ("b", "x")], {})
    assert (p.centres["a"][0] - p.centres["b"][0]) * (p.centres["y"][0] - p.centres["x"][0]) > 0


def test_shapes_are_as_wide_as_their_texts() -> None:
    for v in ppl.graph(regressed()).vertices:
        assert vertex_size(v)[0] > text_width(v.name, 11.0 if v.kind == "data" else 13.0)
