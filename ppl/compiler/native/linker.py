"""From LLVM's object file to an image: sections side by side, and the distances between them written.

It reads ELF for x86-64 as far as our own code needs it (System V ABI, chapter 4, and its AMD64 supplement, section
4.4). What else there may be it refuses (`NoImage`), and LLVM loads the object file instead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from .image import PAGE, SLOT, Image, NoImage

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_DISTANCE = struct.Struct("<i")

_ELF64_LITTLE_ENDIAN, _RELOCATABLE, _X86_64 = b"\x7fELF\x02\x01", 1, 62
# Kinds of sections, and their flags.
_PROGRAM, _SYMBOLS, _RELOCATIONS, _NO_ADDENDS, _UNWINDING = 1, 2, 4, 9, 0x70000001
_ALLOCATED, _EXECUTABLE, _MERGEABLE, _STRINGS = 0x2, 0x4, 0x10, 0x20
_KNOWN_FLAGS = _ALLOCATED | _EXECUTABLE | _MERGEABLE | _STRINGS
_UNDEFINED = 0  # the section of a symbol from outside
# Kinds of relocations. Both are the distance to a symbol; of PLT32 it is a function, perhaps from outside.
_PC32, _PLT32 = 2, 4

_JUMP = b"\xff\x25"  # jmp *[rip + distance]
_STUB = 8  # bytes from one jump to the next


class _Section(NamedTuple):
    kind: int
    flags: int
    content: bytes
    link: int
    info: int
    alignment: int


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


class _Relocation(NamedTuple):
    section: int
    offset: int
    symbol: _Symbol
    addend: int


def link(code: bytes, exported: Iterable[str]) -> Image:
    """The image of an object file that exports these symbols. `NoImage` if it holds anything not known here."""
    sections = _sections(code)
    kept = _kept(sections)
    symbols = _symbols(sections)
    relocations = _relocations(sections, kept, symbols)
    outside = list(dict.fromkeys(r.symbol.name for r in relocations if r.symbol.section == _UNDEFINED))

    executable = {number: s for number, s in kept.items() if s.flags & _EXECUTABLE}
    constants = {number: s for number, s in kept.items() if number not in executable}
    places, end = _placed(executable, 0)
    stubs = _rounded(end, _STUB)
    slots = _rounded(stubs + _STUB * len(outside), PAGE)
    more, end = _placed(constants, slots + SLOT.size * len(outside))
    places |= more

    content = bytearray(end)
    for number, place in places.items():
        content[place : place + len(kept[number].content)] = kept[number].content
    for k in range(len(outside)):
        stub, slot = stubs + _STUB * k, slots + SLOT.size * k
        next_instruction = stub + len(_JUMP) + _DISTANCE.size
        content[stub:next_instruction] = _JUMP + _DISTANCE.pack(slot - next_instruction)
    for section, offset, symbol, addend in relocations:
        if symbol.section == _UNDEFINED:
            target = stubs + _STUB * outside.index(symbol.name)
        else:
            target = places[symbol.section] + symbol.value
        place = places[section] + offset
        _DISTANCE.pack_into(content, place, target + addend - place)

    begins = {s.name: places[s.section] + s.value for s in symbols if s.section in places}
    return Image(bytes(content), slots, {name: begins[name] for name in exported}, outside)


def _sections(code: bytes) -> list[_Section]:
    if code[:6] != _ELF64_LITTLE_ENDIAN:
        raise NoImage("no ELF file of 64 bits")
    _, kind, machine, _, _, _, start, _, _, _, _, size, count, _ = _HEADER.unpack_from(code)
    if (kind, machine, size) != (_RELOCATABLE, _X86_64, _SECTION.size):
        raise NoImage("no object file for x86-64")
    found = []
    for place in range(start, start + count * size, size):
        _, kind, flags, _, offset, length, link, info, alignment, _ = _SECTION.unpack_from(code, place)
        found.append(_Section(kind, flags, code[offset : offset + length], link, info, alignment))
    return found


def _kept(sections: list[_Section]) -> dict[int, _Section]:
    """Code and constants, by number. Our code throws nothing, so the tables for unwinding are left out."""
    found = {}
    for number, section in enumerate(sections):
        if not section.flags & _ALLOCATED or section.kind == _UNWINDING:
            continue
        if section.kind != _PROGRAM or section.flags & ~_KNOWN_FLAGS or section.alignment > PAGE:
            raise NoImage(f"a section of kind {section.kind} with flags {section.flags:#x}")
        found[number] = section
    return found


def _symbols(sections: list[_Section]) -> list[_Symbol]:
    [table] = (section for section in sections if section.kind == _SYMBOLS)
    names = sections[table.link].content
    return [
        _Symbol(names[name : names.index(b"\0", name)].decode(), section, value)
        for name, _, _, section, value, _ in _SYMBOL.iter_unpack(table.content)
    ]


def _relocations(
    sections: list[_Section], kept: dict[int, _Section], symbols: list[_Symbol]
) -> list[_Relocation]:
    """The distances to be written in the sections that are kept."""
    found = []
    for section in sections:
        if section.kind not in (_RELOCATIONS, _NO_ADDENDS) or section.info not in kept:
            continue
        if section.kind == _NO_ADDENDS:
            raise NoImage("relocations without addends")
        for offset, info, addend in _RELOCATION.iter_unpack(section.content):
            kind, symbol = info & 0xFFFFFFFF, symbols[info >> 32]
            if kind not in (_PC32, _PLT32):
                raise NoImage(f"a relocation of kind {kind}")
            if symbol.section not in kept and (symbol.section, kind) != (_UNDEFINED, _PLT32):
                raise NoImage(f"a distance to `{symbol.name}`, which is neither kept nor a function outside")
            found.append(_Relocation(section.info, offset, symbol, addend))
    return found


def _placed(sections: dict[int, _Section], start: int) -> tuple[dict[int, int], int]:
    """Sections one after another: where each begins, and where the last one ends."""
    places = {}
    for number, section in sections.items():
        places[number] = _rounded(start, max(section.alignment, 1))
        start = places[number] + len(section.content)
    return places, start


def _rounded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
