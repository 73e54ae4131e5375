"""Machine code kept on disk, so that the next process finds it compiled.

`$PPL_CACHE_DIR`, or the platform's folder for caches, holds a folder `native` with a file for each module. An
entry is written to a temporary file and renamed, so that readers see all of it or nothing; a checksum finds
what is damaged, and that is compiled again. A folder that can't be written to is no error. `PPL_CACHE=off`
turns the cache off.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

LARGEST = 256 * 2**20  # bytes of all entries together

_MAGIC = b"ppl native 1\n"
_SUFFIX = ".native"
_CHECKSUM = 16
_OFF = {"off", "0", "no", "false"}


def folder() -> Path | None:
    """Where entries are; None if the cache is turned off."""
    if os.environ.get("PPL_CACHE", "").lower() in _OFF:
        return None
    if given := os.environ.get("PPL_CACHE_DIR"):
        return Path(given) / "native"
    try:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        elif sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home
        return None
    return base / "ppl" / "native"


@cache
def compiler_digest() -> bytes:
    """A digest of this compiler's own text: another compiler, another key."""
    digest = blake2b(digest_size=16)
    room = os.path.dirname(__file__)
    for name in sorted(os.listdir(room)):
        if name.endswith(".py"):
            with open(os.path.join(room, name), "rb", buffering=0) as file:
                digest.update(name.encode() + b"\0" + file.read())
    return digest.digest()


def read(key: str) -> tuple[dict[str, Any], bytes] | None:
    """(what was noted, machine code) of an entry; None if there is none, or it is damaged."""
    place = folder()
    if place is None:
        return None
    path = place / (key + _SUFFIX)
    try:
        data = path.read_bytes()
        start = len(_MAGIC) + _CHECKSUM
        body = data[start:]
        if data[:start] != _MAGIC + blake2b(body, digest_size=_CHECKSUM).digest():
            return None
        size = int.from_bytes(body[:4], "little")
        found = json.loads(body[4 : 4 + size]), body[4 + size :]
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now: the last to be pruned
    return found


def write(key: str, notes: dict[str, Any], code: bytes) -> None:
    """Keep an entry, if the folder lets us."""
    place = folder()
    if place is None:
        return
    text = json.dumps(notes, separators=(",", ":")).encode()
    body = len(text).to_bytes(4, "little") + text + code
    data = _MAGIC + blake2b(body, digest_size=_CHECKSUM).digest() + body
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, place / (key + _SUFFIX))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _prune_once(place)
    except OSError:
        return


@cache
def _prune_once(place: Path) -> None:
    """Look at the folder's size at the first entry that a process writes."""
    prune(place, LARGEST)


def prune(place: Path, largest: int) -> None:
    """Delete the entries used longest ago until those left take no more than three quarters of `largest`
    bytes; nothing while all are within it.
    """
    entries = []
    for entry in os.scandir(place):
        with contextlib.suppress(OSError):
            about = entry.stat()
            entries.append((about.st_mtime, about.st_size, entry.path))
    total = sum(size for _, size, _ in entries)
    if total <= largest:
        return
    for _, size, path in sorted(entries):
        if total <= largest * 3 // 4:
            return
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size
