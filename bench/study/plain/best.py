"""Train the best plain network with three seeds, and measure each once on the test images.

The recipe was chosen on validation images before (``bench.study.plain.search``), so the test images
had no influence on it. Each seed becomes a row in the output when it ends, and its network a file
in the folder of the networks; a seed that the output holds is not trained again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from bench.study.plain.recipe import CPU, build, logits_of, train
from bench.study.plain.search import LONGER
from bench.study.sweep import sweep
from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC
from common.data.splits import load_training_data
from common.metrics import accuracy_percent, wilson_ci95
from common.models import count_parameters
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, require_positive
from common.support.files import folder_lock, read_json, write_json

BEST = replace(LONGER["together, from 1.3 to 0.65"], epochs=360)
SEEDS = (42, 43, 44)
VAL_SIZE = 5000  # train_improved.py's default


class Job(NamedTuple):
    """A seed to train with."""

    seed: int
    data_dir: Path
    networks: Path


def run_job(job: Job) -> dict[str, Any]:
    """Train, keep the weights, and measure: the validation images, then the test images."""
    data = load_training_data(MNIST_SPEC, job.data_dir, VAL_SIZE, job.seed)
    model, seconds = train(BEST, data, job.seed)
    val_accuracy = accuracy_percent(count_correct(model, data.val), len(data.val))
    job.networks.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), job.networks / f"best-{job.seed}.pth")
    test = load_split(MNIST_SPEC, job.data_dir, "test")
    correct = count_correct(model, test)
    return {
        "seed": job.seed,
        "seconds": seconds,
        "val_accuracy": val_accuracy,
        "test_accuracy": accuracy_percent(correct, len(test)),
        "test_accuracy_ci95": wilson_ci95(correct, len(test)),
    }


def count_correct(model: nn.Module, images: LabelledImages) -> int:
    """Return how many of the images the network recognises."""
    return int((logits_of(model, images).argmax(axis=1) == images.targets).sum())


def main() -> int:
    """Train what is missing in the output, and print the accuracies."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--jobs", type=int, default=2, help="trainings at the same time, one thread each")
    flag("--output", type=Path, default="bench/results/plain_network.json", help="the accuracies")
    flag("--networks", type=Path, default="runs/plain", help="folder of the weights")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(jobs=args.jobs)
    with folder_lock(args.output.parent, "name another --output"):
        known = read_json(args.output, required=("runs",)) if args.output.exists() else {}
        recipe = BEST.describe()
        runs = {r["seed"]: r for r in known["runs"]} if known.get("recipe") == recipe else {}
        jobs = [Job(seed, args.data_dir, args.networks) for seed in SEEDS if seed not in runs]
        fields = {"command": command_line(), "environment": describe_environment(CPU)}
        for run in sweep(run_job, jobs, args.jobs):
            runs[run["seed"]] = run
            rows = [runs[seed] for seed in SEEDS if seed in runs]
            mean = sum(row["test_accuracy"] for row in rows) / len(rows)
            document = {
                **fields,
                "recipe": recipe,
                "parameters": count_parameters(build(BEST)),
                "runs": rows,
                "mean_test_accuracy": mean,
            }
            write_json(args.output, document)
    for seed in SEEDS:
        low, high = runs[seed]["test_accuracy_ci95"]
        print(
            f"seed {seed}: validation {runs[seed]['val_accuracy']:.2f} %, test "
            f"{runs[seed]['test_accuracy']:.2f} % ({low:.2f} - {high:.2f}), "
            f"{runs[seed]['seconds'] / 60:.1f} min"
        )
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
