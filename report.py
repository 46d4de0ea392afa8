"""Render what evaluate.py and the training scripts wrote as one self-contained HTML page.

Reads files only: neither torch nor the data set is needed. Several evaluations become one page that
compares them; a grading also becomes a page for each student; the study of the tutorial's claims
and the playground are pages of their own. The playground of the model that an evaluation chose is
rendered with its report, which links to it.
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
from reporting.playground_page import is_of, read_playground, render_playground
from reporting.sources import Row, Sources, checksum_of, read_all, require_other
from reporting.student_pages import write_feedback
from reporting.study import read_study, render_study
from reporting.terminal import summary


class Page(NamedTuple):
    """A page that is not written yet."""

    html: str
    path: Path
    sources: list[Path]  # the files that it is made from
    kind: str = "Report"
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
        pages = [Page(html, args.output or Path("runs/claims.html"), [args.claims])]
    elif args.playground is not None:
        output = args.output or args.playground.with_name("playground.html")
        document = read_playground(args.playground)
        pages = [playground_page(document, args.playground, output)]
    else:
        pages = evaluation_pages(args.evaluations or [Path("runs/evaluation.json")], args.output)
    for page in pages:
        require_other(page.path, [source for page in pages for source in page.sources])
    for page in pages:
        atomic_write(page.path, page.html.encode())
        print(f"{page.summary}{page.kind}: {page.path}")
    if args.open and not webbrowser.open(page.path.resolve().as_uri()):
        raise UserError(f"no browser was found to open {page.path} with: open it by hand")
    return ALL_PASSED


def playground_page(document: Row, source: Path, output: Path) -> Page:
    """Return the page to draw on."""
    return Page(render_playground(document, checksum_of(source)), output, [source], "Playground")


def evaluation_pages(given: list[Path], output: Path | None) -> list[Page]:
    """Return the page of one evaluation, after its playground, or the one that compares several."""
    if not given[0].exists():
        raise UserError(f"{given[0]}: no such file: run evaluate.py first")
    sources = read_all(given)
    first, *others = sources.values()
    place = first.paths["the evaluation"]
    output = output or place.with_name("comparison.html" if others else "report.html")
    drawn_on = [] if others else playgrounds(first, output)
    page = Page(
        html=render(sources, *(page.path.name for page in drawn_on)),
        path=output,
        sources=[path for source in sources.values() for path in source.paths.values()],
        summary="".join(
            summary(source.evaluation, title=label if others else "")
            for label, source in sources.items()
        ),
    )
    return [*drawn_on, page]


def playgrounds(evaluated: Sources, output: Path) -> list[Page]:
    """Return the page to draw on, if that of the chosen model can be made from what is there."""
    source = evaluated.paths["the evaluation"].with_name("playground.json")
    path = output.with_name("playground.html")
    if path == output or not source.exists():
        return []
    document = read_playground(source)
    return (
        [playground_page(document, source, path)] if is_of(document, evaluated.evaluation) else []
    )


def render(sources: dict[str, Sources], playground: str = "") -> str:
    """Return the page of one evaluation, or the one that compares several.

    ``playground`` is the address of the page to draw on, for the report to link to.
    """
    if len(sources) == 1:
        (only,) = sources.values()
        return render_report(only.evaluation, only.runs, only.checksums(), playground)
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
        "evaluation (default: not; without EVALUATION runs/grading/evaluation.json); with moodle, "
        "canvas, sakai, openolat or ilias also pack them as that platform takes them back",
    )
    flag("--open", action="store_true", help="show the page in the browser")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_script(main)
