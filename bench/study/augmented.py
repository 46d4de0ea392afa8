"""Train the augmented recipe with three seeds, and measure each once on the test images.

The recipe was chosen on validation images before (``bench/study/augment_search.py``), so the test
images had no influence on it. A run that is finished is not trained again; one that was interrupted
continues.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.runs import measure, train
from bench.study.ablations import CPU
from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.loops import Batches
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.errors import ALL_PASSED, require_positive
from common.support.files import read_json, write_json

SEEDS = (42, 43, 44)


def train_seed(seed: int, folder: Path, data_dir: Path) -> None:
    """Train with a seed on one thread, so that as many trainings as cores can run."""
    flags = ("--augment", "--seed", str(seed), "--resume")
    places = ("--output-dir", folder, "--data-dir", data_dir)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    train("train_improved.py", *flags, *places, environment=environment)


def main() -> int:
    """Train, measure, write, print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--jobs", type=int, default=2, help="trainings at the same time, one thread each")
    flag("--runs-dir", type=Path, default="runs/seeds", help="folder of the runs")
    flag("--output", type=Path, default="bench/results/augmented.json", help="the accuracies")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(jobs=args.jobs)
    folders = {seed: args.runs_dir / f"augmented-{seed}" for seed in SEEDS}
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda seed: train_seed(seed, folders[seed], args.data_dir), SEEDS))
    test_set = load_split(MNIST_SPEC, args.data_dir, "test")
    batches = Batches(test_set, batch_size=1000, device=CPU)
    runs: list[dict[str, Any]] = []
    for seed, folder in folders.items():
        row = measure(folder, test_set, batches).row
        metrics = read_json(folder / "metrics.json")
        runs.append(
            {
                "seed": seed,
                "val_accuracy": row["validation"]["accuracy"],
                "test_accuracy": row["accuracy"],
                "test_accuracy_ci95": row["accuracy_ci95"],
                "seconds": metrics["seconds"],
            }
        )
        low, high = row["accuracy_ci95"]
        print(
            f"seed {seed}: validation {row['validation']['accuracy']:.2f} %, test "
            f"{row['accuracy']:.2f} % ({low:.2f} - {high:.2f}), {metrics['seconds'] / 60:.1f} min"
        )
    mean = sum(run["test_accuracy"] for run in runs) / len(runs)
    print(f"mean test accuracy: {mean:.2f} %")
    document = {
        "command": command_line(),
        "runs": runs,
        "mean_test_accuracy": mean,
        "recipe": metrics["recipe"],
        "environment": metrics["environment"],
    }
    write_json(args.output, document)
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
