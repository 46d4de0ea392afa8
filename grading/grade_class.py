"""A whole class: rows of earlier evaluations that still hold, and the sandbox for the rest.

Under torchrun each rank grades its part, and rank 0 collects the rows.
"""

import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from common.data.arrays import LabelledImages
from common.support import distributed
from common.support.errors import MachineError, UserError
from common.support.text import terminal_safe
from grading import document
from grading.grade import grade_all
from grading.intake.submission import Submission
from grading.preprocessing import Preprocessing
from grading.sandbox.portable.base import AnySandbox


def grade_class(
    submissions: list[Submission],
    test_set: LabelledImages,
    threshold: Fraction,
    preprocessing: Preprocessing,
    start_sandbox: Callable[[], AnySandbox],
    fields: dict[str, Any],
    output: Path,
    isolation: str,
    fresh: bool,
) -> document.GrowingEvaluation:
    """Grade what has no row yet; return an evaluation in which rank 0 has a row for each.

    ``threshold`` is in percent; ``fields`` are those of ``document.header``. Rows of an evaluation
    at ``output`` are taken over where they hold, unless all is to be graded ``fresh``.

    Raises UserError if this machine could not have some submissions read; the others have rows.
    """
    document.require_agreement(submissions, fields)
    apart = not distributed.is_main_process() or (fresh and output.exists())
    growing = document.GrowingEvaluation(output, fields, {}, apart)
    known = distributed.broadcast_from_main(
        lambda: document.take_over(growing, output, submissions, threshold, isolation, fresh)
    )
    left = document.left_for_this_rank(submissions, known)

    def start() -> AnySandbox:
        sandbox = start_sandbox()
        if sandbox.warning:
            print(sandbox.warning, file=sys.stderr)
        return sandbox

    if preprocessing.warning and distributed.is_main_process():
        print(preprocessing.warning, file=sys.stderr)
    initial = len(growing.rows)
    counts = Counter(row["status"] for row in growing.rows.values())
    with growing:
        with tqdm(total=initial + len(left), initial=initial, unit="file", disable=None) as bar:
            for index, row in grade_all(left, test_set, threshold, preprocessing, start):
                if isinstance(row, MachineError):
                    name = terminal_safe(submissions[index].name)
                    tqdm.write(f"{name}: {row}", file=sys.stderr)
                    continue
                growing.add(index, row)
                counts[row["status"]] += 1
                bar.set_postfix({s: counts[s] for s in ("pass", "fail", "error")}, refresh=False)
                bar.update()
        document.collect(growing)
        missing = len(submissions) - len(growing.rows)
        if missing and distributed.is_main_process():
            raise UserError(
                f"{missing} of {len(submissions)} submissions could not be read on this machine; "
                "the others have their rows: run the same command again, with --jobs 1 if need be"
            )
    return growing
