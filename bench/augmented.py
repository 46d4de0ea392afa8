"""Train the augmented recipe with three seeds, and read the test accuracy of each once.

Writes docs/augmented.json. The recipe was settled on validation images before (see
bench/augment_search.py), so that the test images have no say in it. A run that is finished is not
trained again, one that was interrupted goes on.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.ablations import CPU
from common.arguments import ArgumentParser, command_line
from common.errors import ALL_PASSED, UserError, require_positive, run_script
from common.files import read_json, write_json
from common.image_sets import MNIST
from common.own_runs import batches_of, measure_run
from common.reference import public_test_set

SCRIPT = Path(__file__).resolve().parent.parent / "train_improved.py"
SEEDS = (42, 43, 44)


def train(seed: int, folder: Path, data_dir: Path) -> None:
    """Run the script to its end, on one thread: as many run at a time as there are cores."""
    flags = ["--augment", "--seed", str(seed), "--resume"]
    places = ["--output-dir", str(folder), "--data-dir", str(data_dir)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if subprocess.run([sys.executable, SCRIPT, *flags, *places], env=environment).returncode != 0:
        raise UserError(f"the training with seed {seed} did not come to its end")


def main() -> int:
    """Train, measure, write, print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--jobs", type=int, default=2, help="trainings at once, on one thread each")
    flag("--runs-dir", type=Path, default="runs/seeds", help="folder of the runs")
    flag("--output", type=Path, default="docs/augmented.json", help="the accuracies")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(jobs=args.jobs)
    folders = {seed: args.runs_dir / f"augmented-{seed}" for seed in SEEDS}
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda item: train(*item, args.data_dir), folders.items()))
    reference = public_test_set(MNIST, args.data_dir)
    batches = batches_of(reference, CPU)
    runs: list[dict[str, Any]] = []
    for seed, folder in folders.items():
        row = measure_run(folder, reference, batches, Fraction(90)).row
        if row["status"] == "error":
            raise UserError(f"{folder}: {row['reason']}")
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
