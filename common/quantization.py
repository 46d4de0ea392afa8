"""A trained network made small: batch normalisation folded away, weights in 8 bits."""

import base64
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

# The greatest weight of a row becomes 127 or -127. -128 is left out, so that the range is symmetric
# and no offset has to be stored.
_LEVELS = 127


class QuantizedLayer(NamedTuple):
    """A linear layer whose weights are ``levels * scales[:, None]``, up to rounding."""

    levels: np.ndarray  # int8 [outputs, inputs]
    scales: np.ndarray  # float32 [outputs]
    biases: np.ndarray  # float32 [outputs]

    def as_json(self) -> dict[str, Any]:
        """Return the layer as JSON values: arrays in base64, row by row, little-endian."""
        outputs, inputs = self.levels.shape
        return {
            "inputs": inputs,
            "outputs": outputs,
            "levels": _encode(self.levels),
            "scales": _encode(self.scales.astype("<f4")),
            "biases": _encode(self.biases.astype("<f4")),
        }


def quantize_network(model: nn.Module) -> list[QuantizedLayer]:
    """Return the layers of one of the two networks, with ReLU between them understood.

    Each row of weights, those of one unit, gets a scale of its own (Krishnamoorthi 2018,
    arXiv:1806.08342, section 2: symmetric, per channel). Biases and activations stay float32.
    """
    return [_quantize(*_folded(model, layer)) for layer in range(1, model.num_hidden + 2)]


def dequantized_network(layers: list[QuantizedLayer]) -> nn.Sequential:
    """Return the network of ``layers`` in float32: images [N, 1, 28, 28] to logits [N, 10]."""
    modules: list[nn.Module] = [nn.Flatten()]
    for levels, scales, biases in layers:
        linear = nn.Linear(levels.shape[1], levels.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(levels * scales[:, None]))
            linear.bias.copy_(torch.from_numpy(biases))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def _folded(model: nn.Module, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and biases (float64) of a layer together with what normalises its outputs.

    In evaluation BatchNorm1d is gamma * (x - mean) / sqrt(var + eps) + beta, a linear function of
    what the Linear layer before it puts out, so the two are one Linear layer.
    """
    linear = getattr(model, f"fc{layer}")
    weights, biases = _float64(linear.weight), _float64(linear.bias)
    norm = getattr(model, f"bn{layer}", None)
    if norm is None:
        return weights, biases
    factors = _float64(norm.weight) / np.sqrt(_float64(norm.running_var) + norm.eps)
    shifted = (biases - _float64(norm.running_mean)) * factors + _float64(norm.bias)
    return weights * factors[:, None], shifted


def _quantize(weights: np.ndarray, biases: np.ndarray) -> QuantizedLayer:
    scales = (np.abs(weights).max(axis=1) / _LEVELS).astype(np.float32)
    scales[scales == 0] = 1  # a unit without weights has levels of 0 on any scale
    levels = np.clip(np.rint(weights / scales[:, None]), -_LEVELS, _LEVELS).astype(np.int8)
    return QuantizedLayer(levels, scales, biases.astype(np.float32))


def _float64(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _encode(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
