"""Render what evaluate.py and the training scripts wrote as one self-contained HTML page.

Reads files only: neither torch nor the data set is needed. Several evaluations become one page that
compares them; the study of the tutorial's claims and the playground are pages of their own.
"""

import argparse
import webbrowser
from collections.abc import Callable
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
from common.playground_page import render_playground
from common.study import render_study

EVALUATION_KEYS = ("best", "command", "comparisons", "dataset", "output", "results", "threshold")
ROW_KEYS = {"name", "own", "reason", "source", "status"}
METRICS_KEYS = ("data", "environment", "history", "recipe", "seconds", "temperature")

# What rendering can stumble over in files that an older version, or something else, has written.
UNLIKE_OURS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TemplateError)


class PageOfItsOwn(NamedTuple):
    """A page that is made from one document."""

    keys: tuple[str, ...]  # that the document must have
    render: Callable[[dict[str, Any], str], str]  # from the document and its checksum
    script: str  # that writes the document


STUDY = PageOfItsOwn(
    ("claims", "command", "environment", "images", "runs"), render_study, "bench/claims.py"
)
PLAYGROUND = PageOfItsOwn(
    ("network", "run", "test_digits", "test_set", "training_digits"),
    render_playground,
    "evaluate.py --playground",
)


class Sources(NamedTuple):
    """An evaluation, the runs in it, and the files that both came from."""

    evaluation: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    paths: dict[str, Path]

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 sum of each file, by its name."""
        return {name: checksum_of(path) for name, path in self.paths.items()}


def checksum_of(path: Path) -> str:
    """Return the SHA-256 sum of a file."""
    return sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Read, render, write; print the verdict and where the page is."""
    args = parse_arguments()
    if args.claims is not None:
        output = args.output or Path("runs/claims.html")
        return render_page(STUDY, args.claims, output, args.open)
    if args.playground is not None:
        output = args.output or args.playground.with_name("playground.html")
        return render_page(PLAYGROUND, args.playground, output, args.open)
    paths = [path / "evaluation.json" if path.is_dir() else path for path in args.evaluations]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError("an evaluation is named twice: name each of them once")
    sources = {label_of(path): read_sources(path) for path in paths}
    several = len(sources) > 1
    output = args.output or paths[0].with_name("comparison.html" if several else "report.html")
    require_other(output, [path for source in sources.values() for path in source.paths.values()])
    page = render(sources)
    write_whole(output, page)
    for label, source in sources.items():
        title = f"{printable(label)}:\n" if several else ""
        print(f"{title}{summary(source.evaluation)}")
    return announce(output, args.open)


def render_page(kind: PageOfItsOwn, path: Path, output: Path, is_opened: bool) -> int:
    """Render a document that is a page of its own."""
    document = read_json(path, required=kind.keys)
    require_other(output, [path])
    try:
        page = kind.render(document, checksum_of(path)).encode()
    except UNLIKE_OURS as error:
        raise unlike_ours([path], error, f"run {kind.script} again") from error
    write_whole(output, page)
    return announce(output, is_opened)


def announce(output: Path, is_opened: bool) -> int:
    """Say where the page is, and show it if asked to."""
    print(f"Report: {output}")
    if is_opened and not webbrowser.open(output.resolve().as_uri()):
        raise UserError(f"no browser was found to open {output} with: open it by hand")
    return ALL_PASSED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    alone = parser.add_mutually_exclusive_group().add_argument
    alone(
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
    alone(
        "--claims",
        metavar="STUDY",
        nargs="?",
        type=Path,
        const=Path(__file__).with_name("docs") / "claims.json",
        help="render the study of the tutorial's claims into runs/claims.html (default: not; "
        "without STUDY docs/claims.json beside this script)",
    )
    alone(
        "--playground",
        metavar="PLAYGROUND",
        nargs="?",
        type=Path,
        const=Path("runs/playground.json"),
        help="render a page to draw digits on from what evaluate.py --playground wrote, into "
        "playground.html beside it (default: not; without PLAYGROUND runs/playground.json)",
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
    require_evaluation(evaluation, path)
    found = find_metrics(evaluation, folder=path.parent)
    runs = {name: read_json(place, required=METRICS_KEYS) for name, place in found.items()}
    paths = {"the evaluation": path} | {f"run {name}": place for name, place in found.items()}
    return Sources(evaluation, runs, paths)


def require_other(output: Path, sources: list[Path]) -> None:
    """Refuse to write the page over what it is made from.

    Raises
    ------
    UserError
        If that is asked for.
    """
    if output.resolve() in {path.resolve() for path in sources}:
        raise UserError(f"--output {output} is what the page is made from: name another file")


def render(sources: dict[str, Sources]) -> bytes:
    """Return the page of one evaluation, or the one that compares several.

    Raises
    ------
    UserError
        If a file has the right keys but not what this version of the scripts puts under them.
    """
    try:
        if len(sources) == 1:
            (only,) = sources.values()
            return render_report(only.evaluation, only.runs, only.checksums()).encode()
        return render_comparison(
            {label: source.evaluation for label, source in sources.items()},
            {label: source.runs for label, source in sources.items()},
            {
                f"{label}: {name}": checksum
                for label, source in sources.items()
                for name, checksum in source.checksums().items()
            },
        ).encode()
    except UNLIKE_OURS as error:
        paths = [path for source in sources.values() for path in source.paths.values()]
        raise unlike_ours(paths, error, "train and evaluate again") from error


def unlike_ours(paths: list[Path], error: Exception, advice: str) -> UserError:
    """Return the complaint about files that have the right keys, and something else under them."""
    return UserError(
        f"{', '.join(map(str, paths))}: not all as this version of the scripts writes it "
        f"({type(error).__name__}: {str(error)[:80]}); {advice}"
    )


def require_evaluation(evaluation: dict[str, Any], path: Path) -> None:
    """Refuse an evaluation whose verdicts cannot be ones that evaluate.py has reached.

    Raises
    ------
    UserError
        Naming the file.
    """
    rows, best, threshold = (evaluation[key] for key in ("results", "best", "threshold"))
    sound = (
        isinstance(rows, list)
        and all(is_sound(row) for row in rows)
        and isinstance(best, str | None)
        and isinstance(threshold, int | float)
        and 0 <= threshold <= 100
    )
    names = [row["name"] for row in rows if row["own"]] if sound else []
    if not sound or len(set(names)) < len(names):
        raise UserError(f"{path} has rows that evaluate.py did not write: run it again")


def is_sound(row: object) -> bool:
    """Tell whether a row of an evaluation has what decides, and has it right."""
    if not isinstance(row, dict) or not row.keys() >= ROW_KEYS:
        return False
    if not all(isinstance(row[key], str) for key in ("name", "source", "status")):
        return False
    if row["own"] not in (True, False):
        return False
    if row["status"] == "error":
        return isinstance(row["reason"], str)
    correct, total = row.get("correct"), row.get("total")
    counts = type(correct) is type(total) is int and 0 <= correct <= total and total > 0
    return (
        row["status"] in ("pass", "fail")
        and counts
        and row.get("accuracy") == 100 * correct / total
    )


def find_metrics(evaluation: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Return where ``metrics.json`` of each measured run of one's own is, by name.

    A run lies beside the evaluation, which may have been moved with it, or else where it was.
    """
    paths = {}
    for row in evaluation["results"]:
        if row["own"] and row["status"] != "error" and Path(row["name"]).name == row["name"]:
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
