"""Images of machine code: what LLVM's own loader would run, put into memory without it."""

from __future__ import annotations

import ctypes
import functools
import gc
import re
import struct
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppl.compiler.engines.native.routines import ROUTINES
from ppl.compiler.native import Library, Native, build, cache, from_source, image, libm, linker, machine
from ppl.compiler.native.signatures import signature
from ppl.compiler.native.special import CALLED, SPECIAL
from ppl.compiler.native.types import Type

pytestmark = pytest.mark.skipif(not image.POSSIBLE, reason="no images on this system")


def refuse(*_: Any) -> Any:
    raise image.NoImage("not in this test")


def both(natives: list[Native[..., Any]]) -> tuple[Library, Library]:
    """The same machine code in memory twice: as an image, and by LLVM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "object_code", functools.cache(machine.object_code))
        ours = build(natives)
        patch.setattr(linker, "link", refuse)
        return ours, build(natives)


def function(ir: str, *types: Any) -> Any:
    """`double f(...)` of a module in LLVM's language, from its image."""
    loaded = image.load(linker.link(machine.object_code(ir), ["f"]))
    found: Any = ctypes.CFUNCTYPE(ctypes.c_double, *types)(loaded.addresses["f"])
    found.keep = loaded
    return found


CALLS = """
@native(inline=False)
def beside(x: f64) -> f64:
    return math.sin(x) + 0.1

def f(out: Floats, copy: Floats, x: Floats, n: i64) -> f64:
    for i in range(n):
        out[i] = 0.0
    for i in range(n):
        copy[i] = x[i]
    return beside(x[0]) + 3.25
"""


def test_calls_between_functions_and_of_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants, a function beside it, the C library's sin, and what LLVM makes of loops: memset and memcpy."""
    asked: list[str] = []
    address = libm.address
    monkeypatch.setattr(libm, "address", lambda name: asked.append(name) or address(name))
    results = []
    for library in both(from_source(CALLS, "calls")[-1:]):
        x = np.linspace(0.5, 2.0, 100)
        out, copy = np.ones(100), np.zeros(100)
        results.append(library["f"](out, copy, x, 100))
        assert not out.any()
        assert (copy == x).all()
    assert {"sin", "memset", "memcpy"} <= set(asked)
    assert results[0] == results[1] == pytest.approx(np.sin(0.5) + 3.35, rel=1e-15)


SWITCH = """
declare double @sin(double)
declare double @cos(double)
define double @f(i64 %k, double %x) nounwind {
  switch i64 %k, label %other [ i64 0, label %a i64 1, label %b i64 2, label %c i64 3, label %d i64 4, label %e ]
a:
  %1 = call double @sin(double %x)
  ret double %1
b:
  %2 = call double @cos(double %x)
  ret double %2
c:
  %3 = fmul double %x, 7.0
  ret double %3
d:
  %4 = fdiv double 1.0, %x
  ret double %4
e:
  %5 = fsub double %x, 3.0
  ret double %5
other:
  ret double 0.0
}
"""


def test_a_table_of_jumps() -> None:
    """Its entries are distances too, written in a section of constants."""
    sections = linker._sections(machine.object_code(SWITCH))
    kept = linker._kept(sections)
    written = {r.section for r in linker._relocations(sections, kept, linker._symbols(sections))}
    assert any(not kept[place].flags & linker._EXECUTABLE for place in written), "LLVM made no table of jumps"
    f = function(SWITCH, ctypes.c_int64, ctypes.c_double)
    sin, cos = (libm.function(name)(0.7) for name in ("sin", "cos"))
    assert [f(k, 0.7) for k in range(7)] == [sin, cos, 0.7 * 7.0, 1.0 / 0.7, 0.7 - 3.0, 0.0, 0.0]


def test_a_table_of_numbers() -> None:
    values = [3.5, -1.25, 8.0, 0.1]
    numbers = ", ".join(f"double 0x{struct.pack('>d', value).hex()}" for value in values)
    ir = f"""
@table = private unnamed_addr constant [4 x double] [{numbers}]
define double @f(i64 %k) nounwind {{
  %place = getelementptr [4 x double], ptr @table, i64 0, i64 %k
  %x = load double, ptr %place
  ret double %x
}}
"""
    f = function(ir, ctypes.c_int64)
    assert [f(k) for k in range(4)] == values


def test_constants_are_aligned() -> None:
    """Vector instructions may demand it."""
    ir = """
declare double @sin(double)
@odd = internal constant [4 x i8] c"abc-", section ".rodata.odd"
@wide = internal constant <8 x double> zeroinitializer, align 64, section ".rodata.wide"
define double @f(i64 %k, double %x) nounwind {
  %1 = call double @sin(double %x)
  %place = getelementptr i8, ptr @odd, i64 %k
  %byte = load i8, ptr %place
  %letter = uitofp i8 %byte to double
  %2 = fmul double %letter, %1
  %place.2 = ptrtoint ptr @wide to i64
  %address = uitofp i64 %place.2 to double
  %none = icmp eq i64 %k, 3
  %3 = select i1 %none, double %address, double %2
  ret double %3
}
"""
    f = function(ir, ctypes.c_int64, ctypes.c_double)
    assert [f(k, 1.0) for k in range(3)] == [letter * libm.function("sin")(1.0) for letter in b"abc"]
    assert f(3, 1.0) % 64 == 0


def test_tables_for_unwinding_are_left_out() -> None:
    ir = "define double @f(double %x) uwtable {\n  ret double %x\n}\n"
    assert b".eh_frame" in machine.object_code(ir)
    assert function(ir, ctypes.c_double)(2.5) == 2.5


NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.3, -0.7, 2.5, 1e-300, 1e300, 40.0, -800.0, np.inf, -np.inf, np.nan]


def looped(name: str, f: Native[..., Any]) -> str:
    """A function that fills an array with another one's values."""
    given = [f"x[{k} * n + i]" if t is Type.F64 else "2" for k, t in enumerate(signature(f).parameters)]
    head = f"def run_{name}(out: Floats, x: Floats, n: i64) -> None:"
    return f"{head}\n    for i in range(n):\n        out[i] = float({name}({', '.join(given)}))\n"


def test_special_functions_compute_the_same_bits() -> None:
    """Inlined in loops that vectorise, and called."""
    functions = {f"inlined_{name}": f for name, f in SPECIAL.items()}
    functions |= {f"called_{name}": f for name, f in CALLED.items()}
    ours, llvm = both(
        from_source("\n".join(looped(name, f) for name, f in functions.items()), "every", functions)
    )
    x = np.concatenate([NUMBERS, np.random.default_rng(0).normal(size=50) * 5.0])
    given = np.concatenate([x, np.roll(x, 1), np.roll(x, 5)])
    for name in ours:
        one, other = np.zeros(len(x)), np.zeros(len(x))
        ours[name](one, given, len(x))
        llvm[name](other, given, len(x))
        assert one.tobytes() == other.tobytes(), name
    assert len(list(ours)) > 80


def arguments(parameters: tuple[Type, ...]) -> list[Any]:
    """Sizes of 3; arrays long enough for matrices and blocks of these."""
    random = np.random.default_rng(1)
    made: dict[Type, Callable[[], Any]] = {
        Type.FLOATS: lambda: random.normal(size=27) + 4.0 * np.tile(np.eye(3).reshape(-1), 3),
        Type.F64: lambda: 1.0,
        Type.I64: lambda: 3,
        Type.BOOL: lambda: False,
    }
    return [made[t]() for t in parameters]


def test_routines_compute_the_same_bits() -> None:
    ours, llvm = both(list(ROUTINES.values()))
    for name in ours:
        results = []
        for library in (ours, llvm):
            given = arguments(library[name].signature.parameters)
            result = library[name](*given)
            results.append((repr(result), [a.tobytes() for a in given if isinstance(a, np.ndarray)]))
        assert results[0] == results[1], name
        before = arguments(ours[name].signature.parameters)
        arrays = [a.tobytes() for a in before if isinstance(a, np.ndarray)]
        assert results[0][0] != "None" or results[0][1] != arrays, f"{name} did nothing"


def with_kind(code: bytes, kind: int) -> bytes:
    """An object file whose first relocation is of another kind."""
    start, size, count = struct.unpack_from("<40xQ10xHH", code)[0], *struct.unpack_from("<58xHH", code)
    changed = bytearray(code)
    for place in range(start, start + count * size, size):
        if struct.unpack_from("<4xI", code, place)[0] == linker._RELOCATIONS:
            struct.pack_into("<I", changed, struct.unpack_from("<24xQ", code, place)[0] + 8, kind)
            return bytes(changed)
    raise AssertionError("no relocations")


@pytest.mark.parametrize("kind", [1, 9, 10, 11, 24, 41, 42])
def test_an_unknown_relocation_is_refused(kind: int) -> None:
    with pytest.raises(image.NoImage, match=f"a relocation of kind {kind}$"):
        linker.link(with_kind(machine.object_code(SWITCH), kind), ["f"])


@pytest.mark.parametrize(
    ("ir", "why"),
    [
        (
            "@x = internal global double 1.0\ndefine double @f() {\n  %x = load double, ptr @x\n"
            "  %y = fadd double %x, 1.0\n  store double %y, ptr @x\n  ret double %y\n}\n",
            "a section of kind 1 with flags 0x3",
        ),
        (
            "@x = internal global double 0.0\ndefine double @f() {\n  %x = load double, ptr @x\n"
            "  %y = fadd double %x, 1.0\n  store double %y, ptr @x\n  ret double %y\n}\n",
            "a section of kind 8 with flags 0x3",
        ),
        (
            "declare double @sin(double)\ndeclare double @cos(double)\n"
            "@t = internal constant [2 x ptr] [ptr @sin, ptr @cos]\n"
            "define double @f(i64 %k) {\n  %p = getelementptr [2 x ptr], ptr @t, i64 0, i64 %k\n"
            "  %g = load ptr, ptr %p\n  %x = call double %g(double 1.0)\n  ret double %x\n}\n",
            "a section of kind 1 with flags 0x3",
        ),
        (
            "declare double @sin(double)\ndefine ptr @f() {\n  ret ptr @sin\n}\n",
            "a relocation of kind 42",
        ),
        (
            "@x = external dso_local constant double\ndefine double @f() {\n  %x = load double, ptr @x\n"
            "  ret double %x\n}\n",
            "a distance to `x`, which is neither kept nor a function outside",
        ),
    ],
)
def test_what_is_not_known_is_refused(ir: str, why: str) -> None:
    """Variables, with a value or without; tables of addresses; addresses and values from outside."""
    with pytest.raises(image.NoImage, match=f"^{why}$"):
        linker.link(machine.object_code(ir), ["f"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda code: b"\xcf\xfa\xed\xfe" + code[4:],  # macOS
        lambda code: b"\x64\x86" + code[2:],  # Windows
        lambda code: code[:4] + b"\x01" + code[5:],  # 32 bits
        lambda code: code[:18] + b"\xb7\x00" + code[20:],  # ARM
    ],
)
def test_other_systems_and_processors_are_refused(damage: Any) -> None:
    with pytest.raises(image.NoImage, match="64"):
        linker.link(damage(machine.object_code(SWITCH)), ["f"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPL_CACHE", "on")
    monkeypatch.setenv("PPL_CACHE_DIR", str(tmp_path))
    return tmp_path / "native"


def sine(shift: float = 0.0) -> Library:
    return build(from_source(f"def f(x: f64) -> f64:\n    return math.sin(x) + {shift}\n", "sine"))


def noted(folder: Path) -> Any:
    [entry] = folder.glob("*.native")
    found = cache.read(entry.stem)
    assert found is not None
    return found[0]["image"]


def test_an_image_is_loaded_without_llvm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sine()
    assert noted(folder)["outside"] == ["sin"]
    monkeypatch.setattr(machine, "load", refuse)
    monkeypatch.setattr(machine, "_llvm", refuse)
    found = sine()
    assert found.from_cache
    assert found["f"](0.5) == libm.function("sin")(0.5)


@pytest.mark.parametrize("module, name, value", [(linker, "link", refuse), (image, "POSSIBLE", False)])
def test_without_an_image_the_object_file_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any
) -> None:
    monkeypatch.setattr(module, name, value)
    assert not sine().from_cache
    assert noted(folder) is None
    monkeypatch.setattr(machine, "object_code", refuse)
    found = sine()
    assert found.from_cache
    assert found["f"](0.5) == libm.function("sin")(0.5)


def test_an_image_that_can_not_be_loaded_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another C library lacks one of its functions."""
    sine()
    machine._outside()  # these LLVM knows already
    address = libm.address
    monkeypatch.setattr(libm, "address", lambda name: 0 if name == "sin" else address(name))
    found = sine()
    assert not found.from_cache
    assert found["f"](0.5) == libm.function("sin")(0.5)
    assert noted(folder) is None
    assert sine().from_cache


def rights(address: int) -> str:
    """What may be done with the memory there; "" if there is none."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
        if int(start, 16) <= address < int(end, 16):
            return rights
    return ""


def test_memory_is_never_writable_and_executable() -> None:
    linked = linker.link(machine.object_code(SWITCH), ["f"])
    assert linked.executable % image.PAGE == 0
    assert len(linked.content) > linked.executable
    loaded = image.load(linked)
    start = loaded.addresses["f"] - linked.symbols["f"]
    assert rights(start) == rights(start + linked.executable - 1) == "r-xp"
    assert rights(start + linked.executable) == rights(start + len(linked.content) - 1) == "r--p"


def test_memory_is_kept_as_long_as_a_function() -> None:
    f = sine()["f"]
    memory = weakref.ref(f.library._loaded.keep)
    gc.collect()
    assert memory() is not None
    assert f(0.5) == libm.function("sin")(0.5)
    del f
    gc.collect()
    assert memory() is None


def test_a_system_that_refuses_executable_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_mprotect", lambda: lambda *_: -1)
    with pytest.raises(image.NoImage, match="no memory for code"):
        image.mapped(b"\xc3", 1)
    assert sine()["f"](0.0) == 0.0


def test_threads_load_at_the_same_time(folder: Path) -> None:
    for shift in range(4):
        sine(float(shift))

    def work(shift: int) -> tuple[bool, float]:
        found = sine(float(shift))
        return found.from_cache, found["f"](0.0)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, [0, 1, 2, 3] * 10)) == [(True, float(k)) for k in [0, 1, 2, 3] * 10]
