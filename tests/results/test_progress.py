"""The live display: what it shows on a terminal, and its silence elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from ppl.results import ChainProgress, Progress
from ppl.results.progress import short, together, working

rich_console = pytest.importorskip("rich.console")


def terminal(width: int = 140):
    return rich_console.Console(record=True, force_terminal=True, width=width, file=io.StringIO())


def chains(iteration: int, count: int = 2, **changes):
    facts = {"phase": "warm-up", "step_size": 0.25, "gradient_evaluations": 3500, "elapsed": 2.0} | changes
    return [ChainProgress(c, iteration, 200, divergences=3 * c, **facts) for c in range(count)]


def test_a_terminal_shows_every_chain():
    console = terminal()
    with Progress(console=console, interval=0.0) as progress:
        progress(chains(50))
        progress(chains(200, phase="sample"))
    shown = console.export_text()
    last = shown[shown.rindex("chain 0") :].splitlines()  # the final picture: earlier ones are drawn over
    assert "200/200" in last[0] and last[1].startswith("chain 1") and "200/200" in last[1]
    assert "sample" in last[1] and "2.0 s" in last[1]
    assert "step 0.25" in last[1] and "1.75k grad/s" in last[1] and "3 divergences" in last[1]
    assert "divergences" not in last[0]


def test_not_a_terminal_is_silent(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress() as progress:
        progress(chains(200))
    assert not progress.enabled and sys.stderr.getvalue() == "" and capsys.readouterr().out == ""


def test_switched_off_is_silent_on_a_terminal():
    console = terminal()
    with Progress(enabled=False, console=console) as progress:
        progress(chains(200))
    assert console.export_text() == ""


def test_ten_pictures_a_second_but_always_the_last():
    console, now = terminal(), [0.0]
    with Progress(console=console, clock=lambda: now[0]) as progress:
        progress(chains(1))
        now[0] = 0.05
        progress(chains(2))
        assert progress._display.tasks[0].completed == 1
        now[0] = 0.2
        progress(chains(3))
        assert progress._display.tasks[0].completed == 3
        progress(chains(200))
        assert progress._display.tasks[0].completed == 200


def test_many_chains_share_a_bar():
    console = terminal()
    with Progress(console=console, interval=0.0) as progress:
        progress(chains(200, count=64))
    shown = console.export_text()
    assert "64 chains" in shown and "12800/12800" in shown and "chain 1" not in shown
    total = together(chains(200, count=64))
    assert total.divergences == 3 * sum(range(64)) and total.step_size == 0.25


def test_an_exception_closes_the_display():
    console = terminal()
    with pytest.raises(KeyboardInterrupt), Progress(console=console) as progress:
        progress(chains(10))
        raise KeyboardInterrupt
    assert progress._display is None
    progress(chains(20))


def test_bare_objects_and_notes_will_do():
    class Bare:
        chain, iteration, total, note = 0, 10, 10, "loss 3.21"

    console = terminal()
    with Progress(console=console) as progress:
        progress([Bare()])
    assert "loss 3.21" in console.export_text()


def test_short_numbers():
    assert [short(n) for n in (0, 7, 999, 999.9, 1234, 35e6, 2e9)] == [
        "0",
        "7",
        "999",
        "1k",
        "1.23k",
        "35M",
        "2G",
    ]


def test_a_sampler_without_a_clock_is_timed_by_ours():
    class State:
        chain, iteration, iterations, phase = 0, 10, 10, "done"
        gradient_evaluations, step_size, divergences = 400, 0.1, 0

    now = [100.0]
    console = terminal()
    with Progress(console=console, clock=lambda: now[0]) as progress:
        now[0] = 104.0
        progress([State()])
    shown = console.export_text()
    assert "10/10 done 4.0 s" in shown and "100 grad/s" in shown


def test_what_is_done_before_there_are_chains_is_said_and_goes():
    seen = terminal()
    with working("compiling eight_schools for the native engine", console=seen):
        pass
    assert "compiling eight_schools for the native engine" in seen.export_text()
    quiet = rich_console.Console(file=io.StringIO())
    with working("compiling", console=quiet):
        pass
    assert quiet.file.getvalue() == ""


def test_a_line_of_an_optimisation_fits_a_terminal_of_80_columns():
    from ppl.inference.vi.watch import Trend

    console = terminal(80)
    with Progress(console=console, interval=0.0) as progress:
        progress([Trend(12_345, -1234.5678, 1234.5, 0.01234).line("elbo", 100_000)])
    shown = console.export_text()
    last = shown[shown.rindex("vi ") :].rstrip()
    assert len(last) <= 80 and "12345/100000" in last
    assert last.endswith("elbo -1234.6 · ‖∇‖ 1.23k · SNR 0.012")
