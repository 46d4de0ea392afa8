"""One peer in a process of its own: prepares, then trains an epoch for each line that it is sent.

Started by ``bench.speed.peers`` as a process with a name, a recipe and the folder of the data set.
It writes a line when it is ready, and then for each line of standard input one with the seconds of
an epoch; the first epoch compiles what is to be compiled. A peer is imported only by the function
that needs it.
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.speed.epoch import (
    BATCH_SIZE,
    CPU,
    RECIPES,
    floor_epoch,
    tutorial_epoch,
    with_own_layers_of_torch,
)
from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC
from common.layers import is_independent_of_threads
from common.loops import Batches, Progress, train_one_epoch
from common.support.processor import Threads
from common.transforms import normalize

Epoch = Callable[[], object]


def floor(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return the matrix products alone."""
    return lambda: floor_epoch(RECIPES[recipe], len(data))


def project(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return this project's loop, with the threads that a training script would have."""
    model, criterion, optimizer_class, settings = RECIPES[recipe]()
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    batches = Batches(data, BATCH_SIZE, CPU, generator=torch.Generator().manual_seed(0))
    threads = Threads(None, adapt=is_independent_of_threads(model, BATCH_SIZE))
    return lambda: train_one_epoch(
        model, batches, criterion, optimizer, epoch=1, progress=Progress(after_step=threads)
    )


def tutorial(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return the loop of tutorials."""
    return lambda: tutorial_epoch(RECIPES[recipe], data_dir)


def plain_jax(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return the recipe in JAX, without a framework on it."""
    from bench.speed.peer_jax import epoch_of

    return epoch_of(RECIPES[recipe](), data)


def lightning(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return the recipe in Lightning: its Trainer, and a DataLoader over tensors in memory."""
    import lightning as L

    model, criterion, optimizer_class, settings = RECIPES[recipe]()

    class Recipe(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = with_own_layers_of_torch(model)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return criterion(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> optim.Optimizer:
            return optimizer_class(self.parameters(), **settings)

    images = normalize(torch.tensor(data.images), data.dataset.normalization)
    dataset = TensorDataset(images, torch.tensor(data.targets))
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)
    module = Recipe()

    def epoch() -> None:
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)

    return epoch


def keras(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return the recipe in Keras, by ``fit`` on arrays; KERAS_BACKEND says on what it computes."""
    from keras import Sequential, layers, losses, optimizers

    model, criterion, _, settings = RECIPES[recipe]()
    network = Sequential()
    for size in model.model_args["hidden_sizes"]:
        network.add(layers.Dense(size))
        if model.batch_norm:
            network.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        network.add(layers.ReLU())
        network.add(layers.Dropout(model.model_args["dropout_rate"]))
    network.add(layers.Dense(model.model_args["num_classes"]))
    smoothing = criterion.label_smoothing
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    optimizer = optimizers.AdamW(settings["lr"], settings["weight_decay"], epsilon=1e-8)
    network.compile(optimizer, loss, metrics=["accuracy"])
    images = normalize(torch.tensor(data.images), data.dataset.normalization).flatten(1).numpy()
    targets = np.eye(10, dtype=np.float32)[data.targets]
    return lambda: network.fit(images, targets, batch_size=BATCH_SIZE, verbose=0)


def scikit_learn(recipe: str, data: LabelledImages, data_dir: Path) -> Epoch:
    """Return the base recipe as scikit-learn has it: no dropout, and so no improved one."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch at a time is the point
    model, _, _, settings = RECIPES[recipe]()
    sizes = tuple(model.model_args["hidden_sizes"])
    classifier = MLPClassifier(
        sizes,
        alpha=settings["weight_decay"],
        batch_size=BATCH_SIZE,
        learning_rate_init=settings["lr"],
        max_iter=1,
        warm_start=True,
    )
    images = normalize(torch.tensor(data.images), data.dataset.normalization).flatten(1).numpy()
    return lambda: classifier.fit(images, data.targets)


def main() -> None:
    """Prepare the epoch, then train one for each line of standard input."""
    name, recipe, data_dir = sys.argv[1:4]
    logging.disable()  # Lightning reports on the devices it does not use
    warnings.filterwarnings("ignore", module="lightning")
    data = load_split(MNIST_SPEC, Path(data_dir), "train")
    epoch = PEERS[name](recipe, data, Path(data_dir))
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        epoch()
        print(time.perf_counter() - started, flush=True)


PEERS = {
    "floor": floor,
    "project": project,
    "tutorial": tutorial,
    "lightning": lightning,
    "jax": plain_jax,
    "keras-jax": keras,
    "keras-torch": keras,
    "scikit-learn": scikit_learn,
}

if __name__ == "__main__":
    main()
