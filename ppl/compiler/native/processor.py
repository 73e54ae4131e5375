"""What machine code depends on beside its text: the processor and LLVM, told apart without importing LLVM.

LLVM finds a processor's name and features by the instructions CPUID and XGETBV (Intel SDM, volume 2A; AMD APM,
volume 3). Here the same registers are read, raw: where they are equal, LLVM of one version finds the same, and makes
the same code. Nothing is remembered from one process to the next, so a folder of compiled code may be moved to
another machine, or shared by several.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path

from . import image

Registers = dict[str, int]

# void cpuid(int leaf, int subleaf, int registers[4]); padded, so that the next begins at a multiple of 16
_CPUID = bytes.fromhex(
    "53"  # push rbx
    "4989d0"  # mov r8, rdx
    "89f8"  # mov eax, edi
    "89f1"  # mov ecx, esi
    "0fa2"  # cpuid
    "418900"  # mov [r8], eax
    "41895804"  # mov [r8+4], ebx
    "41894808"  # mov [r8+8], ecx
    "4189500c"  # mov [r8+12], edx
    "5b"  # pop rbx
    "c3"  # ret
).ljust(32, b"\xcc")
# long xgetbv(): the states of the processor that the system saves (XCR0)
_XGETBV = bytes.fromhex(
    "31c9"  # xor ecx, ecx
    "0f01d0"  # xgetbv
    "48c1e220"  # shl rdx, 32
    "4809d0"  # or rax, rdx
    "c3"  # ret
)
_HAS_XGETBV = 1 << 27  # of leaf 1's ecx: OSXSAVE

# (leaf, subleaf, its registers that tell features). Not read is what differs between the cores of one machine,
# such as the number of the core in leaf 1's ebx.
_EXTENDED = 0x80000000
_LEAVES = (
    (0x0, 0, "abcd"),
    (0x1, 0, "acd"),
    (0x7, 0, "abcd"),
    (0x7, 1, "abcd"),
    (0x7, 2, "abcd"),
    (0xD, 1, "a"),
    (0x14, 0, "b"),
    (0x19, 0, "b"),
    (0x1E, 1, "a"),
    (0x24, 0, "b"),
    (0x24, 1, "c"),
    (0x29, 0, "b"),
    (_EXTENDED, 0, "a"),
    (_EXTENDED + 0x1, 0, "cd"),
    (_EXTENDED + 0x8, 0, "b"),
    (_EXTENDED + 0x21, 0, "a"),
)


@cache
def identity() -> bytes:
    """A digest of the processor and of LLVM. Where it can't be had without LLVM, LLVM is asked."""
    try:
        if (version := _llvm()) is not None:
            return blake2b(version + _registers(), digest_size=16).digest()
    except image.NoImage:
        pass
    from . import machine

    return blake2b(str(machine.host()).encode(), digest_size=16).digest()


def _registers() -> bytes:
    """What CPUID and XGETBV say of the processor's features."""
    code = _CPUID + _XGETBV
    keep, start = image.mapped(code, len(code))
    cpuid = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(start)
    xgetbv = ctypes.CFUNCTYPE(ctypes.c_uint64)(start + len(_CPUID))
    registers = (ctypes.c_uint32 * 4)()

    def read(leaf: int, subleaf: int) -> Registers:
        cpuid(leaf, subleaf, registers)
        return dict(zip("abcd", registers, strict=True))

    found = _features(read, xgetbv)
    keep.close()
    return found


def _features(cpuid: Callable[[int, int], Registers], xgetbv: Callable[[], int]) -> bytes:
    last = {kind: cpuid(kind, 0)["a"] for kind in (0, _EXTENDED)}
    found = []
    for leaf, subleaf, names in _LEAVES:
        if leaf <= last[leaf & _EXTENDED]:  # what is said of those beyond is another leaf's
            told = cpuid(leaf, subleaf)
            found.append((leaf, subleaf, [told[name] for name in names]))
    saved = xgetbv() if cpuid(1, 0)["c"] & _HAS_XGETBV else 0
    return repr((found, saved)).encode()


def _llvm() -> bytes | None:
    """llvmlite's version and the build of its library; None if they are not found where they usually are."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return None
    room = Path(spec.origin).parent
    try:
        version = (room / "_version.py").read_bytes()
        with open(room / "binding" / "libllvmlite.so", "rb") as library:
            # Sizes of its parts and, where the linker made one, its build ID; the time of the file would tell less,
            # and change whenever the same is installed again.
            head, size = library.read(4096), os.fstat(library.fileno()).st_size
    except OSError:
        return None
    return version + head + str(size).encode()
