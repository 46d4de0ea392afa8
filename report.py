"""Render what evaluate.py and the training scripts wrote as one self-contained HTML page.

Reads files only: neither torch nor the data set is needed. Several evaluations become one page that
compares them; a grading also becomes a page for each student; the study of the tutorial's claims
and the playground are pages of their own.
"""

import argparse
import webbrowser
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, UserError
from common.support.files import atomic_write, read_json
from common.support.text import accuracy_text, json_text, quoted, terminal_safe
from common.support.validation import check, check_evaluation, check_metrics
from reporting.comparison import render_comparison
from reporting.feedback_files import PLATFORMS, pack, write_pages
from reporting.pages import render_report
from reporting.playground_page import Playground, playground_problem, render_playground
from reporting.study import Study, render_study
from reporting.terminal import named

INCOMPLETE = "Incomplete: the run was cut short; the same command of evaluate.py ends it"


class PageOfItsOwn(NamedTuple):
    """A page that is made from one document."""

    schema: Any
    problem: Callable[[dict[str, Any]], str | None]  # what else is wrong with the document
    render: Callable[[dict[str, Any], str], str]  # from the document and its checksum
    advice: str


STUDY = PageOfItsOwn(Study, lambda _: None, render_study, "run bench.study.claims again")
PLAYGROUND = PageOfItsOwn(
    Playground, playground_problem, render_playground, "run evaluate.py --playground again"
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


def main(argv: Sequence[str] | None = None) -> int:
    """Read, render, write; print the verdict and where the page is."""
    args = parse_arguments(argv)
    if args.claims is not None:
        output = args.output or Path("runs/claims.html")
        return render_page(STUDY, args.claims, output, args.open)
    if args.playground is not None:
        output = args.output or args.playground.with_name("playground.html")
        return render_page(PLAYGROUND, args.playground, output, args.open)
    if args.feedback is not None:
        return write_feedback(args)
    given = args.evaluations or [Path("runs/evaluation.json")]
    paths = [path / "evaluation.json" if path.is_dir() else path for path in given]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError("an evaluation is named twice: name each of them once")
    sources = {label_of(path): read_sources(path) for path in paths}
    several = len(sources) > 1
    output = args.output or paths[0].with_name("comparison.html" if several else "report.html")
    require_other(output, [path for source in sources.values() for path in source.paths.values()])
    atomic_write(output, render(sources).encode())
    for label, source in sources.items():
        title = f"{terminal_safe(label)}:\n" if several else ""
        print(f"{title}{summary(source.evaluation)}")
    return announce(output, args.open)


def render_page(kind: PageOfItsOwn, path: Path, output: Path, is_opened: bool) -> int:
    """Render a document that is a page of its own."""
    document = read_json(path)
    check(document, kind.schema, path, kind.advice)
    if problem := kind.problem(document):
        raise UserError(f"{path}: {problem}: {kind.advice}")
    require_other(output, [path])
    atomic_write(output, kind.render(document, checksum_of(path)).encode())
    return announce(output, is_opened)


def write_feedback(args: argparse.Namespace) -> int:
    """Write a page for each student of a grading, and pack them for a platform if asked to."""
    if args.output or args.open:
        raise UserError("--feedback writes many pages: leave out --output and --open")
    platform, given = args.feedback, args.evaluations
    if platform and platform not in PLATFORMS:
        if given or not Path(platform).exists():
            raise UserError(
                f"--feedback is {quoted(platform)}, but must be {' or '.join(PLATFORMS)}"
            )
        platform, given = "", [Path(platform)]  # what stands behind the flag is the evaluation
    (path, *others) = given or [Path("runs/grading/evaluation.json")]
    if others:
        raise UserError("--feedback takes one evaluation: call it once for each")
    path = path / "evaluation.json" if path.is_dir() else path
    evaluation = read_json(path)
    check_evaluation(evaluation, path)
    if any(row["own"] for row in evaluation["results"]):
        raise UserError(f"{path} is of your own runs: name the evaluation of a graded folder")
    if evaluation.get("complete") is False:
        print(INCOMPLETE)
    pages = write_pages(evaluation, path.with_name("feedback"))
    print(pages.summary())
    if platform:
        packed = pack(platform, evaluation["results"], pages)
        if packed.left_out:
            why = f"{len(packed.left_out)} without a name of {platform.capitalize()}'s of their own"
            print(named(f"Not packed, {why}", packed.left_out))
        print(f"Packed: {packed.num_pages} of {len(pages.texts)} pages in {packed.path}")
    return ALL_PASSED


def announce(output: Path, is_opened: bool) -> int:
    """Say where the page is, and show it if asked to."""
    print(f"Report: {output}")
    if is_opened and not webbrowser.open(output.resolve().as_uri()):
        raise UserError(f"no browser was found to open {output} with: open it by hand")
    return ALL_PASSED


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(prog="report.py", description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    alone = parser.add_mutually_exclusive_group().add_argument
    alone(
        "evaluations",
        metavar="EVALUATION",
        nargs="*",
        type=Path,
        default=[],
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
        const=Path(__file__).with_name("bench") / "results/claims.json",
        help="render the study of the tutorial's claims into runs/claims.html (default: not; "
        "without STUDY the one in bench/results)",
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
    flag(
        "--feedback",
        metavar="PLATFORM",
        nargs="?",
        const="",
        help="write feedback/NAME/feedback.html for each student of a grading, beside its "
        "evaluation (default: not; without EVALUATION runs/grading/evaluation.json); with moodle "
        "or canvas also pack them as that platform takes them back",
    )
    flag("--open", action="store_true", help="show the page in the browser")
    return parser.parse_args(argv)


def label_of(path: Path) -> str:
    """Return what an evaluation is called on a page: its folder, or its path if that says more."""
    named_by_folder = path.name == "evaluation.json" and path.parent.name
    return json_text(path.parent if named_by_folder else path)


def read_sources(path: Path) -> Sources:
    """Read an evaluation, and ``metrics.json`` of the runs in it.

    Raises
    ------
    UserError
        If one of them is missing or is not what the scripts write.
    """
    evaluation = read_json(path)
    check_evaluation(evaluation, path)
    found = find_metrics(evaluation, folder=path.parent)
    runs = {name: read_json(place) for name, place in found.items()}
    for name, metrics in runs.items():
        check_metrics(metrics, found[name])
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


def render(sources: dict[str, Sources]) -> str:
    """Return the page of one evaluation, or the one that compares several."""
    if len(sources) == 1:
        (only,) = sources.values()
        return render_report(only.evaluation, only.runs, only.checksums())
    return render_comparison(
        {label: source.evaluation for label, source in sources.items()},
        {label: source.runs for label, source in sources.items()},
        {
            f"{label}: {name}": checksum
            for label, source in sources.items()
            for name, checksum in source.checksums().items()
        },
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
    lines, threshold = [], evaluation["threshold"]
    for row in evaluation["results"]:
        if row["own"] and row["status"] != "error":
            low, high = row["accuracy_ci95"]
            lines.append(
                f"{terminal_safe(row['name'])}: {accuracy_text(row['accuracy'], threshold)} % of "
                f"{row['total']:,} images (95 % interval {low:.2f} - {high:.2f})"
            )
    if evaluation.get("complete") is False:
        lines.append(INCOMPLETE)
    passed = sum(row["status"] == "pass" for row in evaluation["results"])
    lines.append(
        f"Verdict: {passed} of {len(evaluation['results'])} reached {threshold:.12g} %"
        + (
            f"; the better model is {terminal_safe(evaluation['best'])}"
            if evaluation["best"]
            else ""
        )
    )
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
