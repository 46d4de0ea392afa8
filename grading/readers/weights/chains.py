"""Plain networks under any names: weights that are a chain of Linear layers by their shapes."""

import re
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from common.data.catalog import Sizes
from common.layers import Linear
from grading.readers.weights.tensor_checks import StateDict

_LINEAR = {"weight", "bias"}
_STATISTICS = {"running_mean", "running_var"}
_BATCH_NORM = {*_LINEAR, *_STATISTICS, "num_batches_tracked"}


class Chain(NamedTuple):
    """A network of layers that fit each other."""

    model: nn.Sequential  # without its weights, on the meta device
    weights: StateDict  # by the names in the model
    shown: str  # the sizes, for the row: 784-512-10

    @property
    def has_early_relu(self) -> bool:
        """Whether a batch normalisation comes after ReLU."""
        return any(
            isinstance(layer, nn.ReLU) and isinstance(following, nn.BatchNorm1d)
            for layer, following in pairwise(self.model)
        )


class _Layer(NamedTuple):
    prefix: str
    inputs: int
    outputs: int
    tensors: StateDict  # by the last part of their names
    is_linear: bool  # otherwise it is a batch normalisation


def find_chain(weights: StateDict, sizes: Sizes, max_layers: int, max_size: int) -> Chain | None:
    """Return the chain that the weights are, in the file's order or in that of the names' numbers.

    None if they are none, from the input size to the classes, with at most ``max_layers`` hidden
    layers of at most ``max_size`` units.
    """
    found = _layers(weights)
    if found is None:
        return None
    for layers in (found, sorted(found, key=_natural_order)):
        widths = [sizes.input_size, *(layer.outputs for layer in layers)]
        if (
            layers[-1].is_linear
            and sum(layer.is_linear for layer in layers) <= max_layers + 1
            and [layer.inputs for layer in layers] == widths[:-1]
            and max(widths[1:]) <= max_size
            and widths[-1] == sizes.num_classes
        ):
            return _build(layers)
    return None


def _build(layers: list[_Layer]) -> Chain:
    modules: list[nn.Module] = [nn.Flatten()]
    weights: StateDict = {}
    is_open = False  # whether the ReLU of the last Linear layer is still to come
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        weights |= {f"{len(modules)}.{leaf}": tensor for leaf, tensor in layer.tensors.items()}
        with torch.device("meta"):
            modules.append(
                Linear(layer.inputs, layer.outputs, bias="bias" in layer.tensors)
                if layer.is_linear
                else nn.BatchNorm1d(layer.outputs, affine="weight" in layer.tensors)
            )
        # ReLU follows a Linear layer, or its batch normalisation, but not the last layer.
        is_open |= layer.is_linear
        if is_open and following and (not layer.is_linear or _has_relu(following)):
            modules.append(nn.ReLU())
            is_open = False
    linear = [layer for layer in layers if layer.is_linear]
    shown = "-".join(map(str, [linear[0].inputs, *(layer.outputs for layer in linear)]))
    return Chain(nn.Sequential(*modules), weights, shown)


def _has_relu(following: _Layer) -> bool:
    """Tell whether ReLU stands between a Linear layer and the layer after it.

    What a batch normalisation has seen says so: after ReLU, no unit has a mean below zero.
    """
    if following.is_linear:
        return True
    means = following.tensors["running_mean"].float()
    return bool((means >= 0).all() and (means > 0).any())


def _layers(weights: StateDict) -> list[_Layer] | None:
    """Return the layers in the file's order; None if one is of another kind."""
    grouped: dict[str, StateDict] = {}
    for name, tensor in weights.items():
        prefix, dot, leaf = name.rpartition(".")
        grouped.setdefault(prefix + dot, {})[leaf] = tensor
    layers = []
    for prefix, tensors in grouped.items():
        shapes = {leaf: t.shape for leaf, t in tensors.items() if leaf != "num_batches_tracked"}
        if "weight" in tensors and tensors.keys() <= _LINEAR and len(shapes["weight"]) == 2:
            outputs, inputs = shapes["weight"]
            if shapes.get("bias", (outputs,)) != (outputs,):
                return None
            layers.append(_Layer(prefix, inputs, outputs, tensors, is_linear=True))
        elif _STATISTICS <= tensors.keys() <= _BATCH_NORM:
            size = shapes["running_mean"]
            if len(size) != 1 or set(shapes.values()) != {size}:
                return None
            layers.append(_Layer(prefix, size[0], size[0], tensors, is_linear=False))
        else:
            return None
    return layers


def _natural_order(layer: _Layer) -> list[tuple[int, str]]:
    """Order names by their numbers: layer10 after layer2."""
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"(\d+)", layer.prefix, flags=re.ASCII)
    ]
