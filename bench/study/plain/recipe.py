"""A recipe of a plain network as data, and the loop that trains it in bfloat16.

The products of a step are rounded to bfloat16, which some processors compute twice as fast; the
weights, their running average and all that is measured are float32.
"""

import json
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from bench.study.plain.distortions import scaled
from common.data.arrays import LabelledImages
from common.data.splits import TrainingData
from common.loops import Batches, predict_logits
from common.metrics import accuracy_percent, cross_entropy, fit_temperature
from common.models import ExponentialMovingAverage, ImprovedMNISTClassifier
from common.support.environment import seed_everything
from common.transforms import Distortions

CPU = torch.device("cpu")

# Images of the fixed sets that show how well a network fits: enough for 0.1 points.
_FIXED = 10_000


@dataclass(frozen=True)
class Recipe:
    """A recipe; the defaults are those of ``train_improved.py --augment``, for 20 epochs."""

    epochs: int = 20
    hidden_sizes: tuple[int, ...] = (1024, 512, 256, 128)
    activation: str = "relu"
    window: float | None = None  # of each unit of the first layer as it starts, see `localize`
    batch_size: int = 256
    dropout_rate: float = 0.05
    label_smoothing: float = 0.1
    lr: float = 0.006
    weight_decay: float = 0.02
    average_decay: float = 0.998
    distortions: Distortions = field(default_factory=Distortions)
    last_strength: float = 1.0  # of the distortions; falls to it linearly, epoch by epoch

    def describe(self) -> dict[str, Any]:
        """Return what differs from the defaults, as JSON values."""
        default = asdict(Recipe())
        changed = {name: value for name, value in asdict(self).items() if value != default[name]}
        return json.loads(json.dumps(changed))  # lists for tuples, as they are read back


class PlainNetwork(ImprovedMNISTClassifier):
    """The improved network with another activation."""

    def __init__(self, hidden_sizes: tuple[int, ...], dropout_rate: float, activation: str) -> None:
        super().__init__(hidden_sizes=hidden_sizes, dropout_rate=dropout_rate)
        self.activation = getattr(F, activation)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, 10] for normalised images [N, 1, 28, 28]."""
        x = images.flatten(start_dim=1)
        for layer in range(1, self.num_hidden + 1):
            x = getattr(self, f"bn{layer}")(getattr(self, f"fc{layer}")(x))
            x = getattr(self, f"dropout{layer}")(self.activation(x))
        return getattr(self, f"fc{self.num_hidden + 1}")(x)


def build(recipe: Recipe) -> PlainNetwork:
    """Return the recipe's network, initialised from the global generator."""
    model = PlainNetwork(recipe.hidden_sizes, recipe.dropout_rate, recipe.activation)
    if recipe.window:
        localize(model.fc1, recipe.window)
    return model


def localize(layer: nn.Linear, window: float, side: int = 28) -> None:
    """Let each unit start with a view of a small part of the image.

    Its weights are multiplied by a Gaussian window around a random place, ``window`` pixels its
    standard deviation. Nothing keeps them local while the network learns.
    """
    places = torch.arange(side) + 0.5
    centres = torch.rand(layer.out_features, 2, 1) * side
    across, down = torch.exp(-((places - centres) ** 2) / (2 * window**2)).unbind(dim=1)
    windows = (down[:, :, None] * across[:, None, :]).flatten(start_dim=1)
    scale = windows.square().mean(dim=1, keepdim=True).sqrt()
    with torch.no_grad():
        layer.weight.mul_(windows / scale)


def train(recipe: Recipe, data: TrainingData, seed: int) -> tuple[nn.Module, float]:
    """Train, and return the averaged network and the seconds of the training passes."""
    seed_everything(seed)
    model = build(recipe)
    shuffle = torch.Generator().manual_seed(seed)
    batches = Batches(data.train, recipe.batch_size, CPU, shuffle, recipe.distortions)
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    optimizer = optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay, fused=True)
    scheduler = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.lr, epochs=recipe.epochs, steps_per_epoch=len(batches)
    )
    average = ExponentialMovingAverage(model, recipe.average_decay)
    model.train()
    started = perf_counter()
    for epoch in range(recipe.epochs):
        done = epoch / max(1, recipe.epochs - 1)
        batches.distort = scaled(recipe.distortions, 1 + done * (recipe.last_strength - 1))
        for images, targets in batches:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(images)
            loss = criterion(logits.float(), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            average.update_parameters(model)
    return average.module, perf_counter() - started


def measure(model: nn.Module, data: TrainingData) -> dict[str, Any]:
    """Measure on the validation images. No test image is read.

    Returns
    -------
    dict
        ``val_accuracy`` (percent) and ``val_loss`` (at the best temperature); ``accuracies`` of
        the validation images and of as many training images, as they are and distorted by the
        recipe of ``train_improved.py --augment``, always in the same way.
    """
    accuracies = {}
    for name, images in (("train", data.train), ("val", data.val)):
        fixed = images.select(np.arange(min(_FIXED, len(images))))
        for suffix, distort in (("", None), ("_distorted", fixed_distortions)):
            logits = logits_of(model, fixed, distort)
            correct = int((logits.argmax(axis=1) == fixed.targets).sum())
            accuracies[name + suffix] = accuracy_percent(correct, len(fixed))
    logits = logits_of(model, data.val)
    correct = int((logits.argmax(axis=1) == data.val.targets).sum())
    temperature = fit_temperature(logits, data.val.targets)
    return {
        "val_accuracy": accuracy_percent(correct, len(data.val)),
        "val_loss": cross_entropy(logits / temperature, data.val.targets),
        "accuracies": accuracies,
    }


def logits_of(
    model: nn.Module, images: LabelledImages, distort: Distortions | None = None
) -> np.ndarray:
    """Return the logits of images, float32 [N, 10]."""
    return predict_logits(model, Batches(images, 1000, CPU, distort=distort)).numpy()


def fixed_distortions(images: Tensor) -> Tensor:
    """Distort a batch by the recipe of ``train_improved.py``, always in the same way."""
    return Distortions()(images, torch.Generator().manual_seed(0))
