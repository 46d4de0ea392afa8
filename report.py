"""Render what evaluate.py and the training scripts wrote as one self-contained HTML page.

Reads files only: neither torch nor the data set is needed.
"""

import argparse
from hashlib import sha256
from pathlib import Path
from typing import Any

from common.arguments import ArgumentParser
from common.errors import ALL_PASSED, UserError, run_script
from common.escaping import printable
from common.files import read_json, write_whole
from common.pages import render_report

EVALUATION_KEYS = ("best", "comparisons", "dataset", "results", "threshold")
ROW_KEYS = {"name", "own", "reason", "source", "status"}
METRICS_KEYS = ("data", "environment", "history", "recipe", "seconds", "temperature")


def main() -> int:
    """Read, render, write; print the verdict and where the page is."""
    args = parse_arguments()
    evaluation = read_json(args.evaluation, required=EVALUATION_KEYS)
    require_rows(evaluation["results"], args.evaluation)
    paths = find_metrics(evaluation, folder=args.evaluation.parent)
    runs = {name: read_json(path, required=METRICS_KEYS) for name, path in paths.items()}
    sources = {"the evaluation": args.evaluation} | {f"run {n}": p for n, p in paths.items()}
    checksums = {name: sha256(path.read_bytes()).hexdigest() for name, path in sources.items()}
    output = args.output or args.evaluation.with_name("report.html")
    write_whole(output, render_report(evaluation, runs, checksums).encode())
    print(summary(evaluation))
    print(f"Report: {output}")
    return ALL_PASSED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag(
        "evaluation",
        metavar="EVALUATION",
        nargs="?",
        type=Path,
        default="runs/evaluation.json",
        help="what evaluate.py wrote",
    )
    flag(
        "--output", metavar="FILE", type=Path, help="page to write (default: report.html beside it)"
    )
    return parser.parse_args()


def require_rows(rows: object, path: Path) -> None:
    """Refuse rows without what every row has.

    Raises
    ------
    UserError
        Naming the file.
    """
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and row.keys() >= ROW_KEYS for row in rows
    ):
        raise UserError(f"{path} has rows that evaluate.py did not write: run it again")


def find_metrics(evaluation: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Return where ``metrics.json`` of each of one's own runs in the evaluation is, by name.

    A run lies beside the evaluation, which may have been moved with it, or else where it was.
    """
    paths = {}
    for row in evaluation["results"]:
        if row["own"]:
            places = [folder / row["name"], Path(row["source"])]
            found = [place / "metrics.json" for place in places]
            if existing := [path for path in found if path.exists()]:
                paths[row["name"]] = existing[0]
    return paths


def summary(evaluation: dict[str, Any]) -> str:
    """Return the accuracies and the verdict in a few lines."""
    lines = []
    for row in evaluation["results"]:
        if row["own"] and row["status"] != "error":
            low, high = row["accuracy_ci95"]
            lines.append(
                f"{printable(row['name'])}: {row['accuracy']:.2f} % of {row['total']:,} images "
                f"(95 % interval {low:.2f} - {high:.2f})"
            )
    if evaluation.get("complete") is False:
        lines.append("Incomplete: the run was cut short; the same command of evaluate.py ends it")
    passed = sum(row["status"] == "pass" for row in evaluation["results"])
    lines.append(
        f"Verdict: {passed} of {len(evaluation['results'])} reached {evaluation['threshold']:g} %"
        + (f"; the better model is {printable(evaluation['best'])}" if evaluation["best"] else "")
    )
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
