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
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import DATASET_HELP, DATASETS
from common.support import distributed
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED, UserError, require_positive
from common.support.files import folder_lock, require_target, write_json
from grading import document
from grading.grade import grade_all
from grading.gradebooks.gradebook import FORMATS, Gradebook
from grading.gradebooks.history import History
from grading.gradebooks.late import parse_due
from grading.intake.submissions import (
    Found,
    Submission,
    find_submissions,
    require_outside,
)
from grading.preprocessing import CHOICES, Preprocessing, choose_preprocessing
from grading.rows import assign_ranks, mark_duplicates
from grading.sandbox.client import Sandbox, require_linux
from grading.test_sets import load_test_set, threshold_of
from reporting import github, terminal

if TYPE_CHECKING:
    from common.loops import Batches
    from common.own_runs import Measured

OWN_RUNS = ("base", "improved", "augmented")

ANOTHER_OUTPUT = "name another --output"

# GiB, seconds or jobs: more than anyone has, and less than any system call accepts.
MAX_LIMIT = 500


def main(argv: Sequence[str] | None = None) -> int:
    """Find, measure, write, print; return the exit status."""
    args = parse_arguments(argv)
    spec = DATASETS[args.dataset]
    threshold = threshold_of(spec, args.threshold)
    for name in ("format", "roster", "leaderboard", "fresh", "due", "history"):
        if not args.paths and getattr(args, name) not in (None, False):
            raise UserError(f"--{name} needs a PATH to grade")
    if args.models and not args.models.is_file():
        raise UserError(f"--models {args.models}: no such file")
    if args.paths and args.device != "auto":
        raise UserError("--device is for one's own runs: submissions are read on the CPU")
    if args.paths and args.playground:
        raise UserError("--playground shows the best of one's own runs: leave out PATH")
    if args.playground and not (spec.known and spec.known.noun == "digit"):
        raise UserError(f"--playground is a page to draw digits on, not {args.dataset}")
    require_positive(MAX_LIMIT, memory=args.memory, timeout=args.timeout, jobs=args.jobs)
    folder = spec.runs / "grading" if args.paths else spec.runs
    output = args.output or folder / "evaluation.json"
    measure = grade_submissions if args.paths else measure_own_runs
    evaluation = measure(args, threshold, output)
    if evaluation is None:
        return ALL_PASSED  # rank 0 reports the result
    all_passed = all(row["status"] == "pass" for row in evaluation["results"])
    return ALL_PASSED if all_passed or args.exit_zero else SOME_FAILED


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        prog="evaluate.py",
        description=__doc__.split("\n\n")[0],
        epilog="Exit status: 0 all pass; 1 some fail or cannot be graded; 2 could not run.",
    )
    flag = parser.add_argument
    what = "submission, run folder, folder of submissions, or the zip file of a course platform"
    flag("paths", metavar="PATH", nargs="*", type=Path, help=what)
    flag("--output", metavar="FILE", type=Path, help="evaluation to write (default: see above)")
    thresholds = ", ".join(f"{key} {s.threshold}" for key, s in DATASETS.items() if s.threshold)
    flag("--threshold", metavar="PERCENT", help=f"accuracy that passes (default: {thresholds})")
    flag("--dataset", metavar="NAME", choices=DATASETS, default="mnist", help=DATASET_HELP)
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    what = "measure on the IDX pair or the pictures in this folder, or on this .npz file"
    flag("--test-set", metavar="PATH", type=Path, help=what)
    flag("--device", default="auto", help="where one's own runs are measured: cpu, cuda or mps")
    flag("--playground", action="store_true", help="also write playground.json, for report.py")
    flag("--exit-zero", action="store_true", help="end with 0 even if some did not pass")
    flag = parser.add_argument_group("grading (with PATH)").add_argument
    choices = ("auto", "bubblewrap", "process")
    flag("--isolation", choices=choices, default="auto", help="what keeps submissions apart")
    flag("--memory", metavar="GIB", type=float, default=2.0, help="memory of each submission")
    flag("--timeout", metavar="SECONDS", type=float, default=30.0, help="time of each submission")
    jobs = max(1, (os.cpu_count() or 1) // distributed.local_world_size())
    how = f"how pixels become inputs: {CHOICES}; auto infers it on training images"
    flag("--preprocessing", metavar="HOW", default="auto", help=how)
    what = "Python file with the classes of the assignment; it is run"
    flag("--models", metavar="FILE.py", type=Path, help=what)
    flag("--jobs", type=int, default=jobs, help="submissions under way at a time, in each process")
    flag("--fresh", action="store_true", help="grade again what an earlier run graded")
    flag("--leaderboard", action="store_true", help="rank the submissions")
    flag("--format", choices=FORMATS, help="also write grades as this platform imports them")
    flag("--roster", metavar="CSV", type=Path, help="the platform's own export of its students")
    flag("--assignment", metavar="TITLE", help="the column of the roster that gets the grades")
    flag("--due", metavar="TIME", help="mark what the platform says came later")
    flag("--history", metavar="CSV", type=Path, help="append who changed since the last grading")
    return parser.parse_args(argv)


def measure_own_runs(
    args: argparse.Namespace, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Measure the runs that are there, choose one by validation accuracy, and save it."""
    if not distributed.is_main_process():
        return None  # it takes seconds, so rank 0 does it alone
    # Imported here, since it loads torch: half a gigabyte that grading has no use for.
    from common import own_runs
    from common.loops import Batches
    from common.support import environment

    spec = DATASETS[args.dataset]
    folders = own_runs.find_own_runs([spec.runs / name for name in OWN_RUNS])
    device = environment.choose_device(args.device)
    require_target(output)
    playground_path = output.with_name("playground.json")
    if args.playground and playground_path == output:
        raise UserError(f"--output {output} is where the playground goes: name another file")
    test_set = load_test_set(spec, args.data_dir, args.test_set)
    with folder_lock(output.parent, ANOTHER_OUTPUT):
        batches = Batches(test_set, batch_size=1000, device=device)
        runs = [
            own_runs.measure_run(folder, test_set, batches, threshold)
            for folder in tqdm(folders, unit="run", disable=None, leave=False)
        ]
        measured = [run for run in runs if isinstance(run, own_runs.Measured)]
        best = own_runs.choose_best(measured)
        evaluation = {
            **document.header(test_set, threshold, environment.versions(), output),
            "best": best.row["name"] if best else None,
            "results": [run.row for run in runs],
            "comparisons": own_runs.compare_runs(measured, test_set),
        }
        write_json(output, evaluation)
        best_path = output.parent / spec.best_name
        if best:
            own_runs.save_best(best, test_set.dataset, best_path)
        else:
            best_path.unlink(missing_ok=True)  # an earlier one would contradict this evaluation
        written = [f"Evaluation: {output}  (python report.py {output} renders it)"]
        if args.playground and best:
            written.append(write_playground(playground_path, best, test_set, batches, args))
        elif args.playground:
            playground_path.unlink(missing_ok=True)  # likewise
    print(terminal.evaluation(evaluation))
    if best:
        print(f"{terminal.choice(best.row)}, saved as {best_path}")
    print("\n".join(written))
    print(f"\n{terminal.verdict(evaluation)}")
    if args.playground and not best:
        raise UserError("no playground: no run that held out validation images could be measured")
    return evaluation


def write_playground(
    path: Path,
    best: "Measured",
    test_set: LabelledImages,
    batches: "Batches",
    args: argparse.Namespace,
) -> str:
    """Write what the page to draw on is made from, and return a line that says so."""
    from common import playground

    training_images = load_split(DATASETS[args.dataset], args.data_dir, "train")
    content = playground.describe_playground(best, test_set, batches, training_images)
    write_json(path, content)
    accuracy = content["quantized_network"]["accuracy"]
    return (
        f"Playground: {path}, {accuracy:.2f} % with weights of 8 bits  (python report.py "
        f"--playground {path} renders it)"
    )


def grade_submissions(
    args: argparse.Namespace, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Give every file and folder that is named one row, and write the rows in each form.

    Under torchrun each rank grades its part, and rank 0 writes and returns the evaluation.
    """
    require_linux()
    with tempfile.TemporaryDirectory() as folder:  # for what is in a class's zip file
        found = find_submissions(args.paths, args.isolation, Path(folder))
        return grade_found(found, args, threshold, output)


def grade_found(
    found: Found, args: argparse.Namespace, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Grade what was found, with the rows of an earlier evaluation that still hold."""
    submissions = found.submissions
    for path in filter(None, (output, args.history)):
        require_outside(path, args.paths)
    gradebook = Gradebook(args.format, args.roster, args.assignment)
    due = None if args.due is None else parse_due(args.due)
    history = History(args.history, output) if args.history else None
    require_target(output)
    spec = DATASETS[args.dataset]
    test_set = load_test_set(spec, args.data_dir, args.test_set)
    limits = {"memory_gib": args.memory, "timeout_seconds": args.timeout}
    recipe = test_set.dataset.normalization
    preprocessing = choose_preprocessing(args.preprocessing, spec, args.data_dir, recipe)
    versions = document.grading_versions(preprocessing.rule, args.models)
    fields = document.header(test_set, threshold, versions, output, limits=limits)
    document.require_agreement(submissions, fields)
    lock = folder_lock(output.parent, ANOTHER_OUTPUT)
    with lock if distributed.is_main_process() else contextlib.nullcontext():
        dropped = document.no_longer_in(output, submissions)
        path = document.path_of_this_rank(output, args.fresh)
        growing = document.GrowingEvaluation(path, fields, {})
        known = distributed.broadcast_from_main(
            lambda: document.take_over(
                growing, output, submissions, threshold, args.isolation, args.fresh
            )
        )
        left = document.left_for_this_rank(submissions, known)
        with growing:
            grade_the_rest(args, threshold, left, test_set, preprocessing, growing)
            document.collect(growing)
        if not distributed.is_main_process():
            return None
        rows = growing.in_order()
        mark_duplicates(rows)
        if args.leaderboard:
            assign_ranks(rows)
        lines = gradebook.mark_late(rows, due)
        growing.path = output
        evaluation = growing.save(complete=True)
        document.remove_files_of_other_ranks(output)
        with github.commands_stopped():
            print(terminal.evaluation(evaluation))
            if found.left_out:
                print(terminal.named("Left out, since nobody hands it in", found.left_out))
            if dropped:
                print(terminal.named("Graded by an earlier command and no longer here", dropped))
            written = gradebook.write(evaluation, output.parent)
            lines += written.lines
            if history:
                lines.append(history.append(rows, float(threshold)))
            print(*lines, sep="\n")
            print(f"Evaluation: {output}  (python report.py {output} renders it)\n")
            print("".join(f"{line}\n" for line in written.lost_block()), end="")
    github.summarise(evaluation)
    print(terminal.verdict(evaluation, len(written.lost), written.gradebook))
    return evaluation


def grade_the_rest(
    args: argparse.Namespace,
    threshold: Fraction,
    left: dict[int, Submission],
    test_set: LabelledImages,
    preprocessing: Preprocessing,
    growing: document.GrowingEvaluation,
) -> None:
    """Grade the submissions that have no row yet, with a progress bar that counts verdicts."""

    def start_sandbox() -> Sandbox:
        memory = round(args.memory * 2**30)
        limits = (memory, args.timeout, args.jobs)
        sandbox = Sandbox(test_set, args.isolation, *limits, preprocessing, args.models)
        if sandbox.fallback_reason:
            reason = sandbox.fallback_reason
            print(f"Without bubblewrap ({reason}): limits alone apply", file=sys.stderr)
        return sandbox

    if preprocessing.warning and distributed.is_main_process():
        print(preprocessing.warning, file=sys.stderr)
    known = len(growing.rows)
    with tqdm(total=known + len(left), initial=known, unit="file", disable=None) as bar:
        for index, row in grade_all(left, test_set, threshold, preprocessing, start_sandbox):
            growing.add(index, row)
            counts = Counter(row["status"] for row in growing.rows.values())
            bar.set_postfix({s: counts[s] for s in ("pass", "fail", "error")}, refresh=False)
            bar.update()


if __name__ == "__main__":
    run_script(distributed.distributed_main(main))
