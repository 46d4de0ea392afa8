"""Measure one's own runs on the test images, or grade the files and folders that are named.

Without PATH: every training run in runs/, or those that are named, into runs/evaluation.json; the
best of them, by validation accuracy, is saved beside it as mnist_classifier_best.pth. With any
other PATH: everything named, each file in a process of its own, into runs/grading/evaluation.json
and grades.csv beside it. Other data sets have all this in runs/DATASET/.
"""

import argparse
import contextlib
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from common.data.catalog import DATASET_HELP, DATASETS, DatasetSpec
from common.support import distributed
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED
from common.support.files import folder_lock, require_target, write_json
from evaluations.disclosure import disclosed
from grading import document
from grading.flags import add_flags, refuse_contradictions
from grading.grade_class import grade_class
from grading.gradebooks.gradebook import Gradebook
from grading.gradebooks.history import History
from grading.gradebooks.late import parse_due
from grading.intake.class_zip import folder_to_unpack_in
from grading.intake.rows import assign_ranks, mark_duplicates
from grading.intake.submissions import find_submissions, require_outside
from grading.preprocessing import choose_preprocessing
from grading.sandbox.client import Sandbox
from grading.sandbox.confinement.system_calls import can_be_filtered
from grading.sandbox.machine import fit_jobs
from grading.sandbox.portable.client import PortableSandbox
from grading.sandbox.portable.process import choose_isolation
from grading.test_sets import load_test_set, threshold_of
from own_runs.folders import Found, are_own_runs, find_own_runs
from reporting import github, terminal

ANOTHER_OUTPUT = "name another --output"


def main(argv: Sequence[str] | None = None) -> int:
    """Find, measure, write, print; return the exit status."""
    args = parse_arguments(argv)
    spec = DATASETS[args.dataset]
    threshold = threshold_of(spec, args.threshold)
    are_own = are_own_runs(args.paths, spec.runs)
    refuse_contradictions(args, are_own)
    folder = spec.runs if are_own else spec.runs / "grading"
    output = args.output or folder / "evaluation.json"
    evaluate = measure_own_runs if are_own else grade_submissions
    evaluation = evaluate(args, spec, threshold, output)
    if evaluation is None:
        return ALL_PASSED  # rank 0 reports the result
    all_passed = all(row["status"] == "pass" for row in evaluation["results"])
    return ALL_PASSED if all_passed or args.exit_zero else SOME_FAILED


def measure_own_runs(
    args: argparse.Namespace, spec: DatasetSpec, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Measure the runs that are there, choose one by validation accuracy, and save it."""
    if not distributed.is_main_process():
        return None  # it takes seconds, so rank 0 does it alone
    # Imported here, since they load torch: half a gigabyte that grading has no use for.
    from common.loops import Batches
    from common.support import environment
    from own_runs import inspection, measure, playground

    found = find_own_runs(spec.runs, spec.key) if not args.paths else Found(args.paths, [])
    device = environment.choose_device(args.device)
    require_target(output)
    test_set = load_test_set(spec, args.data_dir, args.test_set)
    with folder_lock(output.parent, ANOTHER_OUTPUT):
        batches = Batches(test_set, batch_size=1000, device=device)
        runs = [
            measure.measure_run(folder, test_set, batches, threshold)
            for folder in tqdm(found.runs, unit="run", disable=None, leave=False)
        ]
        measured = [run for run in runs if isinstance(run, measure.Measured)]
        best = measure.choose_best(measured)
        for run in measure.by_validation(measured)[:2]:
            seen = (run.model, run.answers, run.row["misclassified"])
            run.row["inspection"] = inspection.inspect_network(*seen, batches, test_set)
        evaluation = {
            **document.header(test_set, threshold, environment.versions(), output),
            "best": best.row["name"] if best else None,
            "results": [run.row for run in runs],
            "comparisons": measure.compare_runs(measured, best, test_set),
            "robustness": measure.measure_robustness(measured, test_set, device),
        }
        write_json(output, evaluation)
        best_path = output.parent / spec.best_name
        measure.save_best(best, test_set.dataset, best_path)
        page = ""
        if args.playground:
            where = (output.with_name("playground.json"), best, test_set, batches, spec)
            page = playground.write_playground(*where, args.data_dir)
    print(terminal.evaluation(evaluation))
    print(terminal.choice(evaluation, best_path), end="")
    if found.left_out:
        print(terminal.named("Left out, since trained on other data sets", found.left_out))
    alone = "; of the runs named: without PATH all are measured" if args.paths else ""
    print(f"Evaluation: {output}  (python report.py {output} renders it{alone})\n{page}")
    print(terminal.verdict(evaluation))
    return evaluation


def grade_submissions(
    args: argparse.Namespace, spec: DatasetSpec, threshold: Fraction, output: Path
) -> dict[str, Any] | None:
    """Give every file and folder that is named one row, and write the rows in each form.

    Under torchrun each rank grades its part, and rank 0 writes and returns the evaluation.
    """
    isolation = choose_isolation(args.isolation)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(folder_to_unpack_in())
        found = find_submissions(args.paths, isolation, folder, args.platform)
        for path in filter(None, (output, args.history)):
            require_outside(path, args.paths)
        gradebook = Gradebook(args.format, args.roster, args.assignment)
        due = None if args.due is None else parse_due(args.due)
        history = History(args.history, output) if args.history else None
        require_target(output)
        test_set = load_test_set(spec, args.data_dir, args.test_set)
        recipe = test_set.dataset.normalization
        preprocessing = choose_preprocessing(args.preprocessing, spec, args.data_dir, recipe)
        limits = {"memory_gib": args.memory, "timeout_seconds": args.timeout}
        limits["filters_system_calls"] = isolation != "none" and can_be_filtered()
        versions = document.grading_versions(preprocessing.rule, args.models)
        fields = document.header(test_set, threshold, versions, output, limits=limits)
        memory = round(args.memory * 2**30)
        jobs = fit_jobs(args.jobs, memory, distributed.local_world_size())
        settings = (memory, args.timeout, jobs, preprocessing, args.models)
        kind = PortableSandbox if isolation == "none" else Sandbox
        start_sandbox = partial(kind, test_set, isolation, *settings)
        if distributed.is_main_process():
            stack.enter_context(folder_lock(output.parent, ANOTHER_OUTPUT))
        dropped = document.no_longer_in(output, found.submissions)
        growing = grade_class(
            *(found.submissions, test_set, threshold, preprocessing, start_sandbox),
            *(fields, output, isolation, args.fresh),
        )
        if not distributed.is_main_process():
            return None
        rows = growing.in_order()
        mark_duplicates(rows)
        if args.leaderboard:
            assign_ranks(rows, disclosed(fields | {"results": rows})["results"])
        lines = gradebook.mark_late(rows, due)
        evaluation = document.finish(growing)
        shown = disclosed(evaluation)
        with github.commands_stopped():
            print(terminal.evaluation(shown))
            print(terminal.left_out(found.left_out, dropped), end="")
            written = gradebook.write(shown, output.parent)
            lines += written.lines
            if history:
                lines.append(history.append(shown["results"], float(threshold)))
            pages = f"python report.py {output} renders it, with --feedback a page for each student"
            print(*lines, f"Evaluation: {output}  ({pages})\n", sep="\n")
            print("".join(f"{line}\n" for line in written.lost_block()), end="")
    github.summarise(shown)
    print(terminal.verdict(evaluation, len(written.lost), written.gradebook))
    return evaluation


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        prog="evaluate.py",
        description=__doc__.split("\n\n")[0],
        epilog="Exit status: 0 all pass; 1 some fail or cannot be graded; 2 could not run.",
    )
    flag = parser.add_argument
    what = "training run, submission, folder of submissions, or the zip file of a course platform"
    flag("paths", metavar="PATH", nargs="*", type=Path, help=what)
    where = "evaluation.json in runs or runs/DATASET, with PATH in its folder grading"
    flag("--output", metavar="FILE", type=Path, help=f"evaluation to write (default: {where})")
    what = "accuracy that passes (default: the data set's; 90 for mnist)"
    flag("--threshold", metavar="PERCENT", help=what)
    flag("--dataset", metavar="NAME", choices=DATASETS, default="mnist", help=DATASET_HELP)
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    what = "measure on the IDX pair or the pictures in this folder, or on this .npz file"
    flag("--test-set", metavar="PATH", type=Path, help=what)
    flag("--device", default="auto", help="where one's own runs are measured: cpu, cuda or mps")
    flag("--playground", action="store_true", help="also write playground.json, for report.py")
    flag("--exit-zero", action="store_true", help="end with 0 even if some did not pass")
    add_flags(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_script(distributed.distributed_main(main))
