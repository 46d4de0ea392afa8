"""Plain networks under any names: weights that are a chain of Linear layers by their shapes."""

import re
from typing import NamedTuple

from torch import Tensor, nn

from common.data.catalog import Sizes

_LINEAR = {"weight", "bias"}
_BATCH_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


class Layer(NamedTuple):
    """A layer as its weights show it: sizes, and names of its tensors by what they are."""

    prefix: str
    inputs: int
    outputs: int
    tensors: dict[str, Tensor]
    is_linear: bool


class Chain(NamedTuple):
    """Layers in the order in which they fit each other."""

    layers: list[Layer]

    @property
    def names(self) -> dict[str, str]:
        """The file's name of each weight, by the name in ``build``'s network."""
        places = [number for number, module in enumerate(self._modules()) if module is not None]
        return {
            f"{place}.{leaf}": f"{layer.prefix}{leaf}"
            for place, layer in zip(places, self.layers, strict=True)
            for leaf in layer.tensors
        }

    @property
    def shown(self) -> str:
        """The sizes, for the row: 784-512-10."""
        linear = [layer for layer in self.layers if layer.is_linear]
        return "-".join(map(str, [linear[0].inputs, *(layer.outputs for layer in linear)]))

    def build(self) -> nn.Sequential:
        """Return the network without its weights."""
        modules = [_module(layer) if layer else nn.ReLU() for layer in self._modules()]
        return nn.Sequential(nn.Flatten(), *modules[1:])

    def _modules(self) -> list[Layer | None]:
        """Return the layers with None for Flatten at the start and for each ReLU after it.

        ReLU follows a Linear layer, or its batch normalisation, but not the last layer.
        """
        modules: list[Layer | None] = [None]
        last = max(n for n, layer in enumerate(self.layers) if layer.is_linear)
        for n, layer in enumerate(self.layers):
            modules.append(layer)
            follows = n + 1 < len(self.layers) and not self.layers[n + 1].is_linear
            after_linear = layer.is_linear or (n > 0 and self.layers[n - 1].is_linear)
            if after_linear and not (layer.is_linear and follows) and n < last:
                modules.append(None)
        return modules


def find_chain(
    weights: dict[str, Tensor], sizes: Sizes, max_layers: int, max_size: int
) -> Chain | None:
    """Return the chain that the weights are, in the file's order or in that of the names' numbers.

    None if they are none, from the input size to the classes.
    """
    layers = _layers(weights)
    if layers is None:
        return None
    for ordered in (layers, sorted(layers, key=_natural_order)):
        linear = [layer for layer in ordered if layer.is_linear]
        if not linear or len(linear) > max_layers + 1 or not ordered[-1].is_linear:
            continue
        at, fits = sizes.input_size, True
        for layer in ordered:
            fits &= layer.inputs == at and layer.outputs <= max_size
            at = layer.outputs
        if fits and at == sizes.num_classes:
            return Chain(ordered)
    return None


def _module(layer: Layer) -> nn.Module:
    if layer.is_linear:
        return nn.Linear(layer.inputs, layer.outputs, bias="bias" in layer.tensors)
    return nn.BatchNorm1d(layer.outputs, affine="weight" in layer.tensors)


def _layers(weights: dict[str, Tensor]) -> list[Layer] | None:
    """Return the layers in the file's order; None if one is of another kind."""
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in weights.items():
        prefix, dot, leaf = name.rpartition(".")
        grouped.setdefault(prefix + dot, {})[leaf] = tensor
    layers = []
    for prefix, tensors in grouped.items():
        weight = tensors.get("weight")
        if weight is not None and weight.dim() == 2 and tensors.keys() <= _LINEAR:
            outputs, inputs = weight.shape
            bias = tensors.get("bias")
            if bias is not None and bias.shape != (outputs,):
                return None
            layers.append(Layer(prefix, inputs, outputs, tensors, is_linear=True))
        elif {"running_mean", "running_var"} <= tensors.keys() <= _BATCH_NORM:
            values = [t for leaf, t in tensors.items() if leaf != "num_batches_tracked"]
            size = values[0].shape
            if len(size) != 1 or any(t.shape != size for t in values):
                return None
            layers.append(Layer(prefix, size[0], size[0], tensors, is_linear=False))
        else:
            return None
    return layers


def _natural_order(layer: Layer) -> list[tuple[int, str]]:
    """Order names by their numbers: layer10 after layer2."""
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"(\d+)", layer.prefix, flags=re.ASCII)
    ]
