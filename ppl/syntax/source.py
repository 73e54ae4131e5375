"""Reading a `.ppl` file, with errors that say what was looked for."""

from __future__ import annotations

from pathlib import Path

from ppl.errors import DataError


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        DataError: there is no such file, or it is no text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        near = sorted(str(p) for p in path.parent.glob("*.ppl")) if path.parent.is_dir() else []
        raise DataError(
            f"there is no file {path}", expected=", ".join(near[:5]) or None, edit=near[0] if near else None
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text in UTF-8", edit="save it as UTF-8") from None
