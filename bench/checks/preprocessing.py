"""Is each network measured with the preprocessing that it was trained with?

Trains small networks on pixels prepared in the four usual ways, plain and with batch normalisation,
under several seeds, and convolutional ones for pixels in [0, 1]. Saves bare weights, and ONNX
models of the latter, that say nothing of it, and has evaluate.py grade them. With ``--transposed``
all are trained on transposed images, as torchvision's EMNIST has them. Run as ``python -m
bench.checks.preprocessing``; it ends with 1 if a network loses more than 0.1 percentage points
against what its author measures.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.runs import REPOSITORY
from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST, MNIST_SPEC, Normalization
from common.models import ImprovedMNISTClassifier, MNISTClassifier
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED
from common.support.files import read_json
from common.transforms import normalize

WAYS = {
    "recipe": MNIST.normalization,
    "unit": Normalization(0.0, 1.0),
    "half": Normalization(0.5, 0.5),
    "raw": Normalization(0.0, 1 / 255),
}
KINDS = {
    "plain": lambda: MNISTClassifier(hidden_sizes=(128, 64), dropout_rate=0.0),
    "batch norm": lambda: ImprovedMNISTClassifier(hidden_sizes=(128, 64), dropout_rate=0.0),
}
SEEDS = (1, 2, 3)
ONNX_SEEDS = range(1, 13)
MOST_LOST = 0.1  # percentage points


def main() -> int:
    """Train, grade, print a line a network, and how many are right."""
    args = parse_arguments()
    train, test = (load_split(MNIST_SPEC, args.data_dir, part) for part in ("train", "test"))
    if args.transposed:
        train, test = (replace(x, images=x.images.transpose(0, 2, 1)) for x in (train, test))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "submissions")
        place.mkdir()
        authors = {}
        for way, kind, seed in [
            *itertools.product(WAYS, KINDS, SEEDS),
            *(("unit", "ONNX", seed) for seed in ONNX_SEEDS),
        ]:
            torch.manual_seed(seed)
            model = KINDS.get(kind, convolutions)()
            fit(model, train, WAYS[way], args.epochs)
            name = f"{way}, {kind}, {seed}.{'onnx' if kind == 'ONNX' else 'pth'}"
            authors[name] = accuracy(model, test, WAYS[way])
            save(model, place / name)
        rows = grade(place, args.data_dir)
    kept = 0
    print(f"{'trained on':28}{'author':>8}{'graded':>8}{'lost':>7}  measured with, and why")
    for name, author in authors.items():
        row = rows[name]
        used, lost = row["preprocessing"], author - row["accuracy"]
        kept += lost <= MOST_LOST and used["transposed"] == args.transposed
        print(
            f"{name:28}{author:8.2f}{row['accuracy']:8.2f}{lost:7.2f}  {used['name']}, "
            f"{used['source']}: {used['sample_accuracy']:.2f} % of the sample, with the recipe's "
            f"{used['sample_accuracy_recipe']:.2f} %"
        )
    print(f"{kept} of {len(authors)} lose at most {MOST_LOST} points")
    return ALL_PASSED if kept == len(authors) else SOME_FAILED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    flag("--epochs", type=int, default=1, help="epochs that each network is trained for")
    flag("--transposed", action="store_true", help="train on transposed images")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    return parser.parse_args()


def convolutions() -> nn.Module:
    """Return a small convolutional network."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 32, 5, stride=2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def save(model: nn.Module, path: Path) -> None:
    """Write bare weights, or an ONNX model if the suffix says so."""
    if path.suffix == ".onnx":
        options = {"dynamic_shapes": ({0: "N"},), "external_data": False, "verbose": False}
        torch.onnx.export(model, (torch.zeros(2, 1, 28, 28),), path, **options)
    else:
        torch.save(model.state_dict(), path)


def fit(model: nn.Module, train: LabelledImages, way: Normalization, epochs: int) -> None:
    """Train with Adam, batches of 128."""
    targets = torch.tensor(train.targets).long()
    inputs = normalize(torch.tensor(train.images), way)
    optimizer = torch.optim.Adam(model.parameters())
    for batch in itertools.chain(*(torch.randperm(len(targets)).split(128) for _ in range(epochs))):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
        optimizer.step()
    model.eval()


@torch.inference_mode()
def accuracy(model: nn.Module, test: LabelledImages, way: Normalization) -> float:
    """Return the percentage that the author of the network measures."""
    predicted: Tensor = model(normalize(torch.tensor(test.images), way)).argmax(dim=1)
    return 100 * float((predicted.numpy() == test.targets).mean())


def grade(place: Path, data_dir: Path) -> dict[str, dict]:
    """Return the rows of evaluate.py by name."""
    output = place.parent / "evaluation.json"
    command: list[str | Path] = [sys.executable, REPOSITORY / "evaluate.py", place]
    command += ["--output", output, "--exit-zero", "--data-dir", data_dir]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {row["name"]: row for row in read_json(output, required=("results",))["results"]}


if __name__ == "__main__":
    run_script(main)
