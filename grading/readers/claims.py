"""What a file says beside its weights, in each usual form: a normalisation, an accuracy."""

import sys

import numpy as np
import torch

from common.data.catalog import Normalization


def read_normalization(value: object) -> Normalization | None:
    """Return mean and standard deviation of pixels in [0, 1]; None if the value is not that."""
    if isinstance(value, str):  # as in the metadata of safetensors and ONNX, which is text
        try:
            value = [float(part) for part in value.strip("()[] ").split(",")]
        except ValueError:
            return None
    elif isinstance(value, dict) and value.keys() == {"mean", "std"}:
        value = [value["mean"], value["std"]]
    elif isinstance(value, torch.Tensor) and value.shape == (2,):
        value = value.tolist()
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    # ``transforms.Normalize`` takes the one number of a channel as (0.1307,).
    unpacked = [x[0] if isinstance(x, list | tuple) and len(x) == 1 else x for x in value]
    mean, std = map(_number, unpacked)
    if mean is None or std is None or abs(mean) > 2 or not 0 < std <= 2:
        return None
    return Normalization(mean, std)


def read_percent(value: object) -> float | None:
    """Return a claimed accuracy in percent; one of at most 1 is a fraction."""
    claim = _number(value)
    return 100 * claim if claim is not None and 0 <= claim <= 1 else claim


def _number(value: object) -> float | None:
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None
