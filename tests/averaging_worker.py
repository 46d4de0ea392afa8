"""What each rank does in test_ranks.py: train a network without dropout, and leave it in a file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import nn, optim

from common import ranks
from common.data import LabelledImages, load_part
from common.errors import ALL_PASSED, run_script
from common.loops import Batches, train_one_epoch
from common.models import MNISTClassifier


def trained(images: LabelledImages):
    """Train for an epoch on this process's share; without torchrun, on all images."""
    torch.manual_seed(ranks.share().rank)  # the weights that count are those of the first rank
    model = MNISTClassifier(hidden_sizes=(32,), dropout_rate=0)
    network = ranks.parallel(model)
    order = torch.Generator().manual_seed(5)
    batches = Batches(images, 64, torch.device("cpu"), order, share=ranks.share())
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    result = train_one_epoch(network, batches, nn.CrossEntropyLoss(), optimizer, epoch=1)
    return {"weights": model.state_dict(), "loss": result.loss, "accuracy": result.accuracy}


def main():
    """Train on the first 1,000 images; each rank leaves what it got."""
    data_dir, folder = map(Path, sys.argv[1:])
    images = load_part(data_dir, "train")[torch.arange(1000)]
    torch.save(trained(images), folder / f"{ranks.share().rank}.pth")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(ranks.together(main))
