"""Is each network measured with the preprocessing that it was trained with?

Trains small networks on pixels prepared in the four usual ways, plain and with batch normalisation,
under several seeds, saves bare weights that say nothing of it, and has evaluate.py grade them. Run
as ``python -m bench.checks.preprocessing``; it ends with 1 if a network is measured by another
preprocessing and a quarter of a percentage point or more away from what its author measures.
"""

import argparse
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
                    fit(model, train, normalization)
                    name = f"{way}, {kind}, {seed}.pth"
                    authors[name] = accuracy(model, test, normalization)
                    torch.save(model.state_dict(), place / name)
        rows = grade(place, args.data_dir)
    right = 0
    print(f"{'trained on':28}{'author':>8}{'graded':>8}{'apart':>7}  measured with")
    for name, author in authors.items():
        row = rows[name]
        taken, apart = row["preprocessing"]["name"], abs(row["accuracy"] - author)
        right += taken == name.partition(",")[0] or apart < ALLOWED_DIFFERENCE
        print(f"{name:28}{author:8.2f}{row['accuracy']:8.2f}{apart:7.2f}  {taken}")
    print(f"{right} of {len(authors)} right")
    return ALL_PASSED if right == len(authors) else SOME_FAILED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    return parser.parse_args()


def fit(model: nn.Module, train: LabelledImages, way: Normalization) -> None:
    """Train for an epoch with Adam, batches of 128."""
    targets = torch.tensor(train.targets).long()
    inputs = normalize(torch.tensor(train.images), way)
    optimizer = torch.optim.Adam(model.parameters())
    for batch in torch.randperm(len(targets)).split(128):
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
    command = [sys.executable, REPOSITORY / "evaluate.py", place, "--output", output, "--exit-zero"]
    subprocess.run([*command, "--data-dir", data_dir], check=True, stdout=subprocess.DEVNULL)
    return {row["name"]: row for row in read_json(output, required=("results",))["results"]}


if __name__ == "__main__":
    run_script(main)
