"""Train both recipes again and compare with the recorded runs, bench/results/reproduction.json.

There are two records, since AVX2 and AVX-512 round differently. If torch, numpy and device are
those of the record of this arithmetic, weights and accuracies must be the same to the bit. If not,
the accuracies must be within the record's 95 % intervals. The last line says which of the two was
compared. Ends with exit status 1 if a run is not reproduced.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch

from bench.runs import REPOSITORY, measure, train
from common.checkpoints import load_checkpoint
from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.loops import Batches
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED
from common.support.files import read_json, write_json

RECORD = REPOSITORY / "bench/results/reproduction.json"
RECIPES = ("base", "improved")
CONDITIONS = ("torch", "numpy", "arithmetic", "device")


def digest_of_weights(path: Path) -> str:
    """Return a SHA-256 sum of a checkpoint's tensors: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_checkpoint(path).model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def measure_recipes(folders: dict[str, Path], data_dir: Path) -> dict[str, Any]:
    """Return the conditions of the runs, and the results of each."""
    test_set = load_split(MNIST_SPEC, data_dir, "test")
    batches = Batches(test_set, batch_size=1000, device=torch.device("cpu"))
    runs = {}
    for recipe, folder in folders.items():
        row = measure(folder, test_set, batches).row
        runs[recipe] = {
            "weights_sha256": digest_of_weights(folder / "checkpoint.pth"),
            "val_accuracy": row["validation"]["accuracy"],
            "test_accuracy": row["accuracy"],
            "test_accuracy_ci95": row["accuracy_ci95"],
        }
    environment = read_json(folders["base"] / "metrics.json")["environment"]
    conditions = {key: environment[key] for key in CONDITIONS}
    # Builds for CPUs and for GPUs, "+cpu" and "+cu130", compute the same on the CPU.
    conditions["torch"] = conditions["torch"].partition("+")[0]
    return {"conditions": conditions, "runs": runs}


def of_same_arithmetic(records: list[dict[str, Any]], found: dict[str, Any]) -> dict[str, Any]:
    """Return the record to compare with: the one of the same arithmetic, or else the first."""
    arithmetic = found["conditions"]["arithmetic"]
    same = [record for record in records if record["conditions"]["arithmetic"] == arithmetic]
    return (same or records)[0]


def compare(record: dict[str, Any], found: dict[str, Any]) -> tuple[list[str], bool]:
    """Return lines that say what was compared, and whether all runs are reproduced."""
    differing = [
        f"{key} {found['conditions'][key]} (recorded: {value})"
        for key, value in record["conditions"].items()
        if found["conditions"][key] != value
    ]
    lines, all_same = [], True
    for recipe, expected in record["runs"].items():
        run = found["runs"][recipe]
        low, high = expected["test_accuracy_ci95"]
        same = run == expected if not differing else low <= run["test_accuracy"] <= high
        all_same &= same
        lines.append(
            f"{recipe}: {run['test_accuracy']:.2f} % (recorded: {expected['test_accuracy']:.2f} %, "
            f"interval {low:.2f} - {high:.2f}), weights "
            f"{'equal' if run['weights_sha256'] == expected['weights_sha256'] else 'different'}: "
            f"{'reproduced' if same else 'NOT REPRODUCED'}"
        )
    how = f"by interval, because of {', '.join(differing)}" if differing else "to the bit"
    return [*lines, f"Compared {how}"], all_same


def main() -> int:
    """Train, measure, and compare or record."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--output-dir", type=Path, default="runs/reproduced", help="folder of the new runs")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    flag("--record", action="store_true", help="record the runs instead of comparing them")
    args = parser.parse_args()
    folders = {recipe: args.output_dir / recipe for recipe in RECIPES}
    for recipe, folder in folders.items():
        train(f"train_{recipe}.py", "--output-dir", folder, "--data-dir", args.data_dir)
    found = measure_recipes(folders, args.data_dir)
    records = read_json(RECORD, required=("records",))["records"]
    if args.record:
        arithmetic = found["conditions"]["arithmetic"]
        others = [r for r in records if r["conditions"]["arithmetic"] != arithmetic]
        write_json(RECORD, {"records": [*others, found]})
        print(f"Recorded in {RECORD.relative_to(REPOSITORY)}")
        return ALL_PASSED
    lines, all_same = compare(of_same_arithmetic(records, found), found)
    print("\n".join(lines))
    return ALL_PASSED if all_same else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
