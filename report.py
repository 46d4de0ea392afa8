"""Render what evaluate.py and the training scripts wrote as one self-contained HTML page.

Reads files only: neither torch nor the data set is needed. Several evaluations become one page that
compares them.
"""

import argparse
import webbrowser
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import TemplateError

from common.arguments import ArgumentParser
from common.comparison import render_comparison
from common.errors import ALL_PASSED, UserError, run_script
from common.escaping import printable
from common.files import read_json, readable, write_whole
from common.pages import render_report

EVALUATION_KEYS = ("best", "command", "comparisons", "dataset", "output", "results", "threshold")
ROW_KEYS = {"name", "own", "reason", "source", "status"}
METRICS_KEYS = ("data", "environment", "history", "recipe", "seconds", "temperature")

# What rendering can stumble over in files that an older version, or something else, has written.
UNLIKE_OURS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TemplateError)


class Sources(NamedTuple):
    """An evaluation, the runs in it, and the files that both came from."""

    evaluation: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    paths: dict[str, Path]

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 sum of each file, by its name."""
        return {name: sha256(path.read_bytes()).hexdigest() for name, path in self.paths.items()}


def main() -> int:
    """Read, render, write; print the verdict and where the page is."""
    args = parse_arguments()
    sources = {label_of(path): read_sources(path) for path in args.evaluations}
    if len(sources) < len(args.evaluations):
        raise UserError("an evaluation is named twice: name each of them once")
    first, several = args.evaluations[0], len(sources) > 1
    output = args.output or first.with_name("comparison.html" if several else "report.html")
    write_whole(output, render(sources).encode())
    for label, source in sources.items():
        title = f"{printable(label)}:\n" if several else ""
        print(f"{title}{summary(source.evaluation)}")
    print(f"Report: {output}")
    if args.open and not webbrowser.open(output.resolve().as_uri()):
        raise UserError(f"no browser was found to open {output} with: open it by hand")
    return ALL_PASSED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    flag(
        "evaluations",
        metavar="EVALUATION",
        nargs="*",
        type=Path,
        default=[Path("runs/evaluation.json")],
        help="what evaluate.py wrote; several are compared (default: runs/evaluation.json)",
    )
    flag(
        "--output",
        metavar="FILE",
        type=Path,
        help="page to write (default: report.html beside the evaluation, or comparison.html beside "
        "the first of several)",
    )
    flag("--open", action="store_true", help="show the page in the browser")
    return parser.parse_args()


def label_of(path: Path) -> str:
    """Return what an evaluation is called on a page: its folder, or its path if that says more."""
    named_by_folder = path.name == "evaluation.json" and path.parent.name
    return readable(path.parent if named_by_folder else path)


def read_sources(path: Path) -> Sources:
    """Read an evaluation, and ``metrics.json`` of the runs in it.

    Raises
    ------
    UserError
        If one of them is missing or is not what the scripts write.
    """
    evaluation = read_json(path, required=EVALUATION_KEYS)
    require_rows(evaluation["results"], path)
    found = find_metrics(evaluation, folder=path.parent)
    runs = {name: read_json(place, required=METRICS_KEYS) for name, place in found.items()}
    paths = {"the evaluation": path} | {f"run {name}": place for name, place in found.items()}
    return Sources(evaluation, runs, paths)


def render(sources: dict[str, Sources]) -> str:
    """Return the page of one evaluation, or the one that compares several.

    Raises
    ------
    UserError
        If a file has the right keys but not what this version of the scripts puts under them.
    """
    try:
        if len(sources) == 1:
            (only,) = sources.values()
            return render_report(only.evaluation, only.runs, only.checksums())
        return render_comparison(
            {label: source.evaluation for label, source in sources.items()},
            {label: source.runs for label, source in sources.items()},
        )
    except UNLIKE_OURS as error:
        paths = [str(path) for source in sources.values() for path in source.paths.values()]
        raise UserError(
            f"{', '.join(paths)}: not all as this version of the scripts writes it "
            f"({type(error).__name__}: {str(error)[:80]}); train and evaluate again"
        ) from error


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
