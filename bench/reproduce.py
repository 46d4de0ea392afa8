"""Train both recipes anew and compare with the record of the README's run, docs/reproduction.json.

Where torch, processor family, threads and device are those of the record, weights and accuracies
must be the same to the bit; elsewhere, accuracies must lie within the record's 95 % intervals. The
last line says which of the two was compared. Ends with 1 if it does not hold.
"""

import hashlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from common.arguments import ArgumentParser
from common.checkpoints import load_checkpoint
from common.errors import ALL_PASSED, SOME_FAILED, UserError, run_script
from common.files import read_json, write_json
from common.image_sets import MNIST
from common.own_runs import batches_of, measure_run
from common.reference import public_test_set

REPOSITORY = Path(__file__).resolve().parent.parent
RECORD = REPOSITORY / "docs/reproduction.json"
RECIPES = ("base", "improved")
CONDITIONS = ("torch", "numpy", "processor_family", "threads", "device")


def digest_of_weights(path: Path) -> str:
    """Return a SHA-256 sum of a checkpoint's tensors: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_checkpoint(path).model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def train(recipe: str, folder: Path, data_dir: Path) -> None:
    """Run a training script with its defaults, from the start whatever the folder holds."""
    script = REPOSITORY / f"train_{recipe}.py"
    places = ["--output-dir", folder, "--data-dir", data_dir]
    if subprocess.run([sys.executable, script, *places]).returncode != 0:
        raise UserError(f"{script.name} did not come to its end")


def measured(places: dict[str, Path], data_dir: Path) -> dict[str, Any]:
    """Return the conditions of the runs, and what came out of each."""
    reference = public_test_set(MNIST, data_dir)
    batches = batches_of(reference, torch.device("cpu"))
    runs = {}
    for recipe, folder in places.items():
        row = measure_run(folder, reference, batches, Fraction(90)).row
        if row["status"] == "error":
            raise UserError(f"{folder}: {row['reason']}")
        runs[recipe] = {
            "weights_sha256": digest_of_weights(folder / "checkpoint.pth"),
            "val_accuracy": row["validation"]["accuracy"],
            "test_accuracy": row["accuracy"],
            "test_accuracy_ci95": row["accuracy_ci95"],
        }
    environment = read_json(places["base"] / "metrics.json")["environment"]
    return {"conditions": {key: environment[key] for key in CONDITIONS}, "runs": runs}


def compare(record: dict[str, Any], found: dict[str, Any]) -> tuple[list[str], bool]:
    """Return lines that say what was compared, and whether it holds."""
    others = [
        f"{key} {found['conditions'][key]} (recorded: {value})"
        for key, value in record["conditions"].items()
        if found["conditions"][key] != value
    ]
    lines, holds = [], True
    for recipe, expected in record["runs"].items():
        run = found["runs"][recipe]
        low, high = expected["test_accuracy_ci95"]
        same = run == expected if not others else low <= run["test_accuracy"] <= high
        holds &= same
        lines.append(
            f"{recipe}: {run['test_accuracy']:.2f} % (recorded: {expected['test_accuracy']:.2f} %, "
            f"interval {low:.2f} - {high:.2f}), weights "
            f"{'the same' if run['weights_sha256'] == expected['weights_sha256'] else 'others'}: "
            f"{'reproduced' if same else 'NOT REPRODUCED'}"
        )
    what = f"by interval, since here is {', '.join(others)}" if others else "to the bit"
    return [*lines, f"Compared {what}"], holds


def main() -> int:
    """Train, measure, compare; or record."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--output-dir", type=Path, default="runs/reproduced", help="folder of the new runs")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    flag("--record", action="store_true", help="record the runs instead of comparing them")
    args = parser.parse_args()
    places = {recipe: args.output_dir / recipe for recipe in RECIPES}
    for recipe, folder in places.items():
        train(recipe, folder, args.data_dir)
    found = measured(places, args.data_dir)
    if args.record:
        write_json(RECORD, found)
        print(f"Recorded in {RECORD.relative_to(REPOSITORY)}")
        return ALL_PASSED
    lines, holds = compare(read_json(RECORD, required=("conditions", "runs")), found)
    print("\n".join(lines))
    return ALL_PASSED if holds else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
