"""Steps of a network in torch, and the activations of Keras as such.

The formulas are those of Keras 3's documentation (keras.io/api/layers/activations).
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from grading.readers.keras.layer import Layer

_Function = Callable[..., Tensor]


class Step(nn.Module):
    """One function of a tensor, with weights that it takes as further arguments."""

    def __init__(self, function: _Function, *weights: Tensor, is_softmax: bool = False) -> None:
        super().__init__()
        self.function, self.is_softmax = function, is_softmax
        self.weights = nn.ParameterList(weights)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(inputs, *self.weights)


_ACTIVATIONS: dict[str, _Function] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.2),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exponential": torch.exp,
    "log_softmax": partial(F.log_softmax, dim=-1),
}


def activation(layer: Layer) -> Iterator[Step]:
    """Yield the activation of a layer: a name, or a layer of its own kind such as LeakyReLU."""
    value = layer.option("activation")
    if isinstance(value, dict) and value.get("class_name") in ACTIVATION_LAYERS:
        inner = Layer(value["class_name"], value["config"])
        yield from ACTIVATION_LAYERS[inner.kind](inner, (), None)
        inner.check_options()
    elif value == "softmax":
        yield Step(partial(F.softmax, dim=-1), is_softmax=True)
    elif isinstance(value, str) and value in _ACTIVATIONS:
        yield Step(_ACTIVATIONS[value])
    elif value not in (None, "linear"):
        raise layer.refusal("activation")


def _relu(layer: Layer, *_: object) -> Iterator[Step]:
    slope, least = layer.number("negative_slope", 0.0), layer.number("threshold", 0.0)
    top = math.inf if layer.option("max_value") is None else layer.number("max_value", 0.0)

    def relu(x: Tensor) -> Tensor:
        return torch.where(x >= least, x, slope * (x - least)).clamp(max=top)

    yield Step(relu)


def _leaky_relu(layer: Layer, *_: object) -> Iterator[Step]:
    # Keras 2 calls it alpha.
    name = "alpha" if "alpha" in layer.config else "negative_slope"
    yield Step(partial(F.leaky_relu, negative_slope=layer.number(name, 0.3)))


def _elu(layer: Layer, *_: object) -> Iterator[Step]:
    yield Step(partial(F.elu, alpha=layer.number("alpha", 1.0)))


def _softmax(layer: Layer, *_: object) -> Iterator[Step]:
    if layer.option("axis", -1) != -1:
        raise layer.refusal("axis")
    yield Step(partial(F.softmax, dim=-1), is_softmax=True)


ACTIVATION_LAYERS: dict[str, Callable[..., Iterator[Step]]] = {
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "Softmax": _softmax,
}
