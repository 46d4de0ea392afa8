"""Train a run that was handed in anew, and tell whether it ends in the same weights.

Run as ``python -m bench.checks.retrain RUN``, where RUN is the folder with its metrics.json and
checkpoint.pth. What metrics.json says is trained by this project's own scripts: no code of whoever
handed it in is run. Ends with 0 if all weights are the same to the bit, with 1 if it is another
result, and with 2 if the two cannot be compared.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from bench.checks.reproduce import CONDITIONS, digest_of_weights
from bench.runs import train
from common.data.catalog import DATASETS
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED, UserError
from common.support.files import read_json
from common.support.text import shorten, terminal_safe
from evaluations.validation import check_metrics

# Variables that let a processor with AVX-512 compute as one that has AVX2 alone.
_AS_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
_AVX2 = "oneDNN with AVX2, torch with AVX2"
_RATE_OF = {"train_base.py": ("optimizer", "lr"), "train_improved.py": ("schedule", "max_lr")}
_SCRIPTS = {"MNISTClassifier": "train_base.py", "ImprovedMNISTClassifier": "train_improved.py"}


def main() -> int:
    """Read what was handed in, train, and compare."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    flag("run", metavar="RUN", type=Path, help="folder with metrics.json and checkpoint.pth")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    if not args.run.is_dir():
        raise UserError(f"{args.run}: name the folder that holds metrics.json and checkpoint.pth")
    given = read_json(args.run / "metrics.json")
    check_metrics(given, args.run / "metrics.json")
    weights = digest_of_weights(args.run / "checkpoint.pth")
    script, flags = command_of(given)
    print(terminal_safe(f"Trains: python {' '.join([script, *flags])}"), flush=True)
    by_avx2 = given["environment"].get("arithmetic") == _AVX2
    environment = {**os.environ, **(_AS_AVX2 if by_avx2 else {})}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "run")
        places = ("--data-dir", args.data_dir, "--output-dir", folder)
        # What it says of this folder means nothing to anyone: it is gone in a moment.
        train(script, *flags, *places, environment=environment, unsaid=place)
        found = read_json(folder / "metrics.json")
        is_same = digest_of_weights(folder / "checkpoint.pth") == weights
    if is_same:
        print(f"{terminal_safe(str(args.run))}: to the bit")
        return ALL_PASSED
    if differences := differing(given, found):
        raise UserError(f"{args.run} cannot be compared, because {', '.join(differences)}")
    print(f"{terminal_safe(str(args.run))}: another result")
    return SOME_FAILED


def command_of(metrics: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the script and the flags that train what ``metrics`` describes.

    Raises UserError if no script of this project does.
    """
    recipe, key = metrics["recipe"], metrics["data"]["key"]
    try:
        script = _SCRIPTS[recipe["model"]["name"]]
        place, name = _RATE_OF[script]
        numbers = {
            **{flag: recipe[flag] for flag in ("epochs", "batch_size", "seed", "val_size")},
            "lr": recipe[place][name],
        }
    except (KeyError, TypeError) as error:
        raise UserError(
            "metrics.json has a network or settings that train_base.py and train_improved.py lack; "
            "no other code is run here: ask for the script, and read it before you run it"
        ) from error
    if key not in DATASETS or not all(type(number) in (int, float) for number in numbers.values()):
        raise UserError(
            f"metrics.json has the data set {shorten(repr(key), 40)} or a number that {script} "
            "does not take: it was edited, or comes from another version of this project"
        )
    flags = [f"--{flag.replace('_', '-')}={number}" for flag, number in numbers.items()]
    augmented = ["--augment"] if "distortions" in recipe else []
    return script, [f"--dataset={key}", *flags, *augmented]


def differing(given: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return what keeps two runs from having the same bits: recipe, data or conditions."""
    differences = [
        f"its {part} {name} is {shorten(repr(given[part].get(name)), 60)}, and here "
        f"{shorten(repr(value), 60)}"
        for part in ("recipe", "data")
        for name, value in found[part].items()
        if given[part].get(name) != value
    ]
    return differences + [
        f"{name} was {shorten(repr(given['environment'].get(name)), 60)}, and is "
        f"{found['environment'][name]}"
        for name in (*CONDITIONS, "world_size")
        if given["environment"].get(name) != found["environment"][name]
    ]


if __name__ == "__main__":
    run_script(main)
