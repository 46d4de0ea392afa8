"""What the scripts print: data and results as text that a person likes to read."""

import unicodedata
from typing import Any

import numpy as np

from common.pixels import decode_pixels

_NAME_WIDTH = 40


def printable(text: str) -> str:
    """Return ``text`` with everything that could move the cursor or reorder a line escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def exploration(summary: dict[str, Any]) -> str:
    """Return the facts of ``common.data.describe`` in a few lines, with a digit of each class."""
    train, val = summary["class_counts"]["train"], summary["class_counts"]["val"]
    shape = " x ".join(map(str, summary["image_shape"]))
    lines = [
        f"{summary['name']}: {summary['train_size']:,} images to train on, "
        f"{summary['val_size']:,} to validate on; each {shape}",
        f"pixels in [0, 1]: mean {summary['pixel_mean']:.4f}, "
        f"standard deviation {summary['pixel_std']:.4f}",
        "",
        "class   " + "".join(f"{digit:8d}" for digit in range(len(train))),
        "train   " + "".join(f"{count:8,d}" for count in train),
        "validate" + "".join(f"{count:8,d}" for count in val),
    ]
    digits = [_braille(decode_pixels(sample["pixels"])) for sample in summary["samples"]]
    lines += ["        " + "".join(f" {part}" for part in row) for row in zip(*digits, strict=True)]
    return "\n".join(lines) + "\n"


def _braille(image: np.ndarray) -> list[str]:
    """Draw an image [28, 28] as 4 lines of 7 characters, each of which has 2 x 4 dots."""
    halved = image.reshape(14, 2, 14, 2).mean(axis=(1, 3)) > 96
    dots = np.zeros((16, 14), dtype=bool)
    dots[1:15] = halved
    # Bit values of the dots in a Braille character: Unicode standard, block U+2800.
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    cells = dots.reshape(4, 4, 7, 2).transpose(0, 2, 1, 3)
    codes = (cells * bits).sum(axis=(2, 3))
    return ["".join(chr(0x2800 + code) for code in row) for row in codes]


def evaluation(document: dict[str, Any]) -> str:
    """Return an evaluation as tables: verdicts, then the details of one's own runs."""
    data = document["dataset"]
    lines = [
        f"{data['name']}: {data['size']:,} images; threshold {document['threshold']:g} %",
        "",
        *_verdict_table(document["results"]),
    ]
    own = [row for row in document["results"] if row["own"] and row["status"] != "error"]
    if own:
        lines += ["", *_per_class_table(own), "", *_confusion_lines(own)]
    for pair in document["comparisons"]:
        lines += [
            "",
            f"{pair['a']} against {pair['b']}: only {pair['a']} recognises {pair['only_a']} "
            f"images, only {pair['b']} {pair['only_b']}; McNemar's exact p = {pair['p_value']:.2g}",
        ]
    return "\n".join(lines) + "\n"


def _verdict_table(results: list[dict[str, Any]]) -> list[str]:
    names = [_shorten(printable(row["name"])) for row in results]
    width = max(map(_columns, ["name", *names]))
    head = (
        f"{'name':{width}}  verdict  accuracy   95 % interval  {'correct':>13}    loss  parameters"
    )
    lines = [head, "-" * len(head)]
    for name, row in zip(names, results, strict=True):
        start = f"{name}{' ' * (width - _columns(name))}  {row['status'].upper():7}"
        if row["status"] == "error":
            lines.append(f"{start}  {printable(row['reason'])}")
            continue
        low, high = row["accuracy_ci95"]
        lines.append(
            f"{start}  {row['accuracy']:6.2f} %  {low:6.2f} - {high:6.2f}  "
            f"{row['correct']:,}/{row['total']:,}".ljust(width + 49)
            + f"  {row['loss']:6.4f}  {row['parameters']:10,}"
        )
        if row["claim_differs"]:
            lines.append(f"{'':{width}}  ! claims {row['claimed_accuracy']:.2f} %")
    return lines


def _shorten(text: str) -> str:
    return text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 1] + "…"


def _columns(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _per_class_table(own: list[dict[str, Any]]) -> list[str]:
    lines = ["Accuracy by digit, percent, with its 95 % interval:", ""]
    lines.append("digit  images" + "".join(f"{printable(row['name']):>24}" for row in own))
    for digit, first in enumerate(own[0]["per_class"]):
        cells = ""
        for row in own:
            entry = row["per_class"][digit]
            low, high = entry["accuracy_ci95"]
            cells += f"{entry['accuracy']:8.2f}  {low:6.2f} - {high:5.2f}"
        lines.append(f"{digit:5}  {first['total']:6,}{cells}")
    return lines


def _confusion_lines(own: list[dict[str, Any]]) -> list[str]:
    lines = ["Errors as truth > answer:", ""]
    for row in own:
        for title, key in (("most frequent", "most_confused"), ("named pairs", "named_confusions")):
            pairs = ",  ".join(f"{e['truth']} > {e['answer']} {e['count']:2}" for e in row[key])
            lines.append(f"  {printable(row['name'])}, {title}: {pairs}")
    return lines
