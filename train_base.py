"""Train the base network: a multilayer perceptron 784-512-256-128-10, 98.12 % on MNIST (3 seeds).

Writes checkpoint.pth and metrics.json into the output folder after every epoch. The test images
are not read here: evaluate.py measures on them, once the training is over.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn, optim

from common.checkpoints import TrainingState
from common.data.catalog import DATASET_HELP, DATASETS
from common.data.splits import load_training_data
from common.loops import Batches, evaluate, train_one_epoch
from common.models import MNISTClassifier
from common.runs import Run
from common.support import distributed
from common.support.cli import ArgumentParser, run_script
from common.support.environment import choose_device, seed_everything
from common.support.errors import ALL_PASSED, require_positive
from reporting.terminal import exploration


def main(argv: Sequence[str] | None = None) -> int:
    """Train by the recipe below, from the data to the finished run."""
    args = parse_arguments(argv)
    require_positive(
        epochs=args.epochs, batch_size=args.batch_size, lr=args.lr, threads=args.threads
    )

    # Two runs with the same seed and machine give the same weights to the bit.
    seed_everything(args.seed)
    device = choose_device(args.device)

    # 60,000 training images: 55,000 to learn from and 5,000 to choose by, stratified by class.
    spec = DATASETS[args.dataset]
    data = load_training_data(spec, args.data_dir, args.val_size, args.seed)
    sizes = data.train.dataset.sizes
    print(exploration(data.summary))
    shuffle = torch.Generator().manual_seed(args.seed)
    rank, world_size = distributed.rank(), distributed.world_size()
    train_batches = Batches(
        data.train, args.batch_size, device, shuffle, rank=rank, world_size=world_size
    )
    val_batches = Batches(data.val, batch_size=1000, device=device)

    # Each layer has half the units of the one before; dropout keeps units from relying on others.
    model = MNISTClassifier(
        sizes.input_size,
        hidden_sizes=(512, 256, 128),
        num_classes=sizes.num_classes,
        dropout_rate=0.3,
    ).to(device)

    # Under torchrun each process has its part of every batch, and the gradients are averaged.
    net = distributed.data_parallel(model)

    # Cross entropy takes logits: the softmax is inside, where it is numerically safe.
    criterion = nn.CrossEntropyLoss()

    # Adam suits most networks at a rate of 0.001. Its weight decay is an L2 penalty on the weights.
    optimizer = optim.Adam(model.parameters(), lr=args.lr, weight_decay=1e-4, fused=True)

    # Large steps first, then smaller ones: 30 % smaller after every 10 epochs.
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.7)

    state = TrainingState(model, optimizer, scheduler, train_batches)
    folder = args.output_dir or spec.runs / "base"
    with Run(
        folder, state, criterion, data.summary, args.epochs, args.seed, args.resume, args.threads
    ) as run:
        for epoch in run.epochs():
            training = train_one_epoch(
                net, train_batches, criterion, optimizer, epoch, progress=run.progress
            )
            validation = evaluate(model, val_batches, criterion) if args.val_size else None
            scheduler.step()
            run.finish_epoch(training, validation)
        run.finish(val_batches)
    return ALL_PASSED


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; the defaults are the recipe's."""
    parser = ArgumentParser(prog="train_base.py", description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--dataset", metavar="NAME", choices=DATASETS, default="mnist", help=DATASET_HELP)
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    flag("--output-dir", type=Path, help="its folder (default: base in runs or runs/NAME)")
    flag("--epochs", type=int, default=20, help="passes over the training images")
    flag("--batch-size", type=int, default=64, help="images per step")
    flag("--lr", type=float, default=1e-3, help="learning rate of Adam at the start")
    flag("--seed", type=int, default=42, help="of the weights, the split, the order, the dropout")
    flag("--device", default="auto", help="cpu, cuda or mps; auto takes the best there is")
    flag("--threads", type=int, help="of the CPU (default: as many as are fastest at the moment)")
    flag("--val-size", type=int, default=5000, help="images to validate on; 0 trains on all")
    flag("--resume", action="store_true", help="go on where a run into this folder was interrupted")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_script(distributed.distributed_main(main))
