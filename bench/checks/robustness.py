"""Measure the runs in runs/ on all test images, changed in each way of the report.

Prints a table. A network with batch normalisation is measured once more, with the mean and variance
of the changed images in place of those of the training images: what it recognises more than before
is what these constants had cost.
"""

import argparse
import time
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

from bench.runs import measure
from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.loops import Batches
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED
from own_runs.folders import find_own_runs
from own_runs.measure import Measured, measure_robustness

RUNS = Path("runs")


def with_batch_statistics(model: nn.Module) -> nn.Module | None:
    """Return a copy whose batch normalisation has no constants, if the network has any.

    In evaluation, too, it takes mean and variance from each batch.
    """
    changed = deepcopy(model)
    layers = [module for module in changed.modules() if isinstance(module, nn.BatchNorm1d)]
    for layer in layers:
        layer.running_mean = layer.running_var = None
    return changed if layers else None


def main() -> int:
    """Measure, print the table in Markdown."""
    args = parse_arguments()
    device = torch.device("cpu")
    test_set = load_split(MNIST_SPEC, args.data_dir, "test")
    batches = Batches(test_set, batch_size=1000, device=device)
    runs = [measure(folder, test_set, batches) for folder in find_own_runs(RUNS, "mnist").runs]
    adapted = [
        Measured({**run.row, "name": f"{run.row['name']}, statistics anew"}, run.answers, model)
        for run in runs
        if (model := with_batch_statistics(run.model))
    ]
    tables = [
        measure_robustness(some, test_set, device, len(test_set))["corruptions"]
        for some in (runs, adapted)
    ]
    names = [run.row["name"] for run in [*runs, *adapted]]
    print(f"| change | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for rows in zip(*tables, strict=True):
        accuracies = {run["run"]: f"{run['accuracy']:.1f} %" for row in rows for run in row["runs"]}
        print(f"| {rows[0]['name']} | {' | '.join(accuracies[name] for name in names)} |")
    started = time.process_time()
    measure_robustness(runs, test_set, device)
    print(f"evaluate.py: {time.process_time() - started:.1f} s of processor time on a sample")
    return ALL_PASSED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
