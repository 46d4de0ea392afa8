"""What the scripts print: data and results as text that a person likes to read."""

import contextlib
import sys
import unicodedata
from collections import Counter
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from common.data.pixels import decode_pixels
from common.support.text import quoted, shorten, terminal_safe
from evaluations.disclosure import is_rounded
from evaluations.words import (
    accuracy_text,
    accuracy_words,
    interval_words,
    p_text,
    preprocessing_text,
)

Row = dict[str, Any]

_NAME_WIDTH = 40
_NAMED = 10  # names that a line lists

# Percent. Where no run recognises that many of the changed images, none is the better one.
_RECOGNISED = 50

# Classes that there is room for, side by side and one below the other.
_ACROSS, _DOWN = 10, 20

INCOMPLETE = "Incomplete: the run was cut short; the same command of evaluate.py ends it"


def exploration(summary: Row) -> str:
    """Return the facts of ``data.splits.describe`` in a few lines, with an image of each class."""
    train, val = (summary["class_counts"][part][:_ACROSS] for part in ("train", "val"))
    shape = " x ".join(map(str, summary["image_shape"]))
    mean, std = summary["normalization"]
    lines = [
        f"{terminal_safe(summary['images'])}: {summary['train_size']:,} to train on, "
        f"{summary['val_size']:,} to validate on; each {shape}",
        f"pixels in [0, 1]: mean {summary['pixel_mean']:.4f}, "
        f"standard deviation {summary['pixel_std']:.4f}; normalised with {mean:.4f} and {std:.4f}",
        "",
        *_names_of_classes(summary["classes"]),
        "class   " + "".join(f"{label:8d}" for label in range(len(train))),
        "train   " + "".join(f"{count:8,d}" for count in train),
        "validate" + "".join(f"{count:8,d}" for count in val),
    ]
    drawn = [[" " * 7] * 4 for _ in train]
    for sample in summary["samples"]:
        if sample["class"] < len(drawn):
            drawn[sample["class"]] = _braille(decode_pixels(sample["pixels"]))
    # A console of Windows may not show braille.
    with contextlib.suppress(UnicodeEncodeError):
        str(drawn).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        lines += [" " * 8 + "".join(f" {part}" for part in row) for row in zip(*drawn, strict=True)]
    return "\n".join(lines) + "\n"


def _names_of_classes(classes: list[str]) -> list[str]:
    if len(classes) > _ACROSS:
        return [f"{len(classes)} classes, of which the first {_ACROSS} are:", ""]
    if classes == [str(label) for label in range(len(classes))]:
        return []
    return [", ".join(f"{label} {name}" for label, name in enumerate(classes)), ""]


def _braille(image: np.ndarray) -> list[str]:
    """Draw an image as 4 lines of 7 characters, each of which has 2 x 4 dots."""
    # Of other sizes than 28 x 28, the nearest pixels.
    nearest = np.arange(28) * len(image) // 28
    halved = image[np.ix_(nearest, nearest)].reshape(14, 2, 14, 2).mean(axis=(1, 3)) > 96
    dots = np.pad(halved, ((1, 1), (0, 0)))
    # Bit values of the dots in a Braille character: Unicode standard, block U+2800.
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    cells = dots.reshape(4, 4, 7, 2).transpose(0, 2, 1, 3)
    codes = (cells * bits).sum(axis=(2, 3))
    return ["".join(chr(0x2800 + code) for code in row) for row in codes]


def evaluation(document: Row) -> str:
    """Return an evaluation as tables: verdicts, then the details of one's own runs."""
    data, threshold = document["dataset"], document["threshold"]
    lines = [
        f"{terminal_safe(data['name'])}: {data['size']:,} images; threshold {threshold:.12g} %",
        "",
        *_verdict_table(document["results"], threshold),
    ]
    own = [row for row in document["results"] if row["own"] and row["status"] != "error"]
    if own:
        lines += ["", *_per_class_table(own, data), "", *_confusion_lines(own, data)]
    for pair in document["comparisons"]:
        a, b, p = pair["a"], pair["b"], p_text(pair["p_value"])
        only = f"only {a} recognises {pair['only_a']} images, only {b} {pair['only_b']}"
        lines += ["", f"{a} against {b}: {only}; p-value of McNemar's exact test: {p}"]
    return "\n".join(lines) + "\n"


def summary(evaluation: Row, title: str = "") -> str:
    """Return the accuracies of one's own runs, counts and the verdict, below a title."""
    threshold, rows = evaluation["threshold"], evaluation["results"]
    lines = [f"{terminal_safe(title)}:"] if title else []
    for row in rows:
        if row["own"] and row["status"] != "error":
            share = f"{accuracy_words(row, threshold)} of {row['total']:,} images"
            share += f" (95 % interval {interval_words(row)})"
            lines.append(f"{terminal_safe(row['name'])}: {share}")
    if evaluation.get("complete") is False:
        lines.append(INCOMPLETE)
    counts = Counter(row["status"] for row in rows)
    best = evaluation["best"]
    chosen = f"; the better model is {terminal_safe(best)}" if best else ""
    if any(not row["own"] for row in rows):
        ungraded = f", {counts['error']} could not be graded" if counts["error"] else ""
        lines.append(f"{counts['pass']} pass, {counts['fail']} fail{ungraded}")
    lines.append(f"Verdict: {counts['pass']} of {len(rows)} reached {threshold:.12g} %{chosen}")
    return "\n".join(lines) + "\n"


def choice(document: Row, path: Path) -> str:
    """Return which run was chosen, where it is saved, and where another one is better, if any."""
    best = next((row for row in document["results"] if row["name"] == document["best"]), None)
    if best is None:
        return ""
    name, validation = terminal_safe(best["name"]), best["validation"]
    accuracy = f"{validation['accuracy']:.2f} % of {validation['total']:,}"
    chosen = f"Best by validation accuracy: {name} ({accuracy}), saved as {path}"
    return "".join(f"{line}\n" for line in (chosen, beyond_test_set(document)) if line)


def beyond_test_set(document: Row) -> str:
    """Return a sentence on changed images that another run recognises better than the chosen one.

    Their 95 % intervals must not overlap, and the other one must recognise at least half of the
    images. Empty if no change is like that.
    """
    worse = []
    for row in document.get("robustness", {"corruptions": []})["corruptions"]:
        runs = {run["run"]: run for run in row["runs"]}
        best = runs.pop(document["best"], None)
        other = max(runs.values(), key=itemgetter("accuracy"), default=None)
        if not best or not other or other["accuracy"] < _RECOGNISED:
            continue
        if best["accuracy_ci95"][1] < other["accuracy_ci95"][0]:
            worse.append((other["accuracy"] - best["accuracy"], row["name"], best, other))
    if not worse:
        return ""
    _, most, best, other = max(worse, key=itemgetter(0))
    behind = [name for _, name, *_ in worse if name != most]
    also = f"; it also falls behind with {', '.join(behind)}" if behind else ""
    return terminal_safe(
        f"On changed images {best['run']} can be the worse model: with {most} it recognises "
        f"{best['accuracy']:.1f} % where {other['run']} recognises {other['accuracy']:.1f} %{also}."
    )


def verdict(document: Row, lost: int = 0, gradebook: str = "canvas.csv") -> str:
    """Return the last lines: how many passed, and the verdict on the chosen model, if any.

    ``lost`` submissions could not be put into the platform's file ``gradebook``.
    """
    rows, percent = document["results"], f"{document['threshold']:.12g} %"
    counts = Counter(row["status"] for row in rows)
    line = f"{counts['pass']} of {len(rows)} reached {percent}"
    if counts["error"]:
        line += f"; {counts['error']} could not be graded"
    if lost:
        submissions = "submission" if lost == 1 else "submissions"
        line += f"; {lost} {submissions} could not be put into {gradebook} (listed above)"
    best = next((row for row in rows if row["name"] == document["best"]), None)
    if best is None:
        return line
    accuracy = accuracy_text(best["accuracy"], document["threshold"])
    word = "✓ SUCCESS" if best["status"] == "pass" else "✗ FAILURE"
    return f"{line}\n{word}: Model achieved {accuracy}% accuracy (threshold {percent})"


def _verdict_table(results: list[Row], threshold: float) -> list[str]:
    ranked = any(row.get("rank") for row in results)
    if ranked:
        results = sorted(results, key=lambda row: (row["rank"] is None, row["rank"]))
    names = [shorten(terminal_safe(row["name"]), _NAME_WIDTH) for row in results]
    width = max(map(_columns, ["name", *names]))
    rank = "rank  " if ranked else ""
    columns = f"accuracy   95 % interval  {'correct':>13}    loss  parameters"
    head = f"{rank}{'name':{width}}  verdict  {columns}"
    lines = [head, "-" * len(head)]
    for name, row in zip(names, results, strict=True):
        start = f"{name}{' ' * (width - _columns(name))}  {row['status'].upper():7}"
        if ranked:
            start = f"{row['rank'] or '':>4}  {start}"
        lines.append(start + _figures(row, threshold))
        lines += [f"{' ' * (width + ranked * 6)}  ! {remark}" for remark in remarks(row)]
    return lines


def _figures(row: Row, threshold: float) -> str:
    if row["status"] == "error":
        return f"  {terminal_safe(row['reason'])}"
    parameters = "" if row["parameters"] is None else f"{row['parameters']:,}"
    if is_rounded(row):
        return f"  {accuracy_words(row, threshold):43}  {parameters:>10}".rstrip()
    low, high = row["accuracy_ci95"]
    correct = f"{row['correct']:,}/{row['total']:,}"
    loss = "" if row["loss"] is None else f"{row['loss']:.4f}"
    share = f"{accuracy_words(row, threshold):>8}  {low:6.2f} - {high:6.2f}"
    return f"  {share}  {correct:>13}  {loss:>6}  {parameters:>10}".rstrip()


def remarks(row: Row) -> list[str]:
    """Return what an instructor should see beside a row's verdict, which it never changes."""
    found = []
    if row.get("late"):
        found.append(f"late: {row['submitted_at']}" if row.get("submitted_at") else "late")
    if row.get("claim_differs"):
        claim = row["claimed_accuracy"]
        found.append(f"claims {claim:.2f} %" if abs(claim) < 1e6 else f"claims {claim:.2g} %")
    if row.get("suspicious"):
        found.append("beyond any published network: these images' labels are public")
    twins = row.get("duplicate_of", [])
    if twins:
        others = row.get("duplicates", len(twins)) - 1
        more = f" and {others} more" if others > 0 else ""
        found.append(f"same as {shorten(terminal_safe(twins[0]), _NAME_WIDTH)}{more}")
    if measured := preprocessing_text(row.get("preprocessing")):
        found.append(f"measured with {measured}")
    if row.get("notes"):
        found.append(terminal_safe(row["notes"]))
    return found


def left_out(litter: list[str], dropped: list[str]) -> str:
    """Return lines that name what has no row: nobody's files, and rows of an earlier command."""
    said = {
        "Left out, since nobody hands it in": litter,
        "Replaced, and not among these submissions (--output keeps two classes apart)": dropped,
    }
    return "".join(f"{named(what, names)}\n" for what, names in said.items() if names)


def named(what: str, names: list[str]) -> str:
    """Return a line that lists names, each once."""
    counts = Counter(names)
    shown = [f"{quoted(name)}{f' ({n} times)' * (n > 1)}" for name, n in counts.items()]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return f"{what}: {', '.join(shown[:_NAMED])}{more}"


def _columns(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _per_class_table(own: list[Row], data: Row) -> list[str]:
    noun, labels = data["noun"], data["classes"]
    rows = own[0]["per_class"]
    title = f"Accuracy by {noun}, percent, with its 95 % interval"
    if len(rows) > _DOWN:
        known = [row for row in rows if row["total"]]
        rows = sorted(known, key=itemgetter("accuracy"))[:_DOWN]
        title += f", the {len(rows)} lowest of {terminal_safe(own[0]['name'])}"
    width = max(map(len, [noun, *labels]))
    names = "".join(f"{terminal_safe(row['name']):>24}" for row in own)
    lines = [f"{title}:", "", f"{noun:{width}}  images{names}"]
    for first in rows:
        cells = "".join(_accuracy_cell(row["per_class"][first["class"]]) for row in own)
        lines.append(f"{labels[first['class']]:>{width}}  {first['total']:6,}{cells}")
    return lines


def _accuracy_cell(entry: Row) -> str:
    if entry["accuracy"] is None:
        return f"{'-':>8}{'':16}"
    low, high = entry["accuracy_ci95"]
    return f"{entry['accuracy']:8.2f}  {low:6.2f} - {high:5.2f}"


def _confusion_lines(own: list[Row], data: Row) -> list[str]:
    labels = data["classes"]
    if all(row["correct"] == row["total"] for row in own):
        return ["No errors."]
    lines = ["Errors as true > predicted:", ""]
    kinds = {"most frequent": "most_confused", "named pairs": "named_confusions"}
    for row, (title, key) in product(own, kinds.items()):
        pairs = [f"{labels[e['true']]} > {labels[e['predicted']]} {e['count']:2}" for e in row[key]]
        if pairs:
            lines.append(f"  {terminal_safe(row['name'])}, {title}: {',  '.join(pairs)}")
    return lines
