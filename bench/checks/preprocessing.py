"""Is each network measured with the preprocessing that it was trained with?

Trains small networks on pixels prepared in the four usual ways, plain and with batch normalisation,
under several seeds, saves bare weights that say nothing of it, and has evaluate.py grade them. Run
as ``python -m bench.checks.preprocessing``; it ends with 1 if a network is measured by another
preprocessing and a quarter of a percentage point or more away from what its author measures.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
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
KINDS = {"plain": MNISTClassifier, "batch norm": ImprovedMNISTClassifier}
SEEDS = (1, 2, 3)
ALLOWED_DIFFERENCE = 0.25  # percentage points


def main() -> int:
    """Train, grade, print a line a network, and how many are right."""
    args = parse_arguments()
    train, test = (load_split(MNIST_SPEC, args.data_dir, part) for part in ("train", "test"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "submissions")
        place.mkdir()
        authors = {}
        for way, normalization in WAYS.items():
            for kind, architecture in KINDS.items():
                for seed in SEEDS:
                    torch.manual_seed(seed)
                    model = architecture(hidden_sizes=(128, 64), dropout_rate=0.0)
                    fit(model, train, normalization, args.epochs)
                    name = f"{way}, {kind}, {seed}.pth"
                    authors[name] = accuracy(model, test, normalization)
                    torch.save(model.state_dict(), place / name)
        rows = grade(place, args.data_dir)
    right = 0
    print(f"{'trained on':28}{'author':>8}{'graded':>8}{'apart':>7}  measured with, and why")
    for name, author in authors.items():
        row = rows[name]
        used, apart = row["preprocessing"], abs(row["accuracy"] - author)
        right += used["name"] == name.partition(",")[0] or apart < ALLOWED_DIFFERENCE
        print(
            f"{name:28}{author:8.2f}{row['accuracy']:8.2f}{apart:7.2f}  {used['name']}, "
            f"{used['source']}: {used['sample_accuracy']:.2f} % of the sample, with the recipe's "
            f"{used['sample_accuracy_recipe']:.2f} %"
        )
    print(f"{right} of {len(authors)} right")
    return ALL_PASSED if right == len(authors) else SOME_FAILED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    flag("--epochs", type=int, default=1, help="epochs that each network is trained for")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    return parser.parse_args()


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
