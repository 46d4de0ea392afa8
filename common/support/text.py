"""Untrusted text (names, keys, reasons) made safe for the place where it is shown."""

import os
from pathlib import Path


def json_text(path: str | Path) -> str:
    r"""Return ``path`` as text that JSON can hold; bytes that are no UTF-8 become ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def terminal_safe(text: str) -> str:
    """Return ``text`` with everything escaped that could move the cursor or reorder a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(value: object) -> str:
    """Return an untrusted word in quotes, escaped and in at most 60 characters.

    Of anything but text only the type is named: the ``repr`` of a nested list may never end.
    """
    if not isinstance(value, str):
        return f"of type {type(value).__name__}"
    return f"'{shorten(terminal_safe(value[:100]), 58)}'"


def shorten(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters, the last of them an ellipsis if cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
