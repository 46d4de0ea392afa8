"""What tools print on a screen: lists, arrays and framed tables, turned into plain text.

Each pattern takes time in proportion to the text.
"""

import re
from collections.abc import Sequence

from common.support.errors import SubmissionError

_SCALAR = re.compile(
    r"(?:np\.|numpy\.|torch\.)?(?:(?:u?int|float)[0-9]+|str_|tensor)"
    r"\((\[[^()\[\],]*\]|[^()\[\],]*)(?:,[^()\[\]]*)?\)"
)
_OPENING = re.compile(r"(?:[\w.]+ ?= ?)?(?:(?:np\.|numpy\.|torch\.)?(?:array|tensor|list)?\()*\[")
_TUPLE = re.compile(r"(?:[\w.]+ ?(?:=|<-) ?)?c?\(([^()\[\]]*)\)")  # in R c(7, 2)
_ARRAY = re.compile(r"(?:np\.|numpy\.|torch\.)?(?:array|tensor)\(\[")
_CLOSING = re.compile(r"\] ?(?:, ?[a-z_]+=(?:\([^()]*\)|[^\s,()\[\]]+))*\)")
_INNERMOST = re.compile(r"\[([^\[\]]*)\]")

_FRAME = re.compile(r"[-+|=: \t\u2500-\u257f]+")
_DASHES = ("--", "==", "\u2500\u2500", "\u2550\u2550", "\u2501\u2501")
_BARS = str.maketrans("\u2502\u2503\u2551\u2506", "||||")
_FOOTER = re.compile(
    r"\([0-9,]+ rows?[^)]*\)|[0-9,]+ rows? (?:in set|selected).*|\[[0-9]+ rows x [0-9]+ columns\]"
    r"|(?:Name|Length|dtype|Freq): .*|Levels: .*|Query OK.*"
)
_R_VECTOR = re.compile(r"\s*\[1\] ")
_R_COUNT = re.compile(r"^[ \t]*\[[0-9]+\]", re.MULTILINE)
_WEKA = re.compile(r"\s*(?:=[^\n]*\n\s*)?inst#[ ]+actual[ ]+predicted")
_SHOWN_LINES, _MOST_FOOTERS = 12, 5

ELLIPSIS = {"...", "\u2026", "..", "\u00b7", ":"}
ONLY_ENDS = (
    "only the ends of the predictions were printed ('...'): save all of them, with "
    "np.savetxt('predictions.txt', predictions, fmt='%d') or json.dump(predictions.tolist(), file)"
)


def unwrapped(text: str) -> str:
    """Return a text with plain numbers in place of ``np.int64(7)`` and ``tensor(7)``."""
    return _SCALAR.sub(r"\1", text) if "(" in text else text


def printed_lists(text: str) -> list[list[str]] | None:
    """Return the cells of the innermost lists that Python, numpy or torch printed, or None.

    Raises SubmissionError if some were left out.
    """
    text = " ".join(text.split())
    if listed := _TUPLE.fullmatch(text):
        text = f"[{listed[1]}]"
    opening = _OPENING.match(text)
    if not opening or not text.endswith(("]", ")")):
        return None
    text = _CLOSING.sub("]", _ARRAY.sub("[", f"[{text[opening.end() :]}"))
    if _INNERMOST.sub("", text).strip("[], "):
        return None
    cells = [inner.split("," if "," in inner else None) for inner in _INNERMOST.findall(text)]
    rows = [[cell.strip(" '\"").removesuffix("L") for cell in row] for row in cells]
    if any("..." in row for row in rows):
        raise SubmissionError(ONLY_ENDS)
    return [row for row in rows if any(row)] or None


def unframed(text: str) -> str:
    """Return a table on a screen without its frame and footer; the lines keep their numbers.

    psql, MySQL, sqlite, DuckDB, polars and Markdown draw frames, and R numbers the elements of a
    vector. Raises SubmissionError for a screen whose columns cannot be told apart.
    """
    if _WEKA.match(text):
        raise SubmissionError(
            "Weka's screen, whose columns have gaps: save the predictions as a table, with "
            "-classifications 'weka.classifiers.evaluation.output.prediction.CSV -file "
            "predictions.csv'"
        )
    if _R_VECTOR.match(text):
        text = _R_COUNT.sub("", text)
    text = text.rstrip()
    for _ in range(_MOST_FOOTERS):
        start = max(text.rfind("\n"), text.rfind("\r")) + 1
        if not start or not _FOOTER.fullmatch(text[start:].strip()):
            break
        text = text[:start].rstrip()
    head = text.split("\n", _SHOWN_LINES)[:_SHOWN_LINES]
    if not any(map(_is_frame, head)):
        return f"{text}\n"
    return "".join(f"{_inside(line)}\n" for line in text.splitlines())


def is_left_out(cells: Sequence[str]) -> bool:
    """Tell whether a row stands for others that were not printed."""
    return set(cells) <= ELLIPSIS


def _is_frame(line: str) -> bool:
    return any(dashes in line for dashes in _DASHES) and bool(_FRAME.fullmatch(line.strip()))


def _inside(line: str) -> str:
    if _is_frame(line):
        return ""
    return line.translate(_BARS).strip().removeprefix("|").removesuffix("|")
