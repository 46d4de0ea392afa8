"""evaluation.json: what is in it, how it grows while a class is graded, and which rows still hold.

Under torchrun each rank keeps its rows in a file of its own until rank 0 has collected them.
"""

import contextlib
import hashlib
import platform
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common.data.arrays import LabelledImages
from common.support import distributed
from common.support.cli import Stopped, command_line
from common.support.errors import UserError
from common.support.files import read_json, write_json
from common.support.text import json_text
from grading.grade import reuse_rows
from grading.intake.journal import CONDITIONS, Journal, journals_of, read_journal
from grading.intake.rows import WALLS, Row, isolation_of
from grading.intake.submission import Submission

_REPO = Path(__file__).resolve().parents[1]

# The code of common/ and grading/ that can change no row, so that rows hold whatever it does. It is
# left out by name: what nobody thought of is then in the checksum, and at worst a class is graded
# once more than it need be.
_BEHIND_NO_ROW = (
    *("grading/document.py", "grading/gradebooks/", "common/data/splits.py"),
    *("grading/flags.py", "common/checkpoints.py"),
    *("common/loops.py", "common/runs.py", "common/support/cli.py"),
    *("common/support/distributed.py", "common/support/environment.py"),
    *("evaluations/schemas.py", "evaluations/validation.py", "evaluations/disclosure.py"),
    *("evaluations/names.py", "evaluations/words.py"),
)


def header(
    test_set: LabelledImages,
    threshold: Fraction,
    versions: dict[str, str],
    output: Path,
    **more: object,
) -> dict[str, Any]:
    """Return everything in an evaluation but its rows and what follows from them."""
    dataset = test_set.dataset
    return {
        "command": command_line(),
        "output": json_text(output),
        "threshold": float(threshold),
        "dataset": {
            "name": test_set.name,
            "size": len(test_set),
            "md5": test_set.md5,
            "key": dataset.key,
            "title": dataset.title,
            "classes": list(dataset.classes),
            "noun": dataset.noun,
            "normalization": list(dataset.normalization),
            "public": test_set.is_public,
        },
        "best": None,
        "comparisons": [],
        "versions": versions,
        **more,
    }


def grading_versions(preprocessing: str, models: Path | None) -> dict[str, str]:
    """Return the versions of what decides whether a submission can be read, and how.

    ``grader`` is a checksum of the code behind a row: rows of another version of it do not hold,
    nor do those of another ``--preprocessing`` or of other ``--models``.
    """
    code = hashlib.sha256()
    rooms = ("common", "evaluations", "grading")
    for path in sorted(path for room in rooms for path in _REPO.glob(f"{room}/**/*.py")):
        if not path.relative_to(_REPO).as_posix().startswith(_BEHIND_NO_ROW):
            code.update(path.read_bytes())
    found = {"python": platform.python_version(), "grader": code.hexdigest()[:12]}
    found["preprocessing"] = preprocessing
    if models is not None:
        found["models"] = hashlib.sha256(models.read_bytes()).hexdigest()[:12]
    for package in ("torch", "numpy", "safetensors", "onnxruntime", "h5py"):
        with contextlib.suppress(PackageNotFoundError):  # the last three are optional
            found[package] = version(package)
    return found


def earlier_rows(path: Path, current: dict[str, Any], isolation: str) -> list[Row]:
    """Return the rows at ``path``, an evaluation or a journal, that hold under ``current``.

    That is the header of the evaluation that is being made.
    Rows hold for the same images and versions; those in error also need the same limits. None holds
    that may have been this machine's fault, or was measured under a weaker ``isolation``, which for
    "auto" is "none".
    """
    # Imported here, since it loads pydantic, which a first grading has no use for.
    from evaluations.validation import row_problem

    keys = (*CONDITIONS, "results")
    try:
        is_journal = path.match("*.rows*.jsonl")
        earlier = read_journal(path) if is_journal else read_json(path, required=keys)
    except UserError:
        return []  # there is none, or none that this code wrote
    if not earlier.keys() >= {*keys}:
        return []
    same = all(earlier[key] == current[key] for key in ("dataset", "versions"))
    threshold, rows = earlier["threshold"], earlier["results"]
    if not same or type(threshold) is not float or not isinstance(rows, list):
        return []
    size, num_classes = current["dataset"]["size"], len(current["dataset"]["classes"])
    strong_enough = WALLS[WALLS.index("process" if isolation == "auto" else isolation) :]
    same_limits = earlier["limits"] == current["limits"]
    return [
        row
        for row in rows
        if row_problem(row, threshold, num_classes) is None
        and not row["own"]
        and row.keys() >= {"sha256", "isolation"}
        and not row.get("try_again")
        and (same_limits if row["status"] == "error" else row["total"] == size)
        and row["isolation"] in strong_enough
    ]


class GrowingEvaluation:
    """Rows of a grading under way, by number: each is written at once, to the journal.

    They are joined into the evaluation at the end. Used as a context manager, it joins them too
    when a signal or what this machine lacks ends the script, but for rows that are ``apart``: those
    of other ranks than 0, and those of a fresh grading, which would replace an earlier evaluation.
    ``fields`` is what ``header`` returns.
    """

    def __init__(
        self, path: Path, fields: dict[str, Any], rows: dict[int, Row], apart: bool = False
    ) -> None:
        self.path, self.fields, self.rows, self.apart = path, fields, rows, apart
        self.journal = Journal(path, fields)

    def __enter__(self) -> "GrowingEvaluation":
        return self

    def __exit__(self, kind: type | None, exception: BaseException | None, trace: object) -> None:
        self.journal.close()
        if isinstance(exception, Stopped | UserError) and not self.apart:
            self.save()
        if isinstance(exception, Stopped):
            done = "the rows so far are saved"
            exception.advice = f"{done}, and the same command without --fresh goes on"

    def add(self, index: int, row: Row) -> None:
        """Add a row, and write it."""
        self.rows[index] = row
        self.journal.append(row)

    def in_order(self) -> list[Row]:
        """Return the rows by number."""
        return [self.rows[index] for index in sorted(self.rows)]

    def save(self, complete: bool = False) -> dict[str, Any]:
        """Write all rows so far into the evaluation, and return that."""
        rows = self.in_order()
        document = {**self.fields, "complete": complete, "results": rows}
        document["isolation"] = isolation_of(rows)
        write_json(self.path, document)
        self.journal.remove()
        return document


def require_agreement(submissions: list[Submission], fields: dict[str, Any]) -> None:
    """Refuse to grade if this process does not see what rank 0 sees.

    Raises UserError if submissions, test images, limits or versions differ.
    """
    names = [submission.name for submission in submissions]
    seen = names, [fields[key] for key in ("dataset", "limits", "versions")]
    if distributed.broadcast_from_main(lambda: seen) != seen:
        raise UserError(
            "the submissions, the test images or the versions are not those of rank 0: all "
            "machines need the same code, packages and files"
        )


def take_over(
    growing: GrowingEvaluation,
    output: Path,
    submissions: list[Submission],
    threshold: Fraction,
    isolation: str,
    fresh: bool,
) -> dict[int, Row]:
    """Return the rows of earlier runs that still hold, whatever number of ranks wrote them.

    All ranks are about to begin new journals, so the rows of the old ones are saved first. After a
    restart by torchrun, rows that count as ``fresh`` are in those. Until the end, the evaluation
    says that it is not complete.
    """
    journals = journals_of(output)
    paths = [output, *journals]
    if fresh:
        paths = journals if distributed.is_restarted() else []
    earlier = [row for path in paths for row in earlier_rows(path, growing.fields, isolation)]
    growing.rows |= reuse_rows(submissions, earlier, threshold)
    if growing.apart:
        growing.journal.begin(growing.in_order())
    elif journals or len(growing.rows) < len(submissions):
        growing.save()
    for path in journals:
        if path != growing.journal.path:
            path.unlink()
    return growing.rows


def left_for_this_rank(
    submissions: list[Submission], known: dict[int, Row]
) -> dict[int, Submission]:
    """Return what this process has to grade, by number: its part of what has no row yet."""
    left = [item for item in enumerate(submissions) if item[0] not in known]
    return dict(left[distributed.rank() :: distributed.world_size()])


def collect(growing: GrowingEvaluation) -> None:
    """Wait until all ranks have graded their parts; rank 0 then has all rows."""
    for rows in distributed.gather_on_main(growing.rows):
        growing.rows |= rows


def finish(growing: GrowingEvaluation) -> dict[str, Any]:
    """Write the whole evaluation, and return it; the journals of all ranks go."""
    evaluation = growing.save(complete=True)
    for path in journals_of(growing.path):
        path.unlink()
    return evaluation


def no_longer_in(output: Path, submissions: list[Submission]) -> list[str]:
    """Return the names in the evaluation at ``output`` of what is not graded this time."""
    try:
        rows = read_json(output, required=("results",))["results"]
        names = [row["name"] for row in rows if not row["own"]]
    except (UserError, TypeError, KeyError):
        return []  # there is none, or none that this code wrote
    graded = {submission.name for submission in submissions}
    return [name for name in names if isinstance(name, str) and name not in graded]
