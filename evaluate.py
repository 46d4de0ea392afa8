"""Measure one's own runs on the 10,000 test images, or grade the files and folders that are named.

Without PATH: runs/base and runs/improved, into runs/evaluation.json; the better of them, by
validation accuracy, is saved as mnist_classifier_best.pth beside it. With PATH: everything named,
into runs/grading/evaluation.json, which leaves one's own results alone.
"""

import argparse
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.arguments import ArgumentParser
from common.checkpoints import save_checkpoint
from common.data import load_part
from common.environment import choose_device, versions
from common.errors import ALL_PASSED, SOME_FAILED, UserError, run_script
from common.files import require_target, write_json
from common.grading import (
    Graded,
    choose_best,
    compare_runs,
    find_own_runs,
    find_submissions,
    grade,
)
from common.idx import MD5
from common.loops import Batches
from common.terminal import evaluation

OWN_RUNS = [Path("runs/base"), Path("runs/improved")]
OWN_EVALUATION = Path("runs/evaluation.json")
GRADING_EVALUATION = Path("runs/grading/evaluation.json")


def main() -> int:
    """Find, measure, write, print; return the exit status."""
    args = parse_arguments()
    threshold = parse_threshold(args.threshold)
    output = args.output or (GRADING_EVALUATION if args.paths else OWN_EVALUATION)
    submissions = find_submissions(args.paths) if args.paths else find_own_runs(OWN_RUNS)
    device = choose_device(args.device)
    require_target(output)

    test = load_part(args.data_dir, "t10k")
    batches = Batches(test, batch_size=1000, device=device)
    graded = [
        grade(submission, test, batches, threshold)
        for submission in tqdm(submissions, unit="file", disable=None, leave=False)
    ]

    best = choose_best(graded)
    document = {
        "threshold": float(threshold),
        "dataset": {
            "name": "MNIST test images",
            "size": len(test),
            "md5": {name: md5 for name, md5 in MD5.items() if name.startswith("t10k")},
        },
        "best": best.row["name"] if best else None,
        "results": [item.row for item in graded],
        "comparisons": compare_runs(graded),
        "versions": versions(),
    }
    write_json(output, document)
    print(evaluation(document))
    best_path = output.parent / "mnist_classifier_best.pth"
    if best:
        save_best(best, best_path)
    elif not args.paths:
        best_path.unlink(missing_ok=True)  # one of an earlier evaluation would contradict this one
    print(f"Evaluation: {output}  (python report.py {output} renders it)\n")
    print(verdict(graded, best, threshold))
    all_passed = all(item.row["status"] == "pass" for item in graded)
    return ALL_PASSED if all_passed or args.exit_zero else SOME_FAILED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="Exit status: 0 all pass; 1 some fail or cannot be graded; 2 could not run.",
    )
    flag = parser.add_argument
    flag(
        "paths",
        metavar="PATH",
        nargs="*",
        type=Path,
        help="checkpoint, run folder, or folder of them",
    )
    flag("--output", metavar="FILE", type=Path, help="evaluation to write (default: see above)")
    flag("--threshold", metavar="PERCENT", default="90", help="accuracy that passes")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    flag("--device", default="auto", help="cpu, cuda or mps; auto takes the best there is")
    flag("--exit-zero", action="store_true", help="end with 0 even if some did not pass")
    return parser.parse_args()


def parse_threshold(text: str) -> Fraction:
    """Read a percentage exactly: 97.1 means 971/10, not the nearest binary number."""
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text, re.ASCII) or Fraction(text) > 100:
        raise UserError(f"--threshold is {text!r}, but must be a decimal number from 0 to 100")
    return Fraction(text)


def save_best(best: Graded, path: Path) -> None:
    """Save the better model with the accuracy that was measured on the test images."""
    save_checkpoint(path, best_checkpoint(best))
    validation = best.row["validation"]
    print(
        f"Best by validation accuracy: {best.row['name']} ({validation['accuracy']:.2f} % of "
        f"{validation['total']:,}), saved as {path}"
    )


def best_checkpoint(best: Graded) -> dict[str, Any]:
    """Return what the file of the better model holds."""
    model = best.checkpoint.model
    return {
        "model_state_dict": {name: tensor.cpu() for name, tensor in model.state_dict().items()},
        "model_architecture": best.checkpoint.architecture,
        "model_args": model.model_args,
        "accuracy": best.row["accuracy"],
        "epoch": best.checkpoint.epoch,
    }


def verdict(graded: list[Graded], best: Graded | None, threshold: Fraction) -> str:
    """Return the last lines: how many passed, and the verdict on the chosen model, if any."""
    percent = f"{float(threshold):g} %"
    passed = sum(item.row["status"] == "pass" for item in graded)
    count = f"{passed} of {len(graded)} reached {percent}"
    if best is None:
        return count
    accuracy = f"Model achieved {best.row['accuracy']:.2f}% accuracy"
    if best.row["status"] == "pass":
        return f"{count}\n✓ SUCCESS: {accuracy} (threshold {percent})"
    return f"{count}\n✗ FAILURE: {accuracy} (threshold {percent})"


if __name__ == "__main__":
    run_script(main)
