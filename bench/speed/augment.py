"""Time the distortions: batch by batch, against torchvision's transforms image by image.

- torchvision: RandomAffine, then ElasticTransform, of each image as a tensor, as its reference
  pipelines apply them in a data set;
- project: ``common.transforms.Distortions``, in batches of 256.

The two take turns in each round; the ratio is that of the fastest rounds.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, require_positive
from common.transforms import Distortions

BATCH_SIZE = 256


def by_torchvision() -> Callable[[Tensor], None]:
    """Return torchvision's transforms of similar strength, applied to each image."""
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
    """Time both, print images per second and the ratio."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--rounds", type=int, default=5, help="measurements of each")
    flag("--images", type=int, default=2048, help="per measurement; ten times that for the project")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(rounds=args.rounds, images=args.images)
    images = torch.tensor(load_split(MNIST_SPEC, args.data_dir, "train").images)
    ways = {
        "torchvision": (by_torchvision(), images[: args.images]),
        "project": (by_project(), images[: 10 * args.images]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, (run, subset) in ways.items():
            seconds[name].append(seconds_per_image(run, subset))
    fastest = {name: min(times) for name, times in seconds.items()}
    print(f"{torch.get_num_threads()} threads; fastest of {args.rounds} rounds")
    for name, time_of_one in fastest.items():
        print(f"{name:12} {1 / time_of_one:10,.0f} images per second")
    print(f"the project is {fastest['torchvision'] / fastest['project']:.0f} times as fast")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
