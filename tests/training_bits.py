"""Train for some steps on several numbers of threads, and print a checksum of each result.

Run by ``test_bits`` in a process of its own, since what computes is fixed when torch starts.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.layers import is_independent_of_threads
from common.loops import Batches, predict_logits, train_one_epoch
from common.models import ExponentialMovingAverage, ImprovedMNISTClassifier, MNISTClassifier
from common.support.processor import arithmetic
from common.transforms import Distortions

# Network, images in a batch, steps, distortions.
CASES = (
    (MNISTClassifier, 64, 150, None),
    (MNISTClassifier, 1000, 6, None),
    (MNISTClassifier, 4096, 2, None),
    (ImprovedMNISTClassifier, 64, 40, None),
    (ImprovedMNISTClassifier, 1000, 6, None),
    (ImprovedMNISTClassifier, 4096, 2, None),
    (ImprovedMNISTClassifier, 256, 8, Distortions()),
)
THREADS = (1, 2)


def main():
    images = load_split(MNIST_SPEC, Path(sys.argv[1]), "train")
    print(arithmetic())
    for network, batch_size, steps, distort in CASES:
        # The last batch is smaller.
        some = images.select(np.arange(batch_size * steps - batch_size // 2))
        print(*(checksum(network, batch_size, some, distort, threads) for threads in THREADS))


def checksum(network, batch_size, images, distort, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = network()
    assert is_independent_of_threads(model, batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    shuffle = torch.Generator().manual_seed(0)
    batches = Batches(images, batch_size, torch.device("cpu"), shuffle, distort)
    average = ExponentialMovingAverage(model, decay=0.9)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    train_one_epoch(model, batches, criterion, optimizer, 1, average=average)
    logits = predict_logits(average, batches)
    digest = hashlib.sha256()
    for tensor in [*average.state_dict().values(), logits]:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
