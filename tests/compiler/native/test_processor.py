"""What machine code depends on, known without LLVM: the registers that LLVM reads, and which LLVM it is."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppl.compiler.native import image, machine, processor

here = pytest.mark.skipif(not image.POSSIBLE, reason="asks LLVM on this system")

FULL, EXTENDED = 0xFFFFFFFF, 0x80000000


def features(leaves: dict[tuple[int, int], dict[str, int]], saved: int = 7) -> bytes:
    """What is read of a processor with these leaves, and zeros in the others."""
    every = {(0, 0): {"a": 0x40}, (EXTENDED, 0): {"a": EXTENDED + 0x40}, (1, 0): {"c": 1 << 27}} | leaves
    zeros = dict.fromkeys("abcd", 0)
    return processor._features(lambda leaf, subleaf: zeros | every.get((leaf, subleaf), {}), lambda: saved)


@pytest.mark.parametrize(("leaf", "subleaf", "names"), processor._LEAVES)
def test_every_feature_counts(leaf: int, subleaf: int, names: str) -> None:
    """One bit of any register that LLVM reads makes another processor."""
    for name in names:
        if (leaf & ~EXTENDED, name) == (0, "a"):  # the last leaf
            changed = {(leaf, subleaf): {name: (leaf & EXTENDED) + 0x3F}}
        else:
            kept = {"a": 0x40} if leaf == 0 else {"c": 1 << 27} if leaf == 1 else {}
            changed = {(leaf, subleaf): kept | {name: kept.get(name, 0) ^ 1}}
        assert features(changed) != features({})


def test_the_number_of_the_core_does_not_count() -> None:
    assert features({(1, 0): {"b": 0x05000000, "c": 1 << 27}}) == features({})


def test_leaves_that_are_not_there_are_not_read() -> None:
    """CPUID answers with another leaf's registers there, which may be the core's."""
    asked = []

    def cpuid(leaf: int, subleaf: int) -> dict[str, int]:
        asked.append(leaf)
        return {"a": {0: 7, EXTENDED: EXTENDED + 1}.get(leaf, 0), "b": 0, "c": 0, "d": 0}

    processor._features(cpuid, lambda: 0)
    assert set(asked) == {0, 1, 7, EXTENDED, EXTENDED + 1}


def test_what_the_system_saves_counts_where_it_can_be_asked() -> None:
    assert features({}, saved=7) != features({}, saved=0xE7)
    without = {(1, 0): {"c": 0}}
    assert features(without, saved=7) == features(without, saved=0xE7)  # XGETBV would be no instruction


@here
def test_registers_say_what_llvm_finds() -> None:
    found = re.findall(rb"\((\d+), (\d+), \[([\d, ]*)\]\)", processor._registers())
    told = {(int(a), int(b)): [int(word) for word in words.split(b",")] for a, b, words in found}
    names = {(leaf, subleaf): names for leaf, subleaf, names in processor._LEAVES}
    places = {
        "sse3": (1, "c", 0), "ssse3": (1, "c", 9), "cx16": (1, "c", 13), "sse4.1": (1, "c", 19),
        "movbe": (1, "c", 22), "popcnt": (1, "c", 23), "aes": (1, "c", 25), "rdrnd": (1, "c", 30),
        "sse2": (1, "d", 26), "bmi": (7, "b", 3), "bmi2": (7, "b", 8), "rdseed": (7, "b", 18),
        "adx": (7, "b", 19), "sha": (7, "b", 29), "rdpid": (7, "c", 22), "gfni": (7, "c", 8),
        "lzcnt": (EXTENDED + 1, "c", 5), "prfchw": (EXTENDED + 1, "c", 8),
    }  # fmt: skip
    llvm = set(machine.host().features.split(","))
    for name, (leaf, register, bit) in places.items():
        if leaf <= told[leaf & EXTENDED, 0][0]:
            has = told[leaf, 0][names[leaf, 0].index(register)] >> bit & 1
            assert f"{'+' if has else '-'}{name}" in llvm


@here
def test_every_core_says_the_same() -> None:
    cores = os.sched_getaffinity(0)
    try:
        said = set()
        for core in sorted(cores)[:8]:
            os.sched_setaffinity(0, {core})
            said.add(processor._registers())
    finally:
        os.sched_setaffinity(0, cores)
    assert len(said) == 1


anew = processor.identity.__wrapped__  # who this is, found out again


def installed(folder: Path, version: str = "1", library: bytes = b"\x7fELF build 1") -> SimpleNamespace:
    """llvmlite in a folder, as `find_spec` finds it."""
    (folder / "binding").mkdir(exist_ok=True)
    (folder / "_version.py").write_text(version)
    (folder / "binding" / "libllvmlite.so").write_bytes(library)
    return SimpleNamespace(origin=str(folder / "__init__.py"))


@here
def test_another_llvm_is_another_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "host", None)  # LLVM is not asked
    found = set()
    for changed in ({}, {"version": "2"}, {"library": b"\x7fELF build 2"}, {"library": bytes(10**4)}):
        spec = installed(tmp_path, **changed)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, spec=spec: spec)
        found.add(anew())
        assert anew() in found
    assert len(found) == 4


@here
def test_another_processor_is_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    this = anew()
    assert this == anew() == processor.identity()
    monkeypatch.setattr(processor, "_registers", lambda: b"another")
    assert anew() != this


@pytest.mark.parametrize("lacking", ["system", "spec", "origin", "files"])
def test_llvm_is_asked_where_it_must_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    """Another system, or llvmlite found elsewhere: the processor's name and features are LLVM's."""
    spec = {"spec": None, "origin": SimpleNamespace(origin=None), "files": SimpleNamespace(origin="gone/x")}
    if lacking == "system":
        monkeypatch.setattr(image, "POSSIBLE", False)
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec[lacking])
    this = machine.host()
    found = {anew()}
    for part in ("triple", "cpu", "features", "versions"):
        words = {name: getattr(this, name) for name in ("triple", "cpu", "features", "versions")}
        other = machine.Host(**words | {part: "another"})
        monkeypatch.setattr(machine, "host", lambda other=other: other)
        found.add(anew())
    assert len(found) == 5
