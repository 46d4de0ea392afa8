"""Try changes of the augmented recipe: how well it fits, and what raises its accuracy.

Each change is trained with two seeds on each of two splits, 50,000 images to train on and 10,000 to
validate on. No test image is read. Each run becomes a row in the output when it ends, and its
network a file in the folder of the networks; after an interruption the same command continues.
Prints accuracy and loss of each change, and their mean differences to the recipe, with Student's
95 % intervals.
"""

import hashlib
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from bench.study.plain.distortions import WiderDistortions, scaled
from bench.study.plain.recipe import CPU, PlainNetwork, Recipe, measure, train
from bench.study.sweep import Run, sweep
from bench.study.verdicts import paired_interval
from common.data.catalog import MNIST_SPEC
from common.data.splits import TrainingData, load_training_data
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, UserError, require_positive
from common.support.files import folder_lock, read_json, write_json
from common.transforms import Distortions

VAL_SIZE = 10_000
SPLITS, SEEDS = (0, 1), (0, 1)

RECIPE = Recipe()
_HALF, _TWICE = (512, 256, 128, 64), (2048, 1024, 512, 256)

# How well networks fit by their size and their epochs; one split and one seed each.
FIT = {
    f"{width}, {epochs} epochs": replace(RECIPE, hidden_sizes=hidden_sizes, epochs=epochs)
    for width, hidden_sizes in (
        ("half the width", _HALF),
        ("the recipe", RECIPE.hidden_sizes),
        ("twice the width", _TWICE),
    )
    for epochs in (5, 20, 60)
}

CHANGES = {
    "the recipe": RECIPE,
    "distortions fading to 0.5": replace(RECIPE, last_strength=0.5),
    "distortions fading to 0.2": replace(RECIPE, last_strength=0.2),
    "local first layer, 3 pixels": replace(RECIPE, window=3.0),
    "no dropout": replace(RECIPE, dropout_rate=0.0),
    "GELU": replace(RECIPE, activation="gelu"),
    "thickness of 0.3": replace(RECIPE, distortions=WiderDistortions(thickness=0.3)),
    "a fifth erased": replace(RECIPE, distortions=WiderDistortions(erased=0.2)),
    "a quarter twice as strong": replace(RECIPE, distortions=WiderDistortions(extreme=0.25)),
}

# What helped, together, for twice the epochs; and how strong the distortions should then be.
TOGETHER = replace(RECIPE, epochs=40, window=3.0, dropout_rate=0.0, activation="gelu")
LONGER = {
    "together, 40 epochs": TOGETHER,
    "together, fading to 0.5": replace(TOGETHER, last_strength=0.5),
    "together, from 1.3 to 0.65": replace(
        TOGETHER, distortions=scaled(Distortions(), 1.3), last_strength=0.5
    ),
}


class Job(NamedTuple):
    """A recipe to train with a seed on a split."""

    name: str
    recipe: Recipe
    split: int
    seed: int
    data_dir: Path
    networks: Path

    @property
    def key(self) -> str:
        """The key of its row."""
        return key_of(self.recipe.describe(), self.split, self.seed)


def key_of(recipe: dict[str, Any], split: int, seed: int) -> str:
    """Return the key of a run; it is the same before a recipe is written as JSON and after."""
    return json.dumps([recipe, split, seed], sort_keys=True)


def load_training_split(data_dir: Path, split: int) -> TrainingData:
    """Return the training images, of which the number of the split chooses some to validate on."""
    return load_training_data(MNIST_SPEC, data_dir, VAL_SIZE, seed=split)


def run_job(job: Job) -> Run:
    """Train and measure; the network becomes a file."""
    data = load_training_split(job.data_dir, job.split)
    model, seconds = train(job.recipe, data, job.seed)
    job.networks.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), network_path(job.networks, job.key))
    identity = {"name": job.name, "split": job.split, "seed": job.seed}
    return {
        **identity,
        "recipe": job.recipe.describe(),
        "seconds": seconds,
        **measure(model, data),
    }


def network_path(networks: Path, key: str) -> Path:
    """Return where the network of a run is, or will be."""
    return networks / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.pth"


def load_network(networks: Path, run: Run) -> nn.Module:
    """Return the network of a run, ready to be asked."""
    names = ("hidden_sizes", "dropout_rate", "activation")
    model = PlainNetwork(*(run["recipe"].get(name, getattr(RECIPE, name)) for name in names))
    path = network_path(networks, key_of(run["recipe"], run["split"], run["seed"]))
    if not path.exists():
        raise UserError(
            f"{networks} does not hold all networks of the search: train them by bench.study.plain."
            "search, with an --output that does not exist yet, and name this output as --search"
        )
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def main() -> int:
    """Train what is missing in the output, and print the differences."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--jobs", type=int, default=2, help="trainings at the same time, one thread each")
    flag("--output", type=Path, default="bench/results/plain_search.json", help="the runs")
    flag("--networks", type=Path, default="runs/plain", help="folder of the trained networks")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(jobs=args.jobs)
    fit = ((name, recipe, 0, 0) for name, recipe in FIT.items())
    several = {**CHANGES, **LONGER}.items()
    changes = ((*item, *ids) for item in several for ids in product(SPLITS, SEEDS))
    jobs = [Job(*ids, args.data_dir, args.networks) for ids in (*fit, *changes)]
    with folder_lock(args.output.parent, "name another --output"):
        runs = known_runs(args.output)
        fields = {"command": command_line(), "environment": describe_environment(CPU)}
        missing = {job.key: job for job in jobs if job.key not in runs}
        for run in sweep(run_job, list(missing.values()), args.jobs):
            runs[key_of(run["recipe"], run["split"], run["seed"])] = run
            write_json(args.output, {**fields, "runs": list(runs.values())})
    for first, group in ((RECIPE, CHANGES), (TOGETHER, LONGER)):
        for name, recipe in group.items():
            print(f"{describe_differences(runs, recipe, first)}  {name}")
    return ALL_PASSED


def known_runs(path: Path) -> dict[str, Run]:
    """Return the rows that an earlier search has written to ``path``, by key."""
    rows = read_json(path, required=("runs",))["runs"] if path.exists() else []
    return {key_of(row["recipe"], row["split"], row["seed"]): row for row in rows}


def describe_differences(runs: dict[str, Run], recipe: Recipe, first: Recipe) -> str:
    """Return what a recipe has reached, and its paired differences to the first one."""
    changed, before = (
        [runs[key_of(one.describe(), *ids)] for ids in product(SPLITS, SEEDS)]
        for one in (recipe, first)
    )
    columns = []
    for measure_name, digits, unit in (("val_accuracy", 2, " %"), ("val_loss", 4, "")):
        values = [run[measure_name] for run in changed]
        differences = [a - b[measure_name] for a, b in zip(values, before, strict=True)]
        low, high = paired_interval(differences)
        found = f"{np.mean(differences):+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
        columns.append(f"{np.mean(values):.{digits}f}{unit} {found:28}")
    return " ".join(columns)


if __name__ == "__main__":
    run_script(main)
