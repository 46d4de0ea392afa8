"""Which tensors of a file are the network: no counter, no loss, no set twice, and not two sets."""

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b

import torch
from torch import Tensor

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.weights.reparametrised import is_of_usual_size
from grading.readers.weights.tensor_checks import StateDict

# What AveragedModel and the package ema_pytorch keep beside the weights.
_AVERAGING = ("n_averaged", "initted", "step")
_LOSS = re.compile(
    r"crit|loss|cost|objective|entropy|focal|class_?weight|^(b?ce|nll)$", re.IGNORECASE
)


def only_network(
    weights: StateDict, is_network: Callable[[StateDict], bool], notes: list[str]
) -> StateDict:
    """Return the tensors that are the network's, each layer once, and note what was left out.

    ``is_network`` tells whether tensors by name are a whole network. Raises SubmissionError if
    there are two sets of weights, or layers that may be used once or twice.
    """
    if not is_of_usual_size(weights):
        return weights  # refused for its shapes
    weights = _without_loss(_without_averaging(weights), notes)
    _refuse_two_sets(weights, is_network)
    return _each_once(weights, is_network, notes)


def _without_averaging(weights: StateDict) -> StateDict:
    counters = [n for n, t in weights.items() if t.numel() == 1 and _leaf(n) in _AVERAGING]
    if len(counters) == len(weights):
        raise SubmissionError("the file holds no weights: save model.state_dict()")
    return {name: tensor for name, tensor in weights.items() if name not in counters}


def _without_loss(weights: StateDict, notes: list[str]) -> StateDict:
    """Leave out buffers of a loss, such as the weights of the classes, if it has no layers."""
    found: dict[str, list[str]] = {}
    for name in weights:
        parts = name.split(".")
        if places := [n for n, part in enumerate(parts) if _LOSS.search(part)]:
            found.setdefault(".".join(parts[: places[0] + 1]), []).append(name)
    left_out = [
        name
        for names in found.values()
        if all(weights[n].ndim < 2 for n in names)
        for name in names
    ]
    if len(left_out) == len(weights):
        return weights
    if left_out:
        notes.append(f"{_shown(left_out[0])} is of a loss and was left out")
    return {name: tensor for name, tensor in weights.items() if name not in left_out}


def _refuse_two_sets(weights: StateDict, is_network: Callable[[StateDict], bool]) -> None:
    """Refuse two networks in one dictionary, such as the trained one and its average."""
    depth = len(_common_parts(weights))
    sets: dict[str, StateDict] = {}
    for name, tensor in weights.items():
        place = ".".join(name.split(".")[: depth + 1])
        sets.setdefault(place, {})[name.removeprefix(place)] = tensor
    whole = {place: found for place, found in sets.items() if is_network(found)}
    if len(whole) == 1 and len(sets) > 2:
        others = {n: t for n, t in weights.items() if not n.startswith(f"{next(iter(whole))}.")}
        if is_network(others):
            whole[_first_part(others, depth)] = others
    if len(whole) < 2:  # networks that are no chain are alike in their names and shapes
        shapes = [{name: t.shape for name, t in found.items()} for found in sets.values()]
        whole = sets if len(shapes) == 2 and shapes[0] == shapes[1] and len(shapes[0]) > 2 else {}
    contents = {frozenset(map(_digest, found.values())) for found in whole.values()}
    if len(contents) > 1:
        first, second = list(whole)[:2]
        raise SubmissionError(
            f"the file has two sets of weights, under {quoted(first)} and {quoted(second)}: save "
            "the one that counts alone, as in torch.save(that_one.state_dict(), 'model.pth'), or, "
            "if both are used together, hand in .onnx"
        )


def _first_part(weights: StateDict, depth: int) -> str:
    return ".".join(next(iter(weights)).split(".")[: depth + 1])


def _common_parts(names: Iterable[str]) -> list[str]:
    """Return the parts that all names begin with, without their last ones."""
    parts = [name.split(".")[:-1] for name in names]
    first = min(parts, key=len)
    count = 0
    while count < len(first) and len({part[count] for part in parts}) == 1:
        count += 1
    return first[:count]


def _each_once(
    weights: StateDict, is_network: Callable[[StateDict], bool], notes: list[str]
) -> StateDict:
    """Leave out layers that stand under a second kind of name: listed, and named each.

    Names that differ in numbers alone are of one kind. Equal layers within it are as many.
    """
    layers: dict[str, StateDict] = {}  # by the last part of their names
    for name, tensor in weights.items():
        place, _, leaf = name.rpartition(".")
        layers.setdefault(place, {})[leaf] = tensor
    kinds: dict[str, list[str]] = {}
    for place in layers:
        kinds.setdefault(re.sub(r"\d+", "#", place), []).append(place)
    owners: dict[frozenset[tuple[str, bytes]], str] = {}
    kept: dict[str, str] = {}
    for kind, places in sorted(kinds.items(), key=lambda item: -len(item[1])):
        for place in places:
            content = frozenset((leaf, _digest(t)) for leaf, t in layers[place].items())
            kept[place] = owners.setdefault(content, kind)
    twice = [place for kind, places in kinds.items() for place in places if kept[place] != kind]
    if not twice:
        return weights
    once = {n: tensor for n, tensor in weights.items() if n.rpartition(".")[0] not in twice}
    if is_network(weights) and is_network(once):
        raise SubmissionError(
            f"the layer {quoted(twice[0])} is equal to another one, and the file does not tell "
            "whether it is used once or twice: hand in an .onnx model"
        )
    notes.append(f"{_shown(twice[0])} and the like are layers under a second name: used once")
    return once


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _digest(tensor: Tensor) -> bytes:
    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return blake2b(content.tobytes(), key=repr((tensor.dtype, tensor.shape)).encode()[:64]).digest()


def _shown(name: str) -> str:
    return quoted(name).strip("'")
