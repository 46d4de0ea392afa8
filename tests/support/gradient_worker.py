"""What each rank in test_distributed.py does: train without dropout, and save the result."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import nn, optim

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC
from common.loops import Batches, train_one_epoch
from common.models import MNISTClassifier
from common.support.cli import run_script
from common.support.distributed import data_parallel, distributed_main, rank, world_size
from common.support.errors import ALL_PASSED


def trained(images: LabelledImages):
    """Train for an epoch on this rank's part of the images; without torchrun, on all of them."""
    torch.manual_seed(rank())  # the weights that count are those of rank 0
    model = MNISTClassifier(hidden_sizes=(32,), dropout_rate=0)
    network = data_parallel(model)
    order = torch.Generator().manual_seed(5)
    device = torch.device("cpu")
    batches = Batches(images, 64, device, order, rank=rank(), world_size=world_size())
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    result = train_one_epoch(network, batches, nn.CrossEntropyLoss(), optimizer, epoch=1)
    return {"weights": model.state_dict(), "loss": result.loss, "correct": result.correct}


def main():
    """Train on the first 1,000 images; each rank leaves what it got."""
    data_dir, folder = map(Path, sys.argv[1:])
    images = load_split(MNIST_SPEC, data_dir, "train").select(np.arange(1000))
    torch.save(trained(images), folder / f"{rank()}.pth")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(distributed_main(main))
