"""What several ranks grade of one class: each keeps its rows in a file, the first collects them."""

import glob
from fractions import Fraction
from pathlib import Path
from typing import Any

from common import ranks
from common.errors import UserError
from common.evaluations import GrowingEvaluation, earlier_rows
from common.grading import Row, reuse_rows
from common.submissions import Submission


def path_of_this_rank(output: Path) -> Path:
    """Return where this process keeps its rows: the first one in the evaluation itself."""
    if ranks.is_first():
        return output
    return output.with_name(f"{output.stem}.rank-{ranks.share().rank}{output.suffix}")


def require_agreement(submissions: list[Submission], fields: dict[str, Any]) -> None:
    """Refuse to grade where this process and the first one do not see the same.

    Raises
    ------
    UserError
        If submissions, test images, limits or versions differ.
    """
    names = [submission.name for submission in submissions]
    seen = names, [fields[key] for key in ("dataset", "limits", "versions")]
    if ranks.from_first(lambda: seen) != seen:
        raise UserError(
            "the submissions, the test images or the versions are not those of the first rank: all "
            "machines need the same code, packages and files"
        )


def take_over(
    growing: GrowingEvaluation,
    submissions: list[Submission],
    threshold: Fraction,
    isolation: str,
    fresh: bool,
) -> dict[int, Row]:
    """Return the rows of earlier runs that still hold, whatever number of ranks wrote them.

    Other ranks are about to write their files anew, so what is in those is saved in the evaluation
    before they do. After a restart by torchrun, rows that count as ``fresh`` are there already.
    """
    parts = _beside(growing.path)
    paths = [] if fresh and not ranks.is_restarted() else [growing.path, *parts]
    earlier = [row for path in paths for row in earlier_rows(path, growing.fields, isolation)]
    growing.rows |= reuse_rows(submissions, earlier, threshold)
    if parts:
        growing.save()
        remove(growing.path)
    return growing.rows


def share_of(submissions: list[Submission], known: dict[int, Row]) -> dict[int, Submission]:
    """Return what this process has to grade, by number: its share of what has no row yet."""
    left = [index for index in range(len(submissions)) if index not in known]
    rank, number = ranks.share()
    return {index: submissions[index] for index in left[rank::number]}


def collect(growing: GrowingEvaluation) -> None:
    """Wait until all ranks have graded their shares; the first one then has all rows."""
    if ranks.share().number > 1:
        growing.save()
    for rows in ranks.gathered(growing.rows):
        growing.rows |= rows


def remove(output: Path) -> None:
    """Remove the files of the other ranks, whose rows are in the evaluation."""
    for path in _beside(output):
        path.unlink(missing_ok=True)


def _beside(output: Path) -> list[Path]:
    pattern = f"{glob.escape(output.stem)}.rank-*{glob.escape(output.suffix)}"
    return sorted(output.parent.glob(pattern))
