"""The two networks, their initialisation, and the registry by which checkpoints find a class.

A network of your own needs three things:

- ``forward`` takes images [N, 1, side, side] (float32, normalised) and returns logits
  [N, classes];
- ``@register`` above the class, which stands in this file or in one of your own beside the
  scripts, so that ``evaluate.py`` can rebuild it from a checkpoint by its name;
- if the class cannot be built without arguments, ``self.model_args``: a dictionary of the
  arguments to build it with, numbers and lists only.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from common.layers import BatchNorm1d, Dropout, Linear

# Classes by name.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {}

# Files of networks of one's own lie here, beside the scripts.
_SCRIPTS = Path(__file__).resolve().parents[1]

Network = TypeVar("Network", bound=type[nn.Module])


def register(architecture: Network) -> Network:
    """Let checkpoints find a class by its name. Use it as a decorator."""
    ARCHITECTURES[architecture.__name__] = architecture
    return architecture


@register
class MNISTClassifier(nn.Module):
    """A multilayer perceptron whose hidden layers are Linear, ReLU, Dropout.

    The layers are called ``fc1``, ``dropout1``, ``fc2``, ...; the last ``fc`` is the output layer.
    The default narrows step by step, so that each layer has to summarise the one before it.
    ``dropout_rate`` is the share of the hidden units that each training step sets to zero.
    """

    batch_norm = False

    def __init__(
        self,
        input_size: int = 784,
        hidden_sizes: Sequence[int] = (512, 256, 128),
        num_classes: int = 10,
        dropout_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.model_args = {
            "input_size": input_size,
            "hidden_sizes": list(hidden_sizes),
            "num_classes": num_classes,
            "dropout_rate": dropout_rate,
        }
        self.num_hidden = len(hidden_sizes)
        sizes = [input_size, *hidden_sizes]
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            self.add_module(f"fc{layer}", Linear(fan_in, fan_out))
            if self.batch_norm:
                self.add_module(f"bn{layer}", BatchNorm1d(fan_out))
            self.add_module(f"dropout{layer}", Dropout(dropout_rate))
        self.add_module(f"fc{self.num_hidden + 1}", Linear(sizes[-1], num_classes))
        initialize_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, 1, 28, 28] or [N, 784], float32."""
        x = images.flatten(start_dim=1)
        for layer in range(1, self.num_hidden + 1):
            x = getattr(self, f"fc{layer}")(x)
            if self.batch_norm:
                x = getattr(self, f"bn{layer}")(x)
            x = getattr(self, f"dropout{layer}")(F.relu(x))
        return getattr(self, f"fc{self.num_hidden + 1}")(x)


@register
class ImprovedMNISTClassifier(MNISTClassifier):
    """A deeper multilayer perceptron whose hidden layers are Linear, BatchNorm1d, ReLU, Dropout.

    Called as in ``MNISTClassifier``, with ``bn1``, ``bn2``, ... for the batch normalisation (Ioffe
    and Szegedy 2015). It keeps each layer's inputs at mean 0 and variance 1 over the batch, and so
    allows ten times the learning rate of the base network.
    """

    batch_norm = True

    def __init__(
        self,
        input_size: int = 784,
        hidden_sizes: Sequence[int] = (1024, 512, 256, 128),
        num_classes: int = 10,
        dropout_rate: float = 0.4,
    ) -> None:
        super().__init__(input_size, hidden_sizes, num_classes, dropout_rate)


class ExponentialMovingAverage(AveragedModel):
    """A copy of a network whose weights and batch statistics are a running average of its own.

    Polyak and Juditsky 1992 (SIAM Journal on Control and Optimization 30(4)) average the iterates
    of stochastic approximation; the exponential form forgets the early ones. Each step leaves
    ``decay`` of the average, which so looks back over about 1 / (1 - decay) steps. ``module`` is
    the averaged network.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.decay = decay


def initialize_weights(model: nn.Module) -> None:
    """Set the weights of each Linear layer to Xavier uniform values, and its biases to zero.

    Glorot and Bengio 2010 (AISTATS, equation 16) draw from U(-a, a) with
    a = sqrt(6 / (fan_in + fan_out)), which has the standard deviation a / sqrt(3) =
    sqrt(2 / (fan_in + fan_out)). Explanations of this network have given that standard deviation
    as the bound itself, which would make the weights smaller by a factor of 1.73.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


def model_args(model: nn.Module) -> dict[str, Any]:
    """Return the arguments to build a network with: its ``model_args``, or none."""
    return getattr(model, "model_args", {})


def build_model(architecture: str, model_args: dict[str, Any]) -> nn.Module:
    """Build a network of a registered class. Raises KeyError if there is none of that name."""
    return ARCHITECTURES[architecture](**model_args)


def module_of(model: nn.Module) -> str | None:
    """Return the name of the file beside the scripts that has the network's class, if one has."""
    module = sys.modules[type(model).__module__]
    path = Path(getattr(module, "__file__", None) or "").resolve()
    return path.stem if path.parent == _SCRIPTS else None


def import_module_of_networks(name: object) -> None:
    """Import a file beside the scripts, so that its networks are registered; no other file."""
    if isinstance(name, str) and name.isidentifier() and (_SCRIPTS / f"{name}.py").is_file():
        importlib.import_module(name)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters())
