"""Measure one's own runs on the test images, or grade the files and folders that are named.

Without PATH: runs/base, runs/improved and runs/augmented, those that are there, into
runs/evaluation.json; the best of them, by validation accuracy, is saved beside it as
mnist_classifier_best.pth. With PATH: everything named, each file in a process of its own, into
runs/grading/evaluation.json and grades.csv beside it. Other data sets have all this in
runs/DATASET/.
"""

import argparse
import contextlib
import os
import re
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from common import evaluations, github, parts, ranks, terminal
from common.arguments import ArgumentParser
from common.boundary import Boundary
from common.errors import ALL_PASSED, SOME_FAILED, UserError, require_between, run_script
from common.files import require_target, write_json
from common.gradebooks import FORMATS, Gradebook
from common.grading import grade_all, mark_duplicates, rank
from common.image_sets import DATASETS, IMAGE_SETS
from common.locks import folder_lock
from common.reference import ReferenceSet, private_test_set, public_test_set
from common.submissions import Submission, find_submissions, require_outside

if TYPE_CHECKING:
    from common.loops import Batches
    from common.own_runs import Measured

OWN_RUNS = ("base", "improved", "augmented")

ANOTHER_OUTPUT = "name another --output"

# GiB, seconds or jobs: more than anybody has, and less than any system call takes.
MAX_LIMIT = 500


def main() -> int:
    """Find, measure, write, print; return the exit status."""
    args = parse_arguments()
    threshold = parse_threshold(args)
    if not args.paths and (args.format or args.roster or args.leaderboard or args.fresh):
        raise UserError("--format, --roster, --leaderboard and --fresh need a PATH to grade")
    if args.paths and args.playground:
        raise UserError("--playground shows the best of one's own runs: leave out PATH")
    if args.playground and IMAGE_SETS[args.dataset].noun != "digit":
        raise UserError(f"--playground is a page to draw digits on, not {args.dataset}")
    require_between(0, MAX_LIMIT, memory=args.memory, timeout=args.timeout, jobs=args.jobs)
    runs = IMAGE_SETS[args.dataset].runs
    output = args.output or (runs / "grading" if args.paths else runs) / "evaluation.json"
    measure = grade_submissions if args.paths else measure_own_runs
    document = measure(args, threshold, output)
    if document is None:
        return ALL_PASSED  # the first rank says what came out
    all_passed = all(row["status"] == "pass" for row in document["results"])
    return ALL_PASSED if all_passed or args.exit_zero else SOME_FAILED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="Exit status: 0 all pass; 1 some fail or cannot be graded; 2 could not run.",
    )
    flag = parser.add_argument
    what = "submission, run folder, or folder of submissions"
    flag("paths", metavar="PATH", nargs="*", type=Path, help=what)
    flag("--output", metavar="FILE", type=Path, help="evaluation to write (default: see above)")
    thresholds = ", ".join(f"{key} {s.threshold}" for key, s in IMAGE_SETS.items() if s.threshold)
    flag("--threshold", metavar="PERCENT", help=f"accuracy that passes (default: {thresholds})")
    flag("--dataset", metavar="NAME", choices=IMAGE_SETS, default="mnist", help=DATASETS)
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    flag("--test-set", metavar="DIR", type=Path, help="measure on the IDX pair in this folder")
    flag("--device", default="auto", help="where one's own runs are measured: cpu, cuda or mps")
    flag("--playground", action="store_true", help="also write playground.json, for report.py")
    flag("--exit-zero", action="store_true", help="end with 0 even if some did not pass")
    flag = parser.add_argument_group("grading (with PATH)").add_argument
    choices = ("auto", "bubblewrap", "process")
    flag("--isolation", choices=choices, default="auto", help="what keeps submissions apart")
    flag("--memory", metavar="GIB", type=float, default=2.0, help="memory of each submission")
    flag("--timeout", metavar="SECONDS", type=float, default=30.0, help="time of each submission")
    jobs = max(1, (os.cpu_count() or 1) // ranks.on_this_machine().number)
    flag("--jobs", type=int, default=jobs, help="submissions under way at a time, in each process")
    flag("--fresh", action="store_true", help="grade again what an earlier run graded")
    flag("--leaderboard", action="store_true", help="rank the submissions")
    flag("--format", choices=FORMATS, help="also write grades as this platform imports them")
    flag("--roster", metavar="CSV", type=Path, help="the platform's own export of its students")
    flag("--assignment", metavar="TITLE", help="the column of the roster that gets the grades")
    return parser.parse_args()


def parse_threshold(args: argparse.Namespace) -> Fraction:
    """Read a percentage exactly: 97.1 means 971/10, not the nearest binary number."""
    text = args.threshold or IMAGE_SETS[args.dataset].threshold
    if text is None:
        raise UserError(f"--dataset {args.dataset} has no threshold of its own: give --threshold")
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text, re.ASCII) or Fraction(text) > 100:
        raise UserError(f"--threshold is {text!r}, but must be a decimal number from 0 to 100")
    return Fraction(text)


def reference_set(args: argparse.Namespace) -> ReferenceSet:
    """Return the images and labels to measure on."""
    image_set = IMAGE_SETS[args.dataset]
    if args.test_set:
        return private_test_set(image_set, args.data_dir, args.test_set)
    return public_test_set(image_set, args.data_dir)


def measure_own_runs(
    args: argparse.Namespace, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Measure the runs that are there, choose one by validation accuracy, and save it."""
    if not ranks.is_first():
        return None  # it takes seconds, so the first rank does it alone
    # Imported here, since it brings torch along: half a gigabyte that grading has no use for.
    from common import environment, own_runs

    image_set = IMAGE_SETS[args.dataset]
    folders = own_runs.find_own_runs([image_set.runs / name for name in OWN_RUNS])
    device = environment.choose_device(args.device)
    require_target(output)
    playground_path = output.with_name("playground.json")
    if args.playground and playground_path == output:
        raise UserError(f"--output {output} is where the playground goes: name another file")
    reference = reference_set(args)
    with folder_lock(output.parent, ANOTHER_OUTPUT):
        batches = own_runs.batches_of(reference, device)
        measured = [
            own_runs.measure_run(folder, reference, batches, threshold)
            for folder in tqdm(folders, unit="run", disable=None, leave=False)
        ]
        best = own_runs.choose_best(measured)
        document = {
            **evaluations.header(reference, threshold, environment.versions(), output),
            "best": best.row["name"] if best else None,
            "results": [item.row for item in measured],
            "comparisons": own_runs.compare_runs(measured, reference),
        }
        write_json(output, document)
        best_path = output.parent / image_set.best_name
        if best:
            own_runs.save_best(best, best_path)
        else:
            best_path.unlink(missing_ok=True)  # an earlier one's would contradict this evaluation
        made = [f"Evaluation: {output}  (python report.py {output} renders it)"]
        if args.playground and not best:
            playground_path.unlink(missing_ok=True)  # likewise
        elif args.playground:
            made.append(write_playground(playground_path, best, reference, batches, args.data_dir))
    print(terminal.evaluation(document))
    if best:
        print(f"{terminal.choice(best.row)}, saved as {best_path}")
    print("\n".join(made))
    print(f"\n{terminal.verdict(document)}")
    if args.playground and not best:
        raise UserError("no playground: no run that held out validation images could be measured")
    return document


def write_playground(
    path: Path, best: "Measured", reference: ReferenceSet, batches: "Batches", data_dir: Path
) -> str:
    """Write what the page to draw on is made from, and return a line that says so."""
    from common import playground

    document = playground.describe_playground(best, reference, batches, data_dir)
    write_json(path, document)
    accuracy = document["quantized_network"]["accuracy"]
    return (
        f"Playground: {path}, {accuracy:.2f} % with weights of 8 bits  (python report.py "
        f"--playground {path} renders it)"
    )


def grade_submissions(
    args: argparse.Namespace, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Give every file and folder that is named one row, and write the rows in each form.

    Of several ranks each grades a share, and the first one writes and returns the evaluation.
    """
    submissions = find_submissions(args.paths)
    require_outside(output, args.paths)
    gradebook = Gradebook(args.format, args.roster, args.assignment)
    require_target(output)
    reference = reference_set(args)
    limits = {"memory_gib": args.memory, "timeout_seconds": args.timeout}
    versions = evaluations.grading_versions()
    fields = evaluations.header(reference, threshold, versions, output, limits=limits)
    parts.require_agreement(submissions, fields)
    lock = folder_lock(output.parent, ANOTHER_OUTPUT)
    with lock if ranks.is_first() else contextlib.nullcontext():
        growing = evaluations.GrowingEvaluation(parts.path_of_this_rank(output), fields, {})
        take_over = (growing, submissions, threshold, args.isolation, args.fresh)
        known = ranks.from_first(lambda: parts.take_over(*take_over))
        left = parts.share_of(submissions, known)
        with growing:
            grade_the_rest(args, threshold, left, reference, growing)
            parts.collect(growing)
        if not ranks.is_first():
            return None
        in_order = growing.in_order()
        mark_duplicates(in_order)
        if args.leaderboard:
            rank(in_order)
        document = growing.write(in_order)
        parts.remove(output)
        with github.commands_stopped():
            print(terminal.evaluation(document))
            print("\n".join(gradebook.write(document, output.parent)))
    github.summarise(document)
    print(f"Evaluation: {output}  (python report.py {output} renders it)\n")
    print(terminal.verdict(document))
    return document


def grade_the_rest(
    args: argparse.Namespace,
    threshold: Fraction,
    left: dict[int, Submission],
    reference: ReferenceSet,
    growing: evaluations.GrowingEvaluation,
) -> None:
    """Grade the submissions that have no row yet, under a bar that counts verdicts."""

    def start_boundary() -> Boundary:
        memory = round(args.memory * 2**30)
        boundary = Boundary(reference, args.isolation, memory, args.timeout, args.jobs)
        if boundary.fallback_reason:
            reason = boundary.fallback_reason
            print(f"Without bubblewrap ({reason}): limits alone apply", file=sys.stderr)
        return boundary

    known = len(growing.rows)
    with tqdm(total=known + len(left), initial=known, unit="file", disable=None) as bar:
        for index, row in grade_all(left, reference, threshold, start_boundary):
            growing.add(index, row)
            counts = Counter(row["status"] for row in growing.rows.values())
            bar.set_postfix({s: counts[s] for s in ("pass", "fail", "error")}, refresh=False)
            bar.update()


if __name__ == "__main__":
    run_script(ranks.together(main))
