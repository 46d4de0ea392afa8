"""The two networks: multilayer perceptrons on flattened images."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """``nn.Dropout`` with a cheaper mask on the CPU.

    Sets each value to zero with probability ``p`` in training, and divides the others by 1 - p so
    that their sum keeps its expectation (Srivastava et al. 2014, JMLR 15). ``nn.Dropout`` draws
    its mask with ``bernoulli_``; comparing uniform numbers with ``p`` gives the same distribution
    in a third of the time (the README, under "Speed", has the command that shows it).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (float, any shape) with dropped values in training, else ``x`` itself."""
        if not self.training or x.device.type != "cpu" or self.p in (0, 1):
            return super().forward(x)
        keep = torch.rand_like(x).ge_(self.p)
        return x * keep.div_(1 - self.p)


class MNISTClassifier(nn.Module):
    """A multilayer perceptron whose hidden layers are Linear, ReLU, Dropout.

    The layers are named ``fc1``, ``dropout1``, ``fc2``, ...; the last ``fc`` is the output layer.

    Parameters
    ----------
    input_size : int
        Values per image; 28 x 28 = 784.
    hidden_sizes : sequence of int
        Units of each hidden layer. The default narrows step by step, so that each layer has to
        summarise the one before it.
    num_classes : int
        Logits per image.
    dropout_rate : float
        Share of hidden units set to zero at each training step.
    """

    def __init__(
        self,
        input_size: int = 784,
        hidden_sizes: Sequence[int] = (512, 256, 128),
        num_classes: int = 10,
        dropout_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.model_args = _plain_args(input_size, hidden_sizes, num_classes, dropout_rate)
        self.num_hidden = len(hidden_sizes)
        self.flatten = nn.Flatten()
        for layer, (fan_in, fan_out) in enumerate(pairwise([input_size, *hidden_sizes]), start=1):
            self.add_module(f"fc{layer}", nn.Linear(fan_in, fan_out))
            self.add_module(f"dropout{layer}", Dropout(dropout_rate))
        last_size = [input_size, *hidden_sizes][-1]
        self.add_module(f"fc{self.num_hidden + 1}", nn.Linear(last_size, num_classes))
        initialize_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, 1, 28, 28] or [N, 784], float32."""
        x = self.flatten(images)
        for layer in range(1, self.num_hidden + 1):
            x = F.relu(getattr(self, f"fc{layer}")(x))
            x = getattr(self, f"dropout{layer}")(x)
        return getattr(self, f"fc{self.num_hidden + 1}")(x)


class ImprovedMNISTClassifier(nn.Module):
    """A deeper multilayer perceptron whose hidden layers are Linear, BatchNorm1d, ReLU, Dropout.

    Named as in ``MNISTClassifier``, with ``bn1``, ``bn2``, ... for the batch normalisation (Ioffe
    and Szegedy 2015), which keeps each layer's inputs at mean 0 and variance 1 over the batch and
    so bears a learning rate ten times that of the base network. Parameters: as there.
    """

    def __init__(
        self,
        input_size: int = 784,
        hidden_sizes: Sequence[int] = (1024, 512, 256, 128),
        num_classes: int = 10,
        dropout_rate: float = 0.4,
    ) -> None:
        super().__init__()
        self.model_args = _plain_args(input_size, hidden_sizes, num_classes, dropout_rate)
        self.num_hidden = len(hidden_sizes)
        self.flatten = nn.Flatten()
        for layer, (fan_in, fan_out) in enumerate(pairwise([input_size, *hidden_sizes]), start=1):
            self.add_module(f"fc{layer}", nn.Linear(fan_in, fan_out))
            self.add_module(f"bn{layer}", nn.BatchNorm1d(fan_out))
            self.add_module(f"dropout{layer}", Dropout(dropout_rate))
        last_size = [input_size, *hidden_sizes][-1]
        self.add_module(f"fc{self.num_hidden + 1}", nn.Linear(last_size, num_classes))
        initialize_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, num_classes] for images [N, 1, 28, 28] or [N, 784], float32."""
        x = self.flatten(images)
        for layer in range(1, self.num_hidden + 1):
            x = getattr(self, f"bn{layer}")(getattr(self, f"fc{layer}")(x))
            x = getattr(self, f"dropout{layer}")(F.relu(x))
        return getattr(self, f"fc{self.num_hidden + 1}")(x)


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "MNISTClassifier": MNISTClassifier,
    "ImprovedMNISTClassifier": ImprovedMNISTClassifier,
}


def build_model(architecture: str, model_args: dict[str, Any]) -> nn.Module:
    """Rebuild a network from what a checkpoint says of it.

    Parameters
    ----------
    architecture : str
        A class name among ``ARCHITECTURES``.
    model_args : dict
        Keyword arguments of that class; what is left out takes its default.

    Raises
    ------
    KeyError
        If ``architecture`` is not registered.
    """
    return ARCHITECTURES[architecture](**model_args)


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


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters())


def _plain_args(
    input_size: int, hidden_sizes: Sequence[int], num_classes: int, dropout_rate: float
) -> dict[str, Any]:
    # Plain types: they go into JSON and into checkpoints that load with weights_only=True.
    return {
        "input_size": input_size,
        "hidden_sizes": list(hidden_sizes),
        "num_classes": num_classes,
        "dropout_rate": dropout_rate,
    }
