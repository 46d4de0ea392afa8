"""Render what evaluate.py and the training scripts wrote as one self-contained HTML page.

Reads files only: neither torch nor the data set is needed. Several evaluations become one page that
compares them; a grading also becomes a page for each student; the study of the tutorial's claims
and the playground are pages of their own.
"""

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, UserError
from common.support.files import atomic_write
from reporting.comparison import render_comparison
from reporting.pages import render_report
from reporting.playground_page import read_playground, render_playground
from reporting.sources import Sources, checksum_of, read_all, require_other
from reporting.student_pages import write_feedback
from reporting.study import read_study, render_study
from reporting.terminal import summary


class Page(NamedTuple):
    """A page that is not written yet."""

    html: str
    default: Path  # where it goes unless --output names another place
    sources: list[Path]  # the files that it is made from
    summary: str = ""  # lines for the terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Read, render, write; print the verdict and where the page is."""
    args = parse_arguments(argv)
    if args.feedback is not None:
        if args.output or args.open:
            raise UserError("--feedback writes many pages: leave out --output and --open")
        if args.claims is not None or args.playground is not None:
            raise UserError("--feedback is of a grading: leave out --claims and --playground")
        write_feedback(args.feedback, args.evaluations)
        return ALL_PASSED
    if args.claims is not None:
        html = render_study(read_study(args.claims), checksum_of(args.claims))
        page = Page(html, Path("runs/claims.html"), [args.claims])
    elif args.playground is not None:
        html = render_playground(read_playground(args.playground), checksum_of(args.playground))
        page = Page(html, args.playground.with_name("playground.html"), [args.playground])
    else:
        page = evaluation_page(args.evaluations or [Path("runs/evaluation.json")])
    output = args.output or page.default
    require_other(output, page.sources)
    atomic_write(output, page.html.encode())
    print(f"{page.summary}Report: {output}")
    if args.open and not webbrowser.open(output.resolve().as_uri()):
        raise UserError(f"no browser was found to open {output} with: open it by hand")
    return ALL_PASSED


def evaluation_page(given: list[Path]) -> Page:
    """Return the page of one evaluation, or the one that compares several."""
    sources = read_all(given)
    first, *others = sources.values()
    name = "comparison.html" if others else "report.html"
    return Page(
        html=render(sources),
        default=first.paths["the evaluation"].with_name(name),
        sources=[path for source in sources.values() for path in source.paths.values()],
        summary="".join(
            summary(source.evaluation, title=label if others else "")
            for label, source in sources.items()
        ),
    )


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


if __name__ == "__main__":
    run_script(main)
