"""The command line: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ppl.cli.files import read_data
from ppl.cli.main import main
from ppl.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
SCHOOLS = ROOT / "examples" / "eight_schools.ppl"
SHORT = ["--draws", "50", "--warmup", "50", "--chains", "2", "--quiet"]


def ppl(*arguments: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture
def coin(tmp_path: Path) -> Path:
    file = tmp_path / "coin.ppl"
    file.write_text(
        "model coin(x: int(0, 1)[N]):\n    p ~ Beta(1, 1)\n    for i in N:\n        x[i] ~ Bernoulli(p)\n"
    )
    return file


def test_run_prints_the_table_and_the_diagnosis(capsys: pytest.CaptureFixture[str]):
    assert ppl("run", SCHOOLS, *SHORT) == 0
    shown = capsys.readouterr().out
    assert "\ntheta[A]" in shown and "\ntheta_base" not in shown
    assert "ess_bulk" in shown and "Diagnosis of nuts, 2 chains × 50 draws" in shown


def test_run_takes_data_from_files(coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "d.json").write_text('{"x": [1, 0, 1, 1]}')
    (tmp_path / "d.csv").write_text("x\n1\n0\n1\n1\n")
    results = []
    for name in ("d.json", "d.csv"):
        assert ppl("run", coin, "--data", tmp_path / name, *SHORT, "--json") == 0
        results.append(json.loads(capsys.readouterr().out)["summary"])
    assert results[0] == results[1]
    assert list(results[0]) == ["p"]


def test_the_saved_posterior_is_that_of_the_run(
    coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import ppl as library

    (tmp_path / "d.json").write_text('{"x": [1, 0, 1, 1]}')
    out = tmp_path / "post.nc"
    assert ppl("run", coin, "--data", tmp_path / "d.json", *SHORT, "--out", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    saved = library.Posterior.load(out)
    assert saved.draws["p"].shape == (2, 50)
    assert abs(float(saved.draws["p"].mean()) - summary["p"]["mean"]) < 1e-3
    assert not list(tmp_path.glob("*.checkpoint"))


def test_options_of_the_command_line_go_before_those_of_the_file(
    coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    coin.write_text(
        coin.read_text() + "\n\ndata:\n    x = [1, 0, 1]\n\n\ninfer:\n    draws = 70\n    seed = 3\n"
    )
    assert ppl("run", coin, "--warmup", 50, "--chains", 1, "--quiet") == 0
    assert "nuts, 70 draws, seed 3" in capsys.readouterr().out
    assert ppl("run", coin, *SHORT, "--seed", 4) == 0
    assert "2 chains × 50 draws, seed 4" in capsys.readouterr().out


def test_variational_inference_with_a_guide_of_the_file(coin: Path, capsys: pytest.CaptureFixture[str]):
    guide = (
        "\n\nguide q for coin:\n    param a: positive = 1\n    param b: positive = 1\n    p ~ Beta(a, b)\n"
    )
    coin.write_text(
        coin.read_text() + guide + "\n\ndata:\n    x = [1, 0, 1]\n\n\ninfer:\n    guide = q\n    steps = 50\n"
    )
    assert ppl("run", coin, "--method", "vi", "--draws", 50, "--quiet") == 0
    assert "p" in capsys.readouterr().out


def test_what_is_wrong_has_exit_code_1_and_no_traceback(
    coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bad = tmp_path / "bad.ppl"
    bad.write_text("model m():\n    x ~ Normal(0, -1)\n")
    (tmp_path / "wrong.json").write_text('{"x": [1, 2, 0]}')
    cases = [
        (["check", bad], "`scale` of Normal has to be positive"),
        (["run", bad], "`scale` of Normal has to be positive"),
        (["run", coin], "the size N is not known"),
        (["run", coin, "--data", tmp_path / "wrong.json"], "x[1] is outside of its type"),
        (["run", coin, "--data", tmp_path / "none.json"], "there is no file"),
        (["run", tmp_path / "nothing.ppl"], "there is no file"),
        (["run", SCHOOLS, "--method", "nutz"], "there is no method"),
        (["run", SCHOOLS, "--set", "target=0.9"], "target"),
    ]
    for command, words in cases:
        assert ppl(*command) == 1, command
        shown = "".join(capsys.readouterr())
        assert words in shown and "Traceback" not in shown, command


def test_a_wrong_command_line_has_exit_code_2(coin: Path):
    assert ppl("run") == 2
    assert ppl("run", coin, "--resume") == 2
    assert ppl("nothing") == 2
    assert ppl("run", coin, "--set", "alone") == 2


def test_check_reports_all_problems_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bad = tmp_path / "bad.ppl"
    bad.write_text("model m():\n    x ~ Normal(0, -1)\n    y ~ Norml(0, 1)\n")
    assert ppl("check", bad, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [(p["kind"], p["line"]) for p in found if p["severity"] == "error"] == [
        ("support", 2),
        ("name", 3),
    ]
    assert ppl("check", SCHOOLS) == 0
    assert "no problems" in capsys.readouterr().out


def test_fmt_changes_only_what_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good, messy, broken = tmp_path / "good.ppl", tmp_path / "messy.ppl", tmp_path / "broken.ppl"
    shutil.copy(SCHOOLS, good)
    messy.write_text("model m():\n  x~Normal(0,1)\n")
    broken.write_text("model m():\n  x ~\n")
    assert ppl("fmt", "--check", good) == 0
    assert ppl("fmt", "--check", messy) == 1
    assert ppl("fmt", "--diff", messy) == 1
    assert "+    x ~ Normal(0, 1)" in capsys.readouterr().out
    assert messy.read_text() == "model m():\n  x~Normal(0,1)\n"
    assert ppl("fmt", good, messy) == 0
    assert messy.read_text() == "model m():\n    x ~ Normal(0, 1)\n"
    assert good.read_text() == SCHOOLS.read_text()
    assert ppl("fmt", broken) == 1
    assert broken.read_text() == "model m():\n  x ~\n"


def test_explain_and_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert ppl("explain", SCHOOLS) == 0
    shown = capsys.readouterr().out
    assert "for j in school: a plate: iterations are independent" in shown
    assert ppl("graph", SCHOOLS, "-o", tmp_path / "g.svg") == 0
    assert (tmp_path / "g.svg").read_text().startswith("<svg")


def test_data_files(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"n": 2, "y": [[1, null], [3, 4]]}')
    found = read_data(tmp_path / "a.json")
    assert found["n"] == 2 and found["y"][1] == [3, 4] and found["y"][0][1] != found["y"][0][1]
    (tmp_path / "b.csv").write_text("y,group\n1.5,b\n,a\n2.5,b\n")
    found = read_data(tmp_path / "b.csv")
    assert found["group"] == [0, 1, 0] and found["y"][0] == 1.5 and found["y"][1] != found["y"][1]
    for name, text in (("c.json", "{"), ("d.json", "[1]"), ("e.txt", "1"), ("f.json", '{"y": {"a": 1}}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError):
            read_data(tmp_path / name)


def test_the_module_is_a_command_and_checking_loads_no_torch():
    script = (
        "import sys; from ppl.cli.main import main\n"
        f"try: main(['check', {str(SCHOOLS)!r}])\n"
        "except SystemExit as stopped: print(stopped.code, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 False False"
    done = subprocess.run(
        [sys.executable, "-m", "ppl", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "run" in done.stdout and "fmt" in done.stdout


def test_bench_compares_files(coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = tmp_path / "other.ppl"
    other.write_text(coin.read_text().replace("Beta(1, 1)", "Beta(2, 2)"))
    (tmp_path / "d.json").write_text('{"x": [1, 0, 1, 1]}')
    short = ["--draws", "50", "--warmup", "50", "--chains", "2", "--repeat", "2"]
    assert ppl("bench", coin, other, "--data", tmp_path / "d.json", *short) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == [str(coin), str(other)]
    assert len({len(line) for line in (heading, *rows)}) == 1  # columns are aligned
    gradients = [int(row.split()[3].replace(",", "")) for row in rows]
    assert all(2 * 100 <= n <= 2 * 100 * 1023 for n in gradients)


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C at the n-th evaluation of the density from now on; 0: never."""
    from ppl.inference import hamiltonian

    evaluate = hamiltonian.ModelTarget.value_and_grad
    left = [0]

    def counted(self: object, q: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return evaluate(self, q)

    monkeypatch.setattr(hamiltonian.ModelTarget, "value_and_grad", counted)
    return left


def test_an_interrupted_run_says_so_and_goes_on(
    coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupting: list[int]
):
    import ppl as library

    (tmp_path / "d.json").write_text('{"x": [1, 0, 1, 1]}')
    settings = ["--data", tmp_path / "d.json", "--set", "engine=torch", "-n", 200, "-w", 50, "-c", 1, "-q"]
    out, whole = tmp_path / "post.nc", tmp_path / "whole.nc"
    interrupting[0] = 400
    assert ppl("run", coin, *settings, "--out", out) == 130
    shown = capsys.readouterr()
    assert (
        f"interrupted: these are the draws so far; `ppl run {coin} --out {out} --resume` goes on" in shown.err
    )
    assert 0 < library.Posterior.load(out).num_draws < 200
    assert ppl("run", coin, *settings, "--out", out, "--resume") == 0
    assert not out.with_name("post.nc.checkpoint").exists()
    assert ppl("run", coin, *settings, "--out", whole) == 0
    found, expected = library.Posterior.load(out), library.Posterior.load(whole)
    assert (found.draws["p"] == expected.draws["p"]).all()


def test_a_run_interrupted_in_its_warmup_goes_on(
    coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupting: list[int]
):
    (tmp_path / "d.json").write_text('{"x": [1, 0, 1, 1]}')
    settings = ["--data", tmp_path / "d.json", "--set", "engine=torch", "-n", 50, "-w", 500, "-c", 1, "-q"]
    out = tmp_path / "post.nc"
    interrupting[0] = 100
    assert ppl("run", coin, *settings, "--out", out) == 130
    assert "--resume` goes on" in capsys.readouterr().err
    assert ppl("run", coin, *settings, "--out", out, "--resume") == 0


def test_an_error_of_the_command_line_shows_no_python(
    coin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "d.json").write_text('{"x": [1, 0, 1, 1]}')
    assert ppl("run", coin, "--data", tmp_path / "d.json", *SHORT, "--set", "target=0.9") == 1
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == "method error"
    assert second == "'target' is not an option of nuts or of infer"
