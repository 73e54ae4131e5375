"""Machine code on disk: found again, made again when anything it depends on changes or it is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from math import exp
from pathlib import Path
from typing import Any

import pytest

from ppl.compiler.native import build, cache, emit, f64, from_source, machine, native, processor

TEXT = """
K = 2.0

def double(x: f64) -> f64:
    return x * K

def f(x: f64, n: i64) -> f64:
    total = 0.0
    for i in range(n):
        total += double(x) + SHIFT
    return total
"""

FACTOR = 3.0


@native
def tripled(x: f64) -> f64:
    return helper(x) * FACTOR


@native
def helper(x: f64) -> f64:
    return x + 0.0


@native
def bare(x: f64) -> f64:
    return exp(x)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPL_CACHE", "on")
    monkeypatch.setenv("PPL_CACHE_DIR", str(tmp_path))
    return tmp_path / "native"


def made(text: str = TEXT, shift: float = 0.0, **options: Any) -> Any:
    return build(from_source(text, "cached", {"SHIFT": shift})[-1:], **options)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.native"))


def forbid(*_: Any) -> Any:
    raise AssertionError("compiled, although it is in the cache")


def test_a_second_build_neither_parses_emits_nor_optimises(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made()
    assert not first.from_cache
    monkeypatch.setattr(emit.Module, "text", forbid)
    monkeypatch.setattr(machine, "object_code", forbid)
    monkeypatch.setattr("ast.parse", forbid)
    second = made()
    assert second.from_cache
    assert second["f"](1.5, 4) == first["f"](1.5, 4) == 12.0
    assert second["f"].signature == first["f"].signature
    assert len(entries(folder)) == 1


def test_texts_are_there_on_demand_after_a_hit(folder: Path) -> None:
    made()
    assert "total += double(x) + SHIFT" in made().ir


@pytest.mark.parametrize(
    "change",
    [
        lambda: made(TEXT.replace("K = 2.0", "K = 3.0")),
        lambda: made(shift=1.0),
        lambda: made(TEXT.replace("x * K", "K * x")),
        lambda: made(TEXT.replace("\ndef f", "\n@native(exact=True)\ndef f")),
        lambda: build(from_source(TEXT, "cached", {"SHIFT": 0.0})),
    ],
)
def test_another_number_text_option_or_export_is_another_entry(folder: Path, change: Any) -> None:
    made()
    assert not change().from_cache
    assert len(entries(folder)) == 2


def test_a_changed_global_or_callee_of_a_file_is_another_entry(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build([tripled])["tripled"](2.0) == 6.0
    monkeypatch.setitem(globals(), "FACTOR", 4.0)
    changed = build([tripled])
    assert not changed.from_cache
    assert changed["tripled"](2.0) == 8.0
    [other] = from_source("def helper(x: f64) -> f64:\n    return x + 1.0\n", "other")
    monkeypatch.setitem(globals(), "helper", other)
    changed = build([tripled])
    assert not changed.from_cache
    assert changed["tripled"](2.0) == 12.0
    monkeypatch.undo()
    monkeypatch.setenv("PPL_CACHE_DIR", str(folder.parent))
    monkeypatch.setenv("PPL_CACHE", "on")
    assert build([tripled]).from_cache


def test_another_compiler_or_machine_is_another_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made()
    monkeypatch.setattr(cache, "compiler_digest", lambda: b"another")
    assert not made().from_cache
    monkeypatch.undo()
    monkeypatch.setenv("PPL_CACHE_DIR", str(folder.parent))
    monkeypatch.setenv("PPL_CACHE", "on")
    assert made().from_cache
    monkeypatch.setattr(processor, "identity", lambda: b"another")
    assert not made().from_cache


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
        lambda data: data + b"\0",
        lambda data: b"another magic" + data[13:],
    ],
)
def test_a_damaged_entry_is_made_again(folder: Path, damage: Any) -> None:
    made()
    [path] = entries(folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    mended = made()
    assert not mended.from_cache
    assert mended["f"](1.5, 4) == 12.0
    assert made().from_cache
    assert len(path.read_bytes()) == len(whole)


def test_a_folder_that_can_not_be_written_to_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder should be."""
    monkeypatch.setenv("PPL_CACHE", "on")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPL_CACHE_DIR", str(tmp_path / "file"))
    assert made()["f"](1.5, 4) == 12.0
    assert not made().from_cache


def test_a_failed_write_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert made()["f"](1.5, 4) == 12.0
    assert list(folder.iterdir()) == []


def test_the_cache_can_be_turned_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPL_CACHE", "off")
    made()
    assert not made().from_cache
    assert not folder.exists()


def test_entries_used_longest_ago_are_pruned(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "middle", "old"]):
        (tmp_path / f"{name}.native").write_bytes(b"x" * 100)
        os.utime(tmp_path / f"{name}.native", (1e9 - age, 1e9 - age))
    cache.prune(tmp_path, 300)
    assert len(list(tmp_path.iterdir())) == 3
    cache.prune(tmp_path, 299)
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["middle", "new"]


def test_a_hit_makes_an_entry_new_again(folder: Path) -> None:
    made()
    [path] = entries(folder)
    os.utime(path, (1e9, 1e9))
    assert made().from_cache
    assert path.stat().st_mtime > 1e9


_PROGRAM = """
from ppl.compiler.native import build, from_source
text = "def f(x: f64) -> f64:\\n    return math.exp(x) + 1.0\\n"
for _ in range(5):
    library = build(from_source(text, "shared"))
    assert abs(library["f"](0.0) - 2.0) < 1e-15
print("done", library.from_cache)
"""


def test_processes_build_the_same_at_the_same_time(folder: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in started] == ["done True"] * 2
    assert len(entries(folder)) == 1
    assert not list(folder.glob("*.part"))


def test_the_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPL_CACHE", "")
    monkeypatch.delenv("PPL_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join("some", "where"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == Path("some", "where", "ppl", "native")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert str(cache.folder()).endswith(os.path.join("Library", "Caches", "ppl", "native"))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "local")
    assert cache.folder() == Path("local", "ppl", "native")


def test_which_name_means_which_function_is_part_of_the_key(folder: Path) -> None:
    one, two = (from_source(f"def h(x: f64) -> f64:\n    return x + {k}.0\n", "h")[0] for k in (1, 2))
    text = "def f(x: f64) -> f64:\n    return 100.0 * p(x) + 10.0 * q(x) + r(x)\n"
    for names, value in (((one, one, two), 112.0), ((one, two, two), 122.0), ((two, two, one), 221.0)):
        library = build(from_source(text, "f", dict(zip("pqr", names, strict=True))))
        assert not library.from_cache
        assert library["f"](0.0) == value


def test_which_function_a_shared_one_is_called_from_is_part_of_the_key(folder: Path) -> None:
    """g(10, .) calls h(1) or h(2); the functions met are the same, in the same order."""
    h = [from_source(f"def h(x: f64) -> f64:\n    return x + {k}.0\n", "h")[0] for k in (1, 2)]
    text = "def f(x: f64) -> f64:\n    return p(x) + q(x) + r(x)\n"
    for inner, value in ((h[0], 13.0), (h[1], 23.0)):
        p, q = (
            from_source(f"def g(x: f64) -> f64:\n    return {scale}.0 * h(x)\n", "g", {"h": used})[0]
            for scale, used in ((1, h[0]), (10, inner))
        )
        library = build(from_source(text, "f", {"p": p, "q": q, "r": h[1]}))
        assert not library.from_cache
        assert library["f"](0.0) == value


def test_a_function_of_math_by_its_bare_name_is_part_of_the_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`from math import exp`: another exp in `special` is another entry."""
    from ppl.compiler.native import special_table

    assert build([bare])["bare"](0.0) == 1.0
    [other] = from_source("def exp(x: f64) -> f64:\n    return x + 5.0\n", "other")
    monkeypatch.setattr(special_table, "table", lambda: {"exp": other})
    changed = build([bare])
    assert not changed.from_cache
    assert changed["bare"](0.0) == 5.0
