"""Strangers' text (names, keys, reasons) made safe to show: on a terminal, in a cell, in a log."""

import re

# What a spreadsheet takes for the start of a formula (CWE-1236), full-width forms included.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def printable(text: str) -> str:
    """Return ``text`` with everything that could move the cursor or reorder a line escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible(text: str) -> str:
    """Return ``text`` printable, and a word in place of nothing: a name has to be seen."""
    return printable(text) if text.strip() else "(blank)"


def shorten(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters, the last of them an ellipsis if cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def shorten_middle(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters, cut where names differ the least."""
    head = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[:head]}…{text[head + 1 - limit :]}"


def quoted(value: object) -> str:
    """Return a stranger's word in quotes, escaped and in at most 60 characters.

    What is no text is named by its type alone: the ``repr`` of a nested list may never end.
    """
    if not isinstance(value, str):
        return f"of type {type(value).__name__}"
    return f"'{shorten(printable(value[:100]), 58)}'"


def is_formula(text: str) -> bool:
    """Tell whether a spreadsheet would run ``text`` instead of showing it."""
    start = text.lstrip(" ")
    return start.startswith(_FORMULA_STARTS) and start != "-"  # a dash alone means nothing


def spreadsheet_cell(text: str) -> str:
    """Return ``text`` escaped, and with an apostrophe before what a spreadsheet would run."""
    # Where a comma is a decimal point, a semicolon ends a cell, quotes or no quotes.
    shown = re.sub(r';(?=[\s"]*[=+\-@＝＋－＠])', ";'", printable(text))
    return f"'{shown}" if is_formula(text) or is_formula(shown) else shown


def markdown_cell(text: str) -> str:
    """Return ``text`` for a cell of a Markdown table, as plain text without markup or links."""
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~@:" else c for c in shown)


def workflow_message(text: str) -> str:
    """Return ``text`` as the message of a GitHub workflow command, where % starts an escape."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
