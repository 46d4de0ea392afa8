"""Find the validation images that every plain network misses, and what would mend each.

Takes the networks that ``bench.study.plain.search`` has trained on the first split. An image is
always missed if none of them recognises it. It is changed more and more, in one way at a time,
until the networks' mean answer is right. How much that takes, in standard deviations of the
recipe's distortions, tells whether training has shown such images. Writes a row for each image,
and how much better the mean answer of the best networks of a split is than each alone.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.study.plain.distortions import thicken
from bench.study.plain.search import LONGER, SPLITS, known_runs, load_network, load_training_split
from bench.study.sweep import Run
from common.metrics import accuracy_percent
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.errors import ALL_PASSED
from common.support.files import write_json
from common.transforms import Distortions, normalize

SPLIT = 0
RECIPE = Distortions()
# In standard deviations, the smallest first.
AMOUNTS = [0.25 * step for step in range(1, 25)]
# The recipe leaves thickness alone; this counts as its standard deviation, pixels on each side.
THICKNESS = 0.3
# A local stretch moves what is around a place; standard deviation of the bump, pixels.
BUMP = 4.0
PLACES = [(x, y) for x in range(4, 28, 6) for y in range(4, 28, 6)]


def mapped(image: Tensor, matrix: list[list[float]]) -> Tensor:
    """Return an image [28, 28] resampled by a matrix [2, 3] from (x, y, 1), frame [-1, 1]."""
    grid = F.affine_grid(torch.tensor([matrix]), [1, 1, 28, 28], align_corners=False)
    return F.grid_sample(image[None, None], grid, align_corners=False)[0, 0]


def turned(image: Tensor, amount: float) -> Tensor:
    """Rotate."""
    angle = math.radians(RECIPE.rotation * amount)
    cos, sin = math.cos(angle), math.sin(angle)
    return mapped(image, [[cos, sin, 0], [-sin, cos, 0]])


def stretched(image: Tensor, place: tuple[int, int], across: float, down: float) -> Tensor:
    """Move what is around a place by so many pixels."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    bump = torch.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * BUMP**2))
    grid = torch.stack([x - across * bump, y - down * bump], dim=2)
    grid = (grid + 0.5) / 14 - 1
    return F.grid_sample(image[None, None], grid[None], align_corners=False)[0, 0]


# Ways to change an image by an amount, in standard deviations; the names are the figure's.
WAYS: dict[str, list[Callable[[Tensor, float], Tensor]]] = {
    "rotation": [turned],
    "slant": [lambda image, a: mapped(image, [[1, RECIPE.shear * a, 0], [0, 1, 0]])],
    "width": [lambda image, a: mapped(image, [[math.exp(RECIPE.scale * a), 0, 0], [0, 1, 0]])],
    "height": [lambda image, a: mapped(image, [[1, 0, 0], [0, math.exp(RECIPE.scale * a), 0]])],
    "shift": [
        lambda image, a: mapped(image, [[1, 0, RECIPE.shift * a / 14], [0, 1, 0]]),
        lambda image, a: mapped(image, [[1, 0, 0], [0, 1, RECIPE.shift * a / 14]]),
    ],
    "local stretch": [
        lambda image, a, p=place, d=direction: stretched(  # type: ignore[misc]
            image, p, RECIPE.elasticity * a * d[0], RECIPE.elasticity * a * d[1]
        )
        for place in PLACES
        for direction in ((1, 0), (0, 1))
    ],
    "thickness": [lambda image, a: thickened(image, THICKNESS * a)],
}


def thickened(image: Tensor, gain: float) -> Tensor:
    """Make the strokes thicker by a gain in pixels, which may exceed one."""
    images, left = image[None], abs(gain)
    while left > 0:
        step = math.copysign(min(left, 1), gain)
        images, left = thicken(images, torch.tensor([step])), left - 1
    return images[0]


def smallest_changes(
    image: Tensor, target: int, networks: list[nn.Module]
) -> dict[str, float | None]:
    """Return for each way the smallest amount that makes the mean answer right, if there is one.

    Parameters
    ----------
    image : Tensor of float32, shape [28, 28]
        Greys from 0 to 255.
    target : int
    networks : list of nn.Module
    """
    found: dict[str, float | None] = {}
    for name, ways in WAYS.items():
        signed = [(a, sign * a) for a in AMOUNTS for sign in (1, -1)]
        changed = torch.stack([way(image, amount) for _, amount in signed for way in ways])
        answers = answers_of(networks, changed).view(len(signed), -1)
        right = (answers == target).any(dim=1).tolist()
        found[name] = next((a for (a, _), ok in zip(signed, right, strict=True) if ok), None)
    return found


@torch.no_grad()
def answers_of(networks: list[nn.Module], images: Tensor) -> Tensor:
    """Return the class with the highest mean probability, int64 [N], for pixels [N, 28, 28]."""
    inputs = normalize(images)
    return torch.stack([net(inputs).softmax(dim=1) for net in networks]).mean(dim=0).argmax(dim=1)


def ensembles(runs: list[Run], folder: Path, data_dir: Path) -> list[dict[str, Any]]:
    """Return for each split the accuracies of LONGER's networks, and that of their mean answer."""
    rows = []
    for split in SPLITS:
        members = [run for run in runs if run["split"] == split and run["name"] in LONGER]
        val = load_training_split(data_dir, split).val
        networks = [load_network(folder, run) for run in members]
        answers = answers_of(networks, torch.from_numpy(val.images)).numpy()
        correct = int((answers == val.targets).sum())
        alone = [run["val_accuracy"] for run in members]
        together = accuracy_percent(correct, len(val))
        print(f"split {split}: {np.mean(alone):.2f} % alone, {together:.2f} % together")
        rows.append({"split": split, "val_accuracies": alone, "of_mean_answer": together})
    return rows


def main() -> int:
    """Find the images, and write their rows."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--search", type=Path, default="bench/results/plain_search.json", help="runs to look at")
    flag("--networks", type=Path, default="runs/plain", help="folder of their networks")
    flag("--output", type=Path, default="bench/results/plain_misses.json", help="the images' rows")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    all_runs = list(known_runs(args.search).values())
    runs = [run for run in all_runs if run["split"] == SPLIT]
    networks = [load_network(args.networks, run) for run in runs]
    val = load_training_split(args.data_dir, SPLIT).val
    pixels = torch.from_numpy(val.images)
    wrong = [answers_of([network], pixels).numpy() != val.targets for network in networks]
    always = np.flatnonzero(np.all(wrong, axis=0)).tolist()
    images = torch.from_numpy(val.images[always])
    answers = answers_of(networks, images).tolist()
    rows: list[dict[str, Any]] = [
        {
            "place": place,
            "target": int(val.targets[place]),
            "answer": answer,
            "changes": smallest_changes(image.float(), int(val.targets[place]), networks),
        }
        for place, image, answer in zip(always, images, answers, strict=True)
    ]
    for way in WAYS:
        amounts = [row["changes"][way] for row in rows]
        within = [sum(a is not None and a <= limit for a in amounts) for limit in (1, 2, 3, 6)]
        print(f"{way:14} mends {within} of {len(rows)} within 1, 2, 3, 6 standard deviations")
    fields = {"command": command_line(), "networks": len(runs), "images": len(val)}
    together = ensembles(all_runs, args.networks, args.data_dir)
    write_json(args.output, {**fields, "rows": rows, "ensembles": together})
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
