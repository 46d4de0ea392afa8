"""Check that the files in runs/ belong together: the runs, the evaluation and the report.

Compares the checksums of each checkpoint and metrics.json with those in the evaluation, the row of
each run with a new measurement, the better model with the run that it was chosen from, and the
files with the checksums in the report. Ends with exit status 1 if anything differs.
"""

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import DATASETS, DatasetSpec, Sizes
from common.loops import Batches
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED, SubmissionError, UserError
from common.support.files import read_json
from grading.readers.weights.checkpoint import parse_checkpoint
from own_runs.measure import Measured, measure_run

# The fields of a run's row that depend only on its files and the test images.
_MEASURED = ("status", "sha256", "metrics_sha256", "correct", "total", "confusion_matrix")

Check = tuple[str, bool]  # what should hold, and whether it does


def checksum(path: Path) -> str:
    """Return the SHA-256 sum of a file, or why it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)


def check_runs(
    evaluation: dict[str, Any], folder: Path, test_set: LabelledImages
) -> Iterator[Check]:
    """Measure each run again and compare with its row."""
    if evaluation["dataset"].get("md5") != test_set.md5:
        raise UserError(f"the evaluation was made on other images than {test_set.name}")
    batches = Batches(test_set, batch_size=1000, device=torch.device("cpu"))
    threshold = Fraction(str(evaluation["threshold"]))
    for row in evaluation["results"]:
        run_folder = folder / row["name"]
        run = measure_run(run_folder, test_set, batches, threshold)
        for key, name in (("sha256", "checkpoint.pth"), ("metrics_sha256", "metrics.json")):
            same = run.row.get(key) == row.get(key)
            yield f"{run_folder / name} is the file that was measured", same
        is_measured = isinstance(run, Measured)
        result = f"{run.row['accuracy']:.2f} %" if is_measured else run.row["reason"]
        same = all(run.row.get(key) == row.get(key) for key in _MEASURED)
        yield f"{run_folder} measured anew: {result}", same


def check_best(
    evaluation: dict[str, Any], folder: Path, spec: DatasetSpec, sizes: Sizes
) -> Iterator[Check]:
    """Compare the saved better model with the run that it was chosen from."""
    path, name = folder / spec.best_name, evaluation["best"]
    if name is None:
        yield f"{path} is not there, since no run was chosen", not path.exists()
        return
    try:
        files = (path, folder / name / "checkpoint.pth")
        best, own = (parse_checkpoint(file.read_bytes(), sizes) for file in files)
        pairs = zip(best.model.state_dict().items(), own.model.state_dict().items(), strict=True)
        same = all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
        row = next(row for row in evaluation["results"] if row["name"] == name)
        same &= best.claimed_accuracy == row["accuracy"]
    except (SubmissionError, OSError, ValueError):
        same = False
    yield f"{path} has the weights and the accuracy of {name}", same


def check_report(evaluation_path: Path, names: list[str]) -> Iterator[Check]:
    """Compare the checksums in the report, and in a playground, with the files."""
    folder = evaluation_path.parent
    playground = folder / "playground.json"
    sources = {
        "report.html": [evaluation_path, *(folder / name / "metrics.json" for name in names)],
        "playground.html": [playground] if playground.exists() else [],
    }
    for name, paths in sources.items():
        page = folder / name
        text = page.read_text(encoding="utf-8", errors="replace") if page.exists() else ""
        for path in paths:
            yield f"{page} was rendered from {path}", f'content="{checksum(path)}"' in text


def main() -> int:
    """Check, print a line for each check, count."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("evaluation", nargs="?", type=Path, default="runs/evaluation.json", help="of own runs")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    evaluation = read_json(args.evaluation, required=("results", "best", "threshold", "dataset"))
    folder, key = args.evaluation.parent, evaluation["dataset"].get("key")
    if key not in DATASETS:
        raise UserError(f"{args.evaluation} does not name its data set: evaluate again")
    names = [row["name"] for row in evaluation["results"]]
    if not all(row["own"] for row in evaluation["results"]):
        raise UserError(f"{args.evaluation} is one of submissions: only one's own runs are checked")
    spec = DATASETS[key]
    test_set = load_split(spec, args.data_dir, "test")
    checks = [
        *check_runs(evaluation, folder, test_set),
        *check_best(evaluation, folder, spec, test_set.dataset.sizes),
        *check_report(args.evaluation, names),
    ]
    for what, holds in checks:
        print(f"{'ok   ' if holds else 'WRONG'} {what}")
    wrong = sum(not holds for _, holds in checks)
    print(f"{len(checks) - wrong} of {len(checks)} hold")
    return ALL_PASSED if not wrong else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
