"""evaluation.json: what is in it, how it grows while a class is graded, and when it still holds."""

import contextlib
import hashlib
import platform
import time
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common.arguments import command_line
from common.errors import UserError
from common.files import read_json, readable, write_json
from common.reference import ReferenceSet
from common.signals import Stopped

# Of the time, the share that may go into writing a file that holds all rows so far.
_WRITING_SHARE = 0.05


def header(
    reference: ReferenceSet,
    threshold: Fraction,
    versions: dict[str, str],
    output: Path,
    **more: object,
) -> dict[str, Any]:
    """Return everything in an evaluation but its rows and what follows from them."""
    return {
        "command": command_line(),
        "output": readable(output),
        "threshold": float(threshold),
        "dataset": _description(reference),
        "best": None,
        "comparisons": [],
        "versions": versions,
        **more,
    }


def _description(reference: ReferenceSet) -> dict[str, Any]:
    image_set = reference.image_set
    return {
        "name": reference.name,
        "size": reference.size,
        "md5": reference.md5,
        "key": image_set.key,
        "title": image_set.title,
        "classes": list(image_set.classes),
        "noun": image_set.noun,
        "normalization": list(image_set.normalization),
    }


def grading_versions() -> dict[str, str]:
    """Return the versions of what decides whether a submission can be read, and how.

    ``grader`` is a checksum of this package: rows of another version of it do not hold.
    """
    found = {"python": platform.python_version(), "grader": _checksum_of_this_package()}
    for package in ("torch", "numpy", "safetensors", "onnxruntime"):
        with contextlib.suppress(PackageNotFoundError):  # the last two are optional
            found[package] = version(package)
    return found


def _checksum_of_this_package() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def earlier_rows(path: Path, current: dict[str, Any], isolation: str) -> list[dict[str, Any]]:
    """Return the rows of an evaluation at ``path`` that hold under the header ``current``.

    Rows hold for the same images and versions; those in error also need the same limits. Where
    ``isolation`` is "bubblewrap", rows measured without it do not hold.
    """
    try:
        earlier = read_json(path, required=("dataset", "versions", "limits", "results"))
    except UserError:
        return []  # there is none, or none that this code wrote
    same = all(earlier[key] == current[key] for key in ("dataset", "versions"))
    if not same or not isinstance(earlier["results"], list):
        return []
    same_limits = earlier["limits"] == current["limits"]
    return [
        row
        for row in earlier["results"]
        if _is_sound(row, current["dataset"]["size"])
        and (same_limits or row["status"] != "error")
        and (isolation != "bubblewrap" or row.get("isolation") == "bubblewrap")
    ]


def _is_sound(row: object, size: int) -> bool:
    """Tell whether a row is one that the process which grades could have written."""
    if not isinstance(row, dict) or row.get("own") is not False:
        return False
    if not all(isinstance(row.get(key), str) for key in ("sha256", "kind", "status", "isolation")):
        return False
    if row["status"] == "error":
        return isinstance(row.get("reason"), str)
    correct, total = row.get("correct"), row.get("total")
    return type(correct) is int and total == size and row.get("accuracy") == 100 * correct / size


def isolation_of(rows: list[dict[str, Any]]) -> str | None:
    """Return the weakest isolation that a row was measured under; None if no file was read."""
    found = {row["isolation"] for row in rows if "isolation" in row}
    return "process" if "process" in found else next(iter(found), None)


class GrowingEvaluation:
    """Writes an evaluation again and again as its rows come in, so that a killed run loses little.

    Each file is whole, and says by ``complete`` whether it is the last one. Writing pauses so that
    it takes a twentieth of the time, however many rows there are; who uses it as a context manager
    finds all of them in the file after a signal.

    Parameters
    ----------
    path : Path
    fields : dict
        Of ``header``.
    rows : dict
        By number, those that are known already.
    """

    def __init__(self, path: Path, fields: dict[str, Any], rows: dict[int, dict[str, Any]]) -> None:
        self.path, self.fields, self.rows = path, fields, rows
        self.next_time = 0.0

    def __enter__(self) -> "GrowingEvaluation":
        return self

    def __exit__(self, kind: type | None, exception: BaseException | None, trace: object) -> None:
        if isinstance(exception, Stopped):
            self.save()
            exception.advice = "the rows so far are saved, and the same command goes on"

    def add(self, index: int, row: dict[str, Any]) -> None:
        """Add a row, and write all so far unless that was done a moment ago."""
        self.rows[index] = row
        started = time.monotonic()
        if started >= self.next_time:
            self.save()
            ended = time.monotonic()
            self.next_time = ended + (ended - started) / _WRITING_SHARE

    def in_order(self) -> list[dict[str, Any]]:
        """Return the rows by number."""
        return [self.rows[index] for index in sorted(self.rows)]

    def save(self) -> None:
        """Write all rows so far."""
        self._write(self.in_order(), complete=False)

    def write(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Write the finished evaluation, and return it."""
        return self._write(rows, complete=True)

    def _write(self, rows: list[dict[str, Any]], complete: bool) -> dict[str, Any]:
        document = {
            **self.fields,
            "complete": complete,
            "results": rows,
            "isolation": isolation_of(rows),
        }
        write_json(self.path, document)
        return document
