"""Time the distortions: a batch at a time, against torchvision's transforms image by image.

- torchvision: RandomAffine, then ElasticTransform, of each image as a tensor, as its reference
  pipelines apply them in a data set;
- project: ``common.augment``, batches of 256.

They take turns within each round; the ratio is that of the fastest rounds.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor
from torchvision.transforms import v2

from common.arguments import ArgumentParser
from common.augment import Distortions
from common.data import load_part
from common.errors import ALL_PASSED, require_positive, run_script

BATCH_SIZE = 256


def by_torchvision() -> Callable[[Tensor], None]:
    """Return torchvision's transforms of like strength, applied to each image."""
    distort = v2.Compose(
        [
            v2.RandomAffine(10, translate=(0.04, 0.04), scale=(0.9, 1.1), shear=6),
            v2.ElasticTransform(alpha=30.0, sigma=5.0),
        ]
    )

    def run(images: Tensor) -> None:
        for image in images:
            distort(image[None])

    return run


def by_project() -> Callable[[Tensor], None]:
    """Return the recipe's distortions, applied to batches."""
    distort = Distortions()

    def run(images: Tensor) -> None:
        for batch in images.split(BATCH_SIZE):
            distort(batch)

    return run


def seconds_per_image(run: Callable[[Tensor], None], images: Tensor) -> float:
    """Return how long one image takes."""
    started = time.perf_counter()
    run(images)
    return (time.perf_counter() - started) / len(images)


def main() -> int:
    """Time both, print images a second and the ratio."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--rounds", type=int, default=5, help="measurements of each")
    flag(
        "--images", type=int, default=2048, help="per measurement; the project gets ten times that"
    )
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(rounds=args.rounds, images=args.images)
    images = load_part(args.data_dir, "train").images
    ways = {
        "torchvision": (by_torchvision(), images[: args.images]),
        "project": (by_project(), images[: 10 * args.images]),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, (run, some) in ways.items():
            found[name].append(seconds_per_image(run, some))
    fastest = {name: min(times) for name, times in found.items()}
    print(f"{torch.get_num_threads()} threads; fastest of {args.rounds} rounds")
    for name, seconds in fastest.items():
        print(f"{name:12} {1 / seconds:10,.0f} images a second")
    print(f"{fastest['torchvision'] / fastest['project']:.0f} times as many")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
