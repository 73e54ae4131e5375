"""Every plot renders from synthetic draws, marks divergences, and stays within its limits."""

from __future__ import annotations

import numpy as np
import pytest
from results.planted import hierarchical

from ppl.errors import PplError
from ppl.results import Posterior

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def pixels(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def red_points(figure) -> int:
    from matplotlib.colors import to_hex

    lines = [line for axis in figure.axes for line in axis.lines if to_hex(line.get_color()) == "#d1495b"]
    return sum(len(line.get_xdata()) for line in lines)


def overlapping(figure) -> list[str]:
    """Texts on the figure whose boxes overlap."""
    renderer = figure.canvas.get_renderer()
    texts = []
    for axis in figure.axes:
        if axis.get_visible():
            texts += [axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label]
            for side in (axis.xaxis, axis.yaxis):
                low, high = sorted(side.get_view_interval())
                texts += [tick.label1 for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text() and t.get_visible()]
    shrunk = [(text, box.padded(-1.0)) for text, box in boxes if box.width > 2 and box.height > 2]
    return [f"{a} / {b}" for i, (a, x) in enumerate(shrunk) for b, y in shrunk[i + 1 :] if x.overlaps(y)]


@pytest.mark.parametrize("plot", ["plot_trace", "plot_forest", "plot_pairs", "plot_energy"])
def test_renders_without_overlapping_text(plot):
    figure = getattr(hierarchical("neck"), plot)()
    assert pixels(figure).std() > 5
    assert overlapping(figure) == []


def test_trace_has_a_row_per_element_and_marks_divergences():
    posterior = hierarchical("neck")
    figure = posterior.plot_trace("theta")
    titles = [axis.get_title(loc="left") for axis in figure.axes[::2]]
    assert titles[0] == "theta[Choate]" and len(titles) == 4
    assert red_points(figure) > 0 and "divergences" in figure.get_suptitle()
    assert red_points(hierarchical().plot_trace("theta")) == 0


def test_pairs_show_every_divergence_on_a_log_scale():
    posterior = hierarchical("neck", hierarchy={"theta": ("mu", "tau")})
    figure = posterior.plot_pairs(["tau", "mu"])
    assert red_points(figure) == posterior.divergences
    assert figure.axes[0].get_xscale() == "log"


def test_large_posteriors_are_limited_with_a_notice():
    rng = np.random.default_rng(0)
    big = Posterior({"w": rng.normal(size=(2, 100, 30, 30))})
    for plot in (big.plot_trace, big.plot_forest, big.plot_pairs):
        figure = plot()
        assert "of 900 elements" in figure.get_suptitle()
        assert max(figure.get_size_inches()) < 25


def test_forest_shows_the_quantiles():
    posterior = hierarchical()
    figure = posterior.plot_forest(["mu"], interval=0.9)
    low, high = figure.axes[0].collections[0].get_segments()[0][:, 0]
    np.testing.assert_allclose([low, high], posterior.quantile("mu", [0.05, 0.95]))
    with pytest.raises(PplError, match="probability"):
        posterior.plot_forest(interval=94)


def test_predictive_check_uses_the_stored_group():
    rng = np.random.default_rng(0)
    counts = hierarchical().replace(
        observed_data={"n": rng.poisson(3, 40)},
        groups={"posterior_predictive": {"n": rng.poisson(3, (4, 500, 40))}},
    )
    figure = counts.plot_ppc()
    assert pixels(figure).std() > 5
    observed = figure.axes[0].lines[-1]
    assert observed.get_ydata().sum() == pytest.approx(1.0)
    with pytest.raises(PplError, match="observed site"):
        counts.plot_ppc("mu")


def test_discrete_constant_and_missing_values_render():
    rng = np.random.default_rng(0)
    holes = rng.normal(size=(2, 60))
    holes[0, :10] = np.nan
    odd = Posterior(
        {"k": rng.integers(0, 3, (2, 60)), "c": np.full((2, 60), 2.5), "b": holes > 0, "nan": holes}
    )
    for plot in (odd.plot_trace, odd.plot_forest, odd.plot_pairs):
        assert pixels(plot()).std() > 0


def test_nothing_to_plot():
    with pytest.raises(PplError, match="nothing to plot"):
        Posterior({}).plot_trace()
    with pytest.raises(PplError, match="no energy"):
        Posterior({"x": np.zeros((1, 5))}).plot_energy()
