"""Predictions that ``torch.save`` wrote: a tensor, a list, or a dictionary with them."""

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import torch

from common.support.errors import SubmissionError
from grading.readers.predictions import Predictions, parse_array, parse_rows
from grading.readers.tables.names import kinds_of
from grading.readers.tables.nested import table_of

_AS_ARRAY = "save the predictions as numbers, with np.save('predictions.npy', predictions.numpy())"
_MOST_ELEMENTS = 2**22


def are_predictions(loaded: object, num_images: int, num_classes: int) -> bool:
    """Tell whether what torch loaded is meant as predictions, and not as weights.

    That is a tensor, a list of numbers or of batches, and a dictionary without weights in which a
    tensor or a list has a name that says so, or an answer for each image.
    """
    if isinstance(loaded, torch.Tensor):
        return True
    if isinstance(loaded, list | tuple):
        return _is_list_of_answers(loaded, num_images)
    if not isinstance(loaded, dict) or any(isinstance(v, dict) for v in loaded.values()):
        return False
    if len(loaded) == num_images and all(str(key).isdecimal() for key in loaded):
        return True
    columns = {str(k): v for k, v in loaded.items() if isinstance(v, torch.Tensor | list | tuple)}
    if any("." in key or key in ("weight", "bias") for key in columns):
        return False
    kinds = kinds_of(list(columns))
    values = list(columns.values())
    shapes = [_shape_of(value) for value in values]
    named = [shapes[n] for n in (*kinds.predicted, *kinds.labels)]
    answers = ((num_images,), (num_images, 1), (num_images, num_classes))
    return any(shape in answers for shape in shapes) or any(s and s[0] > num_classes for s in named)


def _shape_of(value: torch.Tensor | Sequence[object]) -> tuple[int, ...]:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    if value and _are_tensors(value):  # batches
        tensors = cast("Sequence[torch.Tensor]", value)
        return (sum(t.shape[0] if t.ndim else 1 for t in tensors), *tensors[0].shape[1:])
    return (len(value),)


def _is_list_of_answers(items: Sequence[object], num_images: int) -> bool:
    if items and _are_tensors(items):
        return num_images in (len(items), _shape_of(items)[0])
    plain = (int, float, str, list, tuple, np.generic)
    return bool(items) and all(isinstance(item, plain) for item in items)


def predictions_in(loaded: object, num_images: int, num_classes: int) -> Predictions:
    """Return the predictions in what torch loaded. Raises SubmissionError."""
    expected = (num_images, num_classes)
    if isinstance(loaded, torch.Tensor):
        return parse_array(_array_of(loaded), *expected)
    if isinstance(loaded, list | tuple) and loaded and _are_tensors(loaded):
        return parse_array(_joined(cast("Sequence[torch.Tensor]", loaded)), *expected)
    plain = _plain(loaded)
    if isinstance(loaded, dict):
        tensors = [value for value in loaded.values() if isinstance(value, torch.Tensor)]
        if sum(tensor.numel() for tensor in tensors) > _MOST_ELEMENTS:
            raise SubmissionError(f"more numbers than predictions have: {_AS_ARRAY}")
        plain = {key: _plain(value) for key, value in loaded.items()}
    table = table_of(plain)
    if table is None:
        raise SubmissionError(f"no predictions that can be told from the rest: {_AS_ARRAY}")
    return parse_rows(table, *expected)


def _are_tensors(items: Iterable[object]) -> bool:
    return all(isinstance(item, torch.Tensor) for item in items)


def _joined(batches: Sequence[torch.Tensor]) -> np.ndarray:
    """Return the batches, or single answers, as one array."""
    if sum(batch.numel() for batch in batches) > _MOST_ELEMENTS:
        raise SubmissionError(f"more numbers than predictions have: {_AS_ARRAY}")
    try:
        return np.concatenate([np.atleast_1d(_array_of(batch)) for batch in batches])
    except ValueError as error:
        raise SubmissionError(f"batches of several shapes: {_AS_ARRAY}") from error


def _plain(value: object) -> object:
    """Return tensors as lists, and tuples too; a number stays as it is."""
    if isinstance(value, torch.Tensor):
        return _array_of(value).tolist()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, list | tuple):
        return value
    if value and _are_tensors(value):
        return _joined(cast("Sequence[torch.Tensor]", value)).tolist()
    return [
        list(v) if isinstance(v, tuple) else v.item() if isinstance(v, np.generic) else v
        for v in value
    ]


def _array_of(tensor: torch.Tensor) -> np.ndarray:
    """Return a plain tensor of numbers as an array. Raises SubmissionError."""
    is_plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not is_plain or tensor.is_quantized or tensor.is_complex():
        raise SubmissionError(f"a tensor that is sparse, quantised or complex: {_AS_ARRAY}")
    # A tensor of any shape can stand on a single number.
    if tensor.numel() > _MOST_ELEMENTS or tensor.ndim > 4 or not tensor.numel():
        raise SubmissionError(f"a tensor that is larger than predictions are: {_AS_ARRAY}")
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.double()
    return tensor.contiguous().numpy()
