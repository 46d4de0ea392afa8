"""Untrusted text in a table that a spreadsheet opens."""

import re

from common.support.text import terminal_safe

# What a spreadsheet takes for the start of a formula (CWE-1236), full-width forms included.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def is_formula(text: str) -> bool:
    """Tell whether a spreadsheet would run ``text`` instead of showing it."""
    start = text.lstrip(" ")
    return start.startswith(_FORMULA_STARTS) and start != "-"  # a dash alone means nothing


def spreadsheet_cell(text: str) -> str:
    """Return ``text`` escaped, with an apostrophe before what a spreadsheet would run."""
    # Where a comma is the decimal mark, a semicolon ends a cell, quotes or no quotes.
    safe = re.sub(r';(?=[\s"]*[=+\-@＝＋－＠])', ";'", terminal_safe(text))
    return f"'{safe}" if is_formula(text) or is_formula(safe) else safe
