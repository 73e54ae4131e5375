"""A file from a stranger reaches nothing of Python, nothing outside its folder, and no memory beyond its limits."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import ppl
from ppl.cli.main import main
from ppl.syntax.check import check
from ppl.syntax.limits import ELEMENTS
from ppl.syntax.load import load, loads
from ppl.syntax.problems import SourceError

PYTHON = (
    "__import__('os')", "getattr(x, 'y')", "eval('1')", "exec('1')", "open('f')", "globals()", "type(x)", "__builtins__",
    "__debug__", "__plate", "__sample('z', Normal(0, 1))", "__strategy('Score')", "x.__class__", "x.data", "x.T", "x.shape",
    "x.__class__.__mro__[1].__subclasses__()", "u.__class__", "u.data", "u.__dict__['a']", "sum(x).__class__", "exp.__globals__",
    "f.__globals__", "f.__code__", "Normal.__init__", "Normal(0, 1).rsample()", "Normal(0, 1).__class__", "x[0].item()",
    "(x if x[0] > 0 else 1).__class__", "o.__loader__", "o.__spec__", "o.torch", "o.ppl", "std.objectives.__dict__",
    "m.function", "m.__call__", "q.__class__", "simulate", "torch.load('f')", "ppl", "print", "STATEMENTS",
)  # fmt: skip


@pytest.mark.parametrize("expression", PYTHON)
@pytest.mark.parametrize("kind", ["model", "guide", "objective", "def"])
def test_nothing_of_python_can_be_named(expression: str, kind: str):
    text = f"""import std.objectives as o
import std.objectives

def f(x):
    return x

model m():
    a ~ Normal(0, 1)

{kind} k(x: real[N], u, q: guide):
    y = {expression.replace("'", '"')}
    return y
"""
    assert check(text).errors


@pytest.mark.parametrize("name", ["__x", "__sample", "__plate_1", "__bind_m", "__builtins__", "__debug__"])
@pytest.mark.parametrize(
    "text",
    [
        "model m({0}: real):\n    pass\n",
        "model m(y: real[{0}]):\n    pass\n",
        "model m():\n    {0} = 1\n",
        "model m():\n    {0} ~ Normal(0, 1)\n",
        "model m():\n    deterministic {0} = 1\n",
        "model m(N: int):\n    for {0} in N:\n        pass\n",
        "def {0}(x):\n    return x\n",
        "model {0}():\n    pass\n",
        "import std.objectives as {0}\n",
        "from std.objectives import elbo as {0}\n",
        "guide q():\n    param {0}: real = 0\n    x ~ Normal({0}, 1)\n",
        "objective o():\n    state {0}: real = 0\n    set {0} = 1\n    return {0}\n",
    ],
)
def test_names_of_the_generated_code_can_t_be_given(text: str, name: str):
    assert check(text.format(name)).errors


def test_generated_code_has_no_builtins():
    module = loads("def f(x: real) -> real:\n    return 2 * x\n")
    function = getattr(module.f, "__wrapped__", module.f)
    assert function.__globals__["__builtins__"] == {}


def test_imports_stay_in_the_folder(tmp_path: Path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "below").mkdir(parents=True)
    outside.mkdir()
    secret = "def f(x: real) -> real:\n    return x\n"
    (outside / "secret.ppl").write_text(secret)
    (inside / "below" / "fine.ppl").write_text(secret)
    (inside / "link.ppl").symlink_to(outside / "secret.ppl")
    (inside / "folder").symlink_to(outside)
    (inside / "near.ppl").symlink_to(inside / "below" / "fine.ppl")
    main_ = inside / "main.ppl"
    for path, fine in (("below.fine", True), ("near", True), ("link", False), ("folder.secret", False)):
        main_.write_text(f"from {path} import f\n\nmodel m():\n    x ~ Normal(f(1), 1)\n")
        if fine:
            load(main_).m()
        else:
            with pytest.raises(SourceError, match="leads out of the folder"):
                load(main_)


def test_many_ways_to_one_file_are_read_once(tmp_path: Path):
    for n in range(30):
        below = f"import f{n + 1} as a\nimport f{n + 1} as b\n" if n < 29 else ""
        (tmp_path / f"f{n}.ppl").write_text(f"{below}\ndef g(x: real) -> real:\n    return x\n")
    begun = time.process_time()
    load(tmp_path / "f0.ppl")
    assert time.process_time() - begun < 10  # 2 ** 29 files otherwise


def test_a_long_chain_of_imports_is_refused(tmp_path: Path):
    for n in range(200):
        (tmp_path / f"f{n}.ppl").write_text(f"import f{n + 1}\n\ndef g(x: real) -> real:\n    return x\n")
    with pytest.raises(SourceError):
        load(tmp_path / "f0.ppl")


@pytest.mark.parametrize(
    "text",
    [
        "model m():\n    x = {}\n    y ~ Normal(x, 1)\n",
        "model m(x: int = {}):\n    y ~ Normal(x, 1)\n",
        "model m(x: real):\n    y ~ Normal(x, 1)\ndata:\n    x = {}\n",
        "model m():\n    x: real[{}] ~ Normal(0, 1)\n",
        "model m():\n    for i in {}:\n        x[i] ~ Normal(0, 1)\n",
    ],
)
@pytest.mark.parametrize("number", ["10 ** 10 ** 10", "(9 ** 999) ** 999", "2 ** (2 ** 200)"])
def test_numbers_are_bounded(text: str, number: str):
    errors = check(text.format(number)).errors
    assert [e.kind for e in errors] == ["resource"]


def test_numbers_that_grow_when_run_are_bounded():
    lines = "".join(f"    x{n} = x{n - 1} * x{n - 1}\n" for n in range(1, 60))
    module = loads(f"model m(x0: int):\n{lines}    y ~ Normal(1 if x59 > 0 else 2, 1)\n", "<growing>")
    with pytest.raises(ppl.PplError, match="too large") as caught:
        ppl.simulate(module.m(10), seed=0)
    assert caught.value.where is not None
    assert caught.value.where.file == "<growing>"
    power = loads("model m(n: int):\n    x = n ** n\n    y ~ Normal(x, 1)\n", "<power>")
    with pytest.raises(ppl.PplError, match="too large"):
        ppl.simulate(power.m(10**9), seed=0)


@pytest.mark.parametrize(
    "statement",
    [
        "x = zeros(n, n)",
        "x = ones(n, n)",
        "x = full(0.5, n, n)",
        "x = eye(n)",
        "x = arange(n * n)",
        "x = linspace(0, 1, n * n)",
        "x: real[n, n] ~ Normal(0, 1)",
        "for i in n * n:\n        x[i] ~ Normal(0, 1)",
        "for i in n * n:\n        x[i] ~ Normal(x[i-1] if i > 0 else 0, 1)",
    ],
)
def test_arrays_whose_size_is_given_are_bounded(statement: str):
    module = loads(f"model m(n: int):\n    {statement}\n    y ~ Normal(sum(x), 1)\n")
    with pytest.raises(ppl.PplError, match="too many elements") as caught:
        ppl.simulate(module.m(int(ELEMENTS**0.5) + 1), seed=0)
    assert caught.value.where is not None
    assert caught.value.where.line == 2


RUNS = {
    "outside a type": ("model m(s: positive[N]):\n    for n in N:\n        y[n] ~ Normal(0, s[n])\n", {"s": [1.0, -2.0]}),
    "other sizes": (
        "model m(x: real[N], y: real[N]):\n    b ~ Normal(0, 1)\n    y ~ Normal(b * x, 1)\n",
        {"x": [1.0, 2.0], "y": [1.0]},
    ),
    "a covariate with nan": ("model m(x: real[N]):\n    b ~ Normal(sum(x), 1)\n", {"x": [1.0, np.nan]}),
    "a fractional whole number": ("model m(k: int):\n    b ~ Normal(k, 1)\n", {"k": 1.5}),
    "an infinite whole number": ("model m(k: int):\n    b ~ Normal(k, 1)\n", {"k": np.inf}),
    "a text": ("model m(x: real[N]):\n    b ~ Normal(sum(x), 1)\n", {"x": "abc"}),
    "axes": ("model m(x: real[N]):\n    b ~ Normal(sum(x), 1)\n", {"x": 1.0}),
    "an index beyond": ("model m(g: index(K)[N], K: int):\n    b ~ Normal(sum(g), 1)\n", {"g": [0, 2], "K": 2}),
    "data outside a support": (
        "model m(y: int[N]):\n    p ~ Beta(1, 1)\n    for n in N:\n        y[n] ~ Bernoulli(p)\n",
        {"y": [0, 1, 2]},
    ),
    "a matrix that is no covariance": (
        "model m(S: cov[D]):\n    x ~ MultivariateNormal(zeros(D), S)\n",
        {"S": [[1.0, 2.0], [2.0, 1.0]]},
    ),
    "sizes that no type tells": ("model m(a, b):\n    x ~ Normal(sum(a + b), 1)\n", {"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}),
    "an index that is too large": ("model m(x: real[N], k: int):\n    y ~ Normal(x[k], 1)\n", {"x": [1.0], "k": 7}),
    "a scale that is not positive": ("model m(a):\n    y ~ Normal(0, a)\n", {"a": -1.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_errors_of_a_run_point_into_the_source(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    import json

    text, data = RUNS[name]
    file = tmp_path / "m.ppl"
    file.write_text(text)
    values = tmp_path / "data.json"
    values.write_text(json.dumps(data))
    with pytest.raises(SystemExit) as left:
        main(["run", "--quiet", "-n", "5", "-w", "5", "-c", "1", str(file), "--data", str(values)])
    said = "".join(capsys.readouterr())
    assert left.value.code == 1, said
    assert "m.ppl:" in said, said
    assert "Traceback" not in said


def test_an_option_that_a_method_lacks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "m.ppl"
    file.write_text("model m():\n    x ~ Normal(0, 1)\n\ninfer:\n    method = nuts\n    particles = 10\n")
    with pytest.raises(SystemExit) as left:
        main(["run", "--quiet", str(file)])
    assert left.value.code == 1
    assert "particles" in "".join(capsys.readouterr())
