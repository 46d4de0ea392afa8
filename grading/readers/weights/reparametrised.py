"""Weights that are kept in parts (pruning, weight_norm, spectral_norm), made one as torch does it.

Each formula is that of evaluation in torch.nn.utils: ``prune``, ``weight_norm``, ``spectral_norm``
and ``parametrizations``. No power iteration, which only training does.
"""

import re

import torch
from torch import Tensor

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.weights.tensor_checks import StateDict

# More than a file of weights can hold: a tensor may claim many numbers and hold one, repeated.
_MAX_NUMBERS, _MAX_TENSORS = 2**26, 2**12

_PART = re.compile(r"(?:weight|bias)(?:_\w+)?_(?:orig|mask|g|v|u)")
_MAKE_ONE = (
    "save them as one, after torch.nn.utils.prune.remove(layer, 'weight'), "
    "remove_weight_norm(layer), remove_spectral_norm(layer), or "
    "parametrize.remove_parametrizations(layer, 'weight')"
)


def is_of_usual_size(weights: StateDict) -> bool:
    """Tell whether all numbers of the tensors may be looked at."""
    numbers = sum(tensor.numel() for tensor in weights.values())
    return numbers <= _MAX_NUMBERS and len(weights) <= _MAX_TENSORS


def combined(weights: StateDict, notes: list[str]) -> StateDict:
    """Return the weights with those that are kept in parts made one, under their plain names.

    Parts have the dtypes of the file; what is made of them is float32, or float64 if they are. A
    norm of zero makes NaN, as it does in torch. Raises SubmissionError if parts do not fit each
    other, or are left.
    """
    if not is_of_usual_size(weights):
        return weights  # refused for its shapes
    made = dict(weights)
    # Pruning comes last in training, so its masks come first here.
    for find in (_pruned, _normed, _parametrised, _spectral):
        for name in list(made):
            find(name, made, notes)
    for name in made:
        leaf = name.rpartition(".")[2]
        if "parametrizations." in name or _PART.fullmatch(leaf):
            raise SubmissionError(
                f"{quoted(name)} is one part of a weight that is kept in several, and cannot be "
                f"graded alone: {_MAKE_ONE}"
            )
    return made


def _pruned(name: str, made: StateDict, notes: list[str]) -> None:
    """Weight times mask: ``weight_orig`` and ``weight_mask``."""
    plain = name.removesuffix("_mask")
    if plain != name and f"{plain}_orig" in made:
        mask, weight = made[name], _number(made[f"{plain}_orig"])
        _require(weight.shape == mask.shape, name)
        _replace(made, plain, [f"{plain}_orig", name], weight * mask.to(weight.dtype))
        _note(notes, "the masks of pruning were applied")


def _normed(name: str, made: StateDict, notes: list[str]) -> None:
    """Length times direction: ``weight_g`` and ``weight_v``."""
    plain = name.removesuffix("_g")
    if plain != name and f"{plain}_v" in made:
        weight = _scaled(made[name], made[f"{plain}_v"], name)
        _replace(made, plain, [name, f"{plain}_v"], weight)
        _note(notes, "weight_norm was applied")


def _spectral(name: str, made: StateDict, notes: list[str]) -> None:
    """Weight by its largest singular value: ``weight_orig``, ``weight_u`` and ``weight_v``."""
    plain = name.removesuffix("_orig")
    parts = [name, f"{plain}_u", f"{plain}_v"]
    if plain != name and all(part in made for part in parts):
        _replace(made, plain, parts, _divided(made[name], [made[part] for part in parts[1:]], name))
        _note(notes, "spectral_norm was applied")


def _parametrised(name: str, made: StateDict, notes: list[str]) -> None:
    """The same two as ``torch.nn.utils.parametrizations`` keeps them, in the order of use."""
    place, is_part, original = name.rpartition(".original")
    layer, is_listed, leaf = place.rpartition("parametrizations.")
    if not is_part or not is_listed or original not in ("", "0"):
        return
    parts, first = [name], 0
    if original:
        parts.append(f"{place}.original1")
        if parts[1] not in made:
            return
        weight, first = _scaled(made[name], made[parts[1]], name), 1
    else:
        weight = _number(made[name])
    others = sorted({other for other in made if other.startswith(f"{place}.")} - {*parts})
    for number in range(first, first + len(others) // 2):
        vectors = [f"{place}.{number}._u", f"{place}.{number}._v"]
        if not all(vector in made for vector in vectors):
            return
        weight = _divided(weight, [made[vector] for vector in vectors], name)
        parts += vectors
    if len(parts) > 1 and {*others} <= {*parts}:
        _replace(made, layer + leaf, parts, weight)
        _note(notes, *(["weight_norm was applied"] if original else []))
        _note(notes, *(["spectral_norm was applied"] if others else []))


def _scaled(length: Tensor, direction: Tensor, name: str) -> Tensor:
    """Return direction [N, ...] with the norm ``length``: of each row, each column, or of all."""
    length, direction = _number(length), _number(direction)
    kept = [dim for dim, size in enumerate(length.shape) if size != 1]
    is_whole = length.numel() == 1
    wanted = [n if dim in kept else 1 for dim, n in enumerate(direction.shape)]
    is_fitting = len(kept) == 1 and list(length.shape) == wanted
    _require(is_whole or is_fitting, name)
    return torch._weight_norm(direction, length, -1 if is_whole else kept[0])


def _divided(weight: Tensor, vectors: list[Tensor], name: str) -> Tensor:
    """Return weight [N, ...] by its largest singular value, with vectors [N] and [...]."""
    weight, left, right = map(_number, (weight, *vectors))
    _require(weight.ndim > 1 and weight.numel() > 0, name)
    matrix = weight.flatten(start_dim=1)
    _require(left.shape == matrix.shape[:1] and right.shape == matrix.shape[1:], name)
    return weight / torch.dot(left, torch.mv(matrix, right))


def _number(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float64 if tensor.dtype == torch.float64 else torch.float32)


def _require(fits: bool, name: str) -> None:
    if not fits:
        raise SubmissionError(
            f"{quoted(name)} and the other parts of its weight do not fit each other: {_MAKE_ONE}"
        )


def _replace(made: StateDict, plain: str, parts: list[str], weight: Tensor) -> None:
    """Put the weight where its first part stood: the order of names is that of the layers."""
    items = list(made.items())
    made.clear()
    for name, tensor in items:
        if name in parts and plain not in made:
            made[plain] = weight
        elif name not in parts:
            made[name] = tensor


def _note(notes: list[str], *texts: str) -> None:
    notes.extend(text for text in texts if text not in notes)
