"""Prediction files, accepted and not."""

import numpy as np

from tests.grading.corpus import SEED


def fill(folder, targets):
    """Prediction files: each accepted form, each fault, and the two sides of the threshold."""
    size = len(targets)
    rows = [f"{number},{label}" for number, label in enumerate(targets, start=1)]
    wrong = [f"{number},{(label + 1) % 10}" for number, label in enumerate(targets, start=1)]
    expected = {}

    def add(name, lines, status, reason=None, newline="\n", head="ImageId,Label", start=""):
        text = start + newline.join([head, *lines] if head else lines) + newline
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        expected[name] = (status, reason)

    def changed(number, line):
        return [*rows[: number - 1], line, *rows[number:]]

    add("perfect.csv", rows, "pass")
    add("windows.csv", rows, "pass", newline="\r\n", start="\ufeff")
    add("headless.csv", rows, "pass", head="")
    shuffled = np.random.default_rng(SEED).permutation(rows).tolist()
    add("shuffled.csv", shuffled, "pass", head="imageid, label")
    add("quoted.csv", [f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in rows], "pass")
    at = size * 8 // 10  # the corpus is graded against a threshold of 80 %
    add("at.csv", [*rows[:at], *wrong[at:]], "pass")
    add("below.csv", [*rows[: at - 1], *wrong[at - 1 :]], "fail")
    add("constant.csv", [f"{number},1" for number in range(1, size + 1)], "fail")
    add(
        "short.csv",
        rows[:-3],
        "error",
        f"{size - 3:,} rows of predictions, expected {size:,}; id {size - 2}",
    )
    add("long.csv", [*rows, f"{size + 1},3"], "error", f"{size + 1:,} rows")
    add("twice.csv", changed(5, "4,1"), "error", "line 6: id 4 was on line 5 already; id 5 is miss")
    add("zero-id.csv", changed(1, "0,1"), "error", f"line 2: id '0' is not 1 to {size}")
    add("label10.csv", changed(2, "2,10"), "error", "line 3: label '10' is not 0 to 9")
    add("float.csv", [f"{row}.0" for row in rows], "pass")
    add(
        "fraction.csv",
        changed(2, "2,7.5"),
        "error",
        "label '7.5' is not a whole number from 0 to 9",
    )
    add("unicode.csv", changed(2, "2,\u0663"), "error", "is not 0 to 9")
    add("blank.csv", changed(2, "2,"), "error", "label '' is not 0 to 9")
    add("extra.csv", [f"{row},1" for row in rows], "error", "has 3 cells, expected 2")
    add("semicolon.csv", [r.replace(",", ";") for r in rows], "pass", head="")
    add("formula.csv", changed(2, "2,=1+1"), "error", "label '=1+1' is not 0 to 9")
    add("swapped.csv", rows, "error", "the first line is 'Label,ImageId'", head="Label,ImageId")
    add("many.csv", [f"{n},x" for n in range(1, size + 1)], "error", f"; and {size - 5:,} more")
    add("latin.csv", changed(2, "2,\udce9"), "error", "not a text file in UTF-8")
    add("quote.csv", changed(2, '2,"3'), "error", "is not CSV")
    add("cell.csv", changed(2, "2," + "9" * 200_000), "error", "is not CSV")
    add("header.csv", [], "error", f"0 rows of predictions, expected {size:,}")
    return expected
