"""Grade the submission in Gradescope's layout, and write results/results.json.

Started by run_autograder. What is printed is for instructors alone. No code of a student is run.
"""

import json
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from common.data.arrays import LabelledImages
from common.data.catalog import DATASETS
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, MachineError
from common.support.files import atomic_write
from evaluations.disclosure import disclosed_row
from grading import document
from grading.grade import grade_all
from grading.gradebooks.feedback import gradescope_results
from grading.intake.rows import Row
from grading.intake.submission import Submission
from grading.preprocessing import Preprocessing, choose_preprocessing
from grading.sandbox.client import Sandbox
from grading.test_sets import load_test_set, threshold_of
from reporting import terminal

SOURCE = Path(__file__).resolve().parents[2]


class Grader:
    """All that settings.json says, loaded: test images, threshold, preprocessing, limits."""

    def __init__(self, settings: dict[str, Any]) -> None:
        spec, data_dir = DATASETS[settings["dataset"]], SOURCE / "data"
        path = settings["test_set"] and SOURCE / settings["test_set"]
        self.test_set: LabelledImages = load_test_set(spec, data_dir, path)
        self.threshold: Fraction = threshold_of(spec, settings["threshold"])
        recipe = self.test_set.dataset.normalization
        self.preprocessing: Preprocessing = choose_preprocessing(
            settings["preprocessing"], spec, data_dir, recipe
        )
        self.models = settings["models"] and SOURCE / settings["models"]
        self.limits = (round(settings["memory"] * 2**30), settings["timeout"])

    def start_sandbox(self) -> Sandbox:
        """Start what reads the submission: in bubblewrap if that works, else under limits alone."""
        memory, timeout = self.limits
        preprocessing = self.preprocessing
        return Sandbox(self.test_set, "auto", memory, timeout, 1, preprocessing, self.models)

    def grade(self, folder: Path) -> Row:
        """Return the row of the one submission that the folder is. Raises MachineError."""
        submission = Submission("submission", folder, folder)
        rows = grade_all(
            {0: submission}, self.test_set, self.threshold, self.preprocessing, self.start_sandbox
        )
        row = dict(rows)[0]
        if isinstance(row, MachineError):
            raise row
        return row


def main() -> int:
    """Grade, write, print."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("root", nargs="?", type=Path, help="the folder /autograder")
    parser.add_argument("--check", action="store_true", help="only see that grading can start")
    args = parser.parse_args()
    grader = Grader(json.loads((SOURCE / "settings.json").read_text(encoding="utf-8")))
    if args.check:
        with grader.start_sandbox() as sandbox:
            print(f"Grading can start: {grader.test_set.name}, isolation {sandbox.isolation}")
        return ALL_PASSED
    row = grader.grade(args.root / "submission")
    results = args.root / "results" / "results.json"
    shown = row if grader.test_set.is_public else disclosed_row(row)
    atomic_write(results, gradescope_results(shown, float(grader.threshold)).encode())
    for_instructors(row, grader, args.root, results)
    return ALL_PASSED


def for_instructors(row: Row, grader: Grader, root: Path, results: Path) -> None:
    """Print what students do not see: remarks, times, and the whole row."""
    versions = document.grading_versions(grader.preprocessing.rule, grader.models)
    fields = document.header(grader.test_set, grader.threshold, versions, results)
    print(terminal.evaluation({**fields, "results": [row]}))
    print(when_handed_in(root / "submission_metadata.json"))
    print(json.dumps({**row, "misclassified": []}))


def when_handed_in(metadata: Path) -> str:
    """Return when the submission came and when it was due, as Gradescope's metadata has it."""
    try:
        content = json.loads(metadata.read_text(encoding="utf-8"))
        created, due = content["created_at"], content["assignment"]["due_date"]
        for user in content["users"]:  # who has an extension has a due date of their own
            due = user.get("assignment", {}).get("due_date", due)
        if due is None:
            return f"Handed in {datetime.fromisoformat(created)}; there is no due date."
        late = datetime.fromisoformat(created) > datetime.fromisoformat(due)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return f"No time of the submission: {metadata.name} cannot be read ({type(error).__name__})"
    return f"Handed in {created}, due {due}: {'late' if late else 'in time'}."


if __name__ == "__main__":
    run_script(main)
