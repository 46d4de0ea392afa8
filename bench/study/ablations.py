"""A recipe as data, so that one part of it can be changed, and a function that trains it.

The training scripts spell their recipes out; here the same parts are built from a ``Setting``. A
test compares ``BASE`` and ``IMPROVED`` below with the scripts' recipes.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from common.data.catalog import MNIST, MNIST_SPEC
from common.data.splits import TrainingData, load_training_data
from common.loops import Batches, evaluate, predict_logits, train_one_epoch
from common.metrics import accuracy_percent, calibration, fit_temperature
from common.models import ExponentialMovingAverage, ImprovedMNISTClassifier, MNISTClassifier
from common.support.environment import seed_everything
from common.transforms import Distortions

CPU = torch.device("cpu")

MEAN, STD = MNIST.normalization

# Validation accuracy in percent. How soon it is reached tells how fast a recipe learns.
GOAL = 97.0

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class Setting:
    """A recipe; the defaults are those of ``train_base.py``, but for half as many epochs."""

    epochs: int = 10
    batch_size: int = 64
    shuffle: bool = True
    normalize: bool = True
    hidden_sizes: tuple[int, ...] = (512, 256, 128)
    batch_norm: bool = False
    activation: str = "relu"
    dropout_rate: float = 0.3
    dropout_first: bool = False  # before the activation
    initialization: str = "xavier"
    label_smoothing: float = 0.0
    optimizer: str = "Adam"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "StepLR"  # steps halfway, as after 10 of 20 epochs
    distortions: Distortions | None = None
    average_decay: float | None = None

    def describe(self) -> dict[str, Any]:
        """Return what differs from the defaults, as JSON values."""
        default = asdict(Setting())
        return {name: value for name, value in asdict(self).items() if value != default[name]}


BASE = Setting()
IMPROVED = Setting(
    hidden_sizes=(1024, 512, 256, 128),
    batch_norm=True,
    dropout_rate=0.4,
    label_smoothing=0.1,
    optimizer="AdamW",
    lr=0.01,
    weight_decay=1e-3,
    schedule="OneCycleLR",
)
AUGMENTED = replace(
    IMPROVED,
    epochs=100,
    batch_size=256,
    dropout_rate=0.05,
    lr=0.006,
    weight_decay=0.02,
    distortions=Distortions(),
    average_decay=0.998,
)


class AblatedClassifier(MNISTClassifier):
    """The base network with other activations, dropout before them, or inputs in [0, 1]."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(hidden_sizes=setting.hidden_sizes, dropout_rate=setting.dropout_rate)
        self.activation = ACTIVATIONS[setting.activation]
        self.dropout_first = setting.dropout_first
        self.normalize = setting.normalize

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, 10] for normalised images [N, 1, 28, 28]."""
        x = (images if self.normalize else images * STD + MEAN).flatten(start_dim=1)
        for layer in range(1, self.num_hidden + 1):
            linear, dropout = getattr(self, f"fc{layer}"), getattr(self, f"dropout{layer}")
            x = linear(x)
            x = self.activation(dropout(x)) if self.dropout_first else dropout(self.activation(x))
        return getattr(self, f"fc{self.num_hidden + 1}")(x)


def build_network(setting: Setting) -> nn.Module:
    """Return the setting's network, initialised from the global generator."""
    if setting.batch_norm:
        model: nn.Module = ImprovedMNISTClassifier(
            hidden_sizes=setting.hidden_sizes, dropout_rate=setting.dropout_rate
        )
    else:
        model = AblatedClassifier(setting)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            _initialize(module, setting.initialization)
    return model


def _initialize(layer: nn.Linear, initialization: str) -> None:
    if initialization == "default":  # PyTorch's own
        layer.reset_parameters()
    elif initialization == "kaiming":
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    elif initialization == "equal":  # Xavier's standard deviation
        nn.init.constant_(layer.weight, math.sqrt(2 / (layer.in_features + layer.out_features)))


def build_optimizer(setting: Setting, model: nn.Module) -> optim.Optimizer:
    """Return the setting's optimizer."""
    settings = {"lr": setting.lr, "weight_decay": setting.weight_decay}
    if setting.optimizer == "RMSprop":  # the only one without a fused implementation
        return optim.RMSprop(model.parameters(), **settings)
    if setting.optimizer == "momentum":
        return optim.SGD(model.parameters(), momentum=0.9, fused=True, **settings)
    return getattr(optim, setting.optimizer)(model.parameters(), fused=True, **settings)


def build_schedule(
    setting: Setting, optimizer: optim.Optimizer, steps_per_epoch: int
) -> optim.lr_scheduler.LRScheduler:
    """Return the setting's schedule, to be stepped after each batch."""
    steps = setting.epochs * steps_per_epoch
    if setting.schedule == "OneCycleLR":
        return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=setting.lr, total_steps=steps)
    gamma = 0.7 if setting.schedule == "StepLR" else 1.0
    return optim.lr_scheduler.StepLR(optimizer, step_size=math.ceil(steps / 2), gamma=gamma)


def train(setting: Setting, data: TrainingData, seed: int) -> dict[str, Any]:
    """Train, and measure on the validation images. No test image is read.

    Returns
    -------
    dict
        ``accuracy`` (percent), ``loss``, ``calibration_error`` (percentage points) and ``seconds``
        (of the training passes); ``temperature``, fitted on the validation images;
        ``epochs_to_goal``, as ``epochs_to`` counts them.
    """
    seed_everything(seed)
    model = build_network(setting)
    generator = torch.Generator().manual_seed(seed) if setting.shuffle else None
    batches = Batches(data.train, setting.batch_size, CPU, generator, setting.distortions)
    val_batches = Batches(data.val, batch_size=1000, device=CPU)
    criterion = nn.CrossEntropyLoss(label_smoothing=setting.label_smoothing)
    optimizer = build_optimizer(setting, model)
    schedule = build_schedule(setting, optimizer, len(batches))
    decay = setting.average_decay
    average = None if decay is None else ExponentialMovingAverage(model, decay)
    result = model if average is None else average.module
    accuracies, seconds = [], 0.0
    for epoch in range(1, setting.epochs + 1):
        training = train_one_epoch(
            model, batches, criterion, optimizer, epoch, schedule, average=average
        )
        seconds += training.seconds
        validation = evaluate(result, val_batches, nn.CrossEntropyLoss())
        accuracies.append(accuracy_percent(validation.correct, validation.total))
    logits = predict_logits(result, val_batches).numpy()
    measured = calibration(logits, data.val.targets)
    return {
        "accuracy": accuracies[-1],
        "loss": measured["loss"],
        "calibration_error": measured["expected_calibration_error"],
        "temperature": fit_temperature(logits, data.val.targets),
        "epochs_to_goal": epochs_to(GOAL, accuracies),
        "seconds": seconds,
    }


def epochs_to(goal: float, accuracies: list[float]) -> float:
    """Return the number of epochs until the accuracy reaches ``goal``, with a fraction.

    The accuracy is interpolated linearly between ``accuracies``, one after each epoch, from 10 % at
    the start. If it never reaches the goal, the result is one epoch more than there are.
    """
    before = 10.0
    for epoch, accuracy in enumerate(accuracies):
        if accuracy >= goal:
            return epoch + (goal - before) / (accuracy - before)
        before = accuracy
    return len(accuracies) + 1.0


@functools.cache
def study_data(data_dir: Path, val_size: int) -> TrainingData:
    """Return the training images; the split is the same for all runs, whatever their seed."""
    return load_training_data(MNIST_SPEC, data_dir, val_size, seed=42)
