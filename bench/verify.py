"""Check that what lies in runs/ hangs together: files, evaluation and report are of one piece.

Checksums of every checkpoint and metrics.json against those in the evaluation, the test accuracy
against one measured anew, the better model against the run it was chosen from, and the report
against the files that it says it was rendered from. Ends with 1 if anything does not fit.
"""

import hashlib
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from common.arguments import ArgumentParser
from common.checkpoints import load_checkpoint
from common.errors import ALL_PASSED, SOME_FAILED, SubmissionError, UserError, run_script
from common.files import read_json
from common.image_sets import IMAGE_SETS, ImageSet
from common.own_runs import batches_of, measure_run
from common.reference import public_test_set, resolve

# Of each own run's row: what follows from the checkpoint and the test images alone.
_MEASURED = ("status", "sha256", "metrics_sha256", "correct", "total", "confusion_matrix")

Check = tuple[str, bool]


def checksum(path: Path) -> str:
    """Return the SHA-256 sum of a file, or why there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)


def check_runs(
    evaluation: dict[str, Any], folder: Path, image_set: ImageSet, data_dir: Path
) -> Iterator[Check]:
    """Measure each run anew and compare with its row."""
    reference = public_test_set(image_set, data_dir)
    if evaluation["dataset"].get("md5") != reference.md5:
        raise UserError(f"the evaluation was made on other images than {reference.name}")
    batches = batches_of(reference, torch.device("cpu"))
    threshold = Fraction(str(evaluation["threshold"]))
    for row in evaluation["results"]:
        place = folder / row["name"]
        anew = measure_run(place, reference, batches, threshold).row
        for key, what in (("sha256", "checkpoint.pth"), ("metrics_sha256", "metrics.json")):
            yield f"{place / what} is the file that was measured", anew.get(key) == row.get(key)
        accuracy = f"{anew['accuracy']:.2f} %" if "accuracy" in anew else anew["reason"]
        same = all(anew.get(key) == row.get(key) for key in _MEASURED)
        yield f"{place} measured anew: {accuracy}", same


def check_best(evaluation: dict[str, Any], folder: Path, image_set: ImageSet) -> Iterator[Check]:
    """Compare the saved better model with the run that it was chosen from."""
    path, name = folder / image_set.best_name, evaluation["best"]
    if name is None:
        yield f"{path} is not there, since no run was chosen", not path.exists()
        return
    try:
        places = (path, folder / name / "checkpoint.pth")
        best, own = (load_checkpoint(place, image_set.sizes) for place in places)
        pairs = zip(best.model.state_dict().items(), own.model.state_dict().items(), strict=True)
        same = all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
        row = next(row for row in evaluation["results"] if row["name"] == name)
        same &= best.claimed_accuracy == row["accuracy"]
    except (SubmissionError, OSError, ValueError):
        same = False
    yield f"{path} has the weights and the accuracy of {name}", same


def check_report(evaluation_path: Path, names: list[str]) -> Iterator[Check]:
    """Compare the checksums in the report with the files."""
    folder = evaluation_path.parent
    page = folder / "report.html"
    text = page.read_text(encoding="utf-8", errors="replace") if page.exists() else ""
    sources = [evaluation_path, *(folder / name / "metrics.json" for name in names)]
    for path in sources:
        yield f"{page} was rendered from {path}", f'content="{checksum(path)}"' in text


def main() -> int:
    """Check, print a line each, count."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("evaluation", nargs="?", type=Path, default="runs/evaluation.json", help="where to begin")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    evaluation = read_json(args.evaluation, required=("results", "best", "threshold", "dataset"))
    folder, key = args.evaluation.parent, evaluation["dataset"].get("key")
    if key not in IMAGE_SETS:
        raise UserError(f"{args.evaluation} does not name its data set: evaluate again")
    image_set = resolve(IMAGE_SETS[key], args.data_dir)
    names = [row["name"] for row in evaluation["results"]]
    if not all(row["own"] for row in evaluation["results"]):
        raise UserError(f"{args.evaluation} is one of submissions: only one's own runs are checked")
    checks = [
        *check_runs(evaluation, folder, image_set, args.data_dir),
        *check_best(evaluation, folder, image_set),
        *check_report(args.evaluation, names),
    ]
    for what, holds in checks:
        print(f"{'ok   ' if holds else 'WRONG'} {what}")
    wrong = sum(not holds for _, holds in checks)
    print(f"{len(checks) - wrong} of {len(checks)} hold")
    return ALL_PASSED if not wrong else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
