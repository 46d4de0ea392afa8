"""From an untrusted dictionary of tensors to a network, by names and shapes alone."""

import re
from typing import Any, NamedTuple

import torch
from torch import nn

from common.data.catalog import Normalization, Sizes
from common.models import ARCHITECTURES, ImprovedMNISTClassifier, MNISTClassifier, build_model
from common.support.errors import AS_ONNX, SubmissionError
from common.support.text import quoted
from grading.readers.weights.chains import Chain, find_chain
from grading.readers.weights.registry import ASSIGNED
from grading.readers.weights.reparametrised import combined
from grading.readers.weights.selection import only_network
from grading.readers.weights.tensor_checks import (
    StateDict,
    check_fit,
    check_plain,
    check_values,
    is_counter,
)

_MAX_HIDDEN_LAYERS = 16
_MAX_HIDDEN_SIZE = 8192

_OUR_NAMES = re.compile(r"(fc|bn)[1-9][0-9]{0,5}\.\w+")


class Checkpoint(NamedTuple):
    """A network rebuilt from a file, in evaluation mode, and what the file says of it."""

    model: nn.Module
    architecture: str
    notes: list[str]  # what was done to the weights to make them fit
    is_guess: bool = False  # nobody said what stands between its layers
    epoch: int | None = None
    claimed_accuracy: float | None = None  # percent; only shown, never believed
    claimed_total: int | None = None  # images that it is said to be measured on
    normalization: Normalization | None = None  # of pixels in [0, 1], as the file declares it


def rebuild(
    state_dict: dict[Any, Any], sizes: Sizes, architecture: object = None, model_args: object = None
) -> Checkpoint:
    """Return the network with these weights, as float32; everything that comes in is untrusted.

    What is kept in parts is made one, and what is no layer is left out; a note says so. A class of
    the assignment comes first, if names and shapes fit exactly one; then the two networks, by their
    names, with hidden sizes from the shapes; then a chain of Linear layers under any names, with
    ReLU between them. ``architecture`` and ``model_args`` are what the file says of the class. Of
    the two networks' arguments the dropout rate alone is taken; any other registered class is built
    with them. Raises SubmissionError.
    """
    if not state_dict:
        raise SubmissionError("the file holds no weights: save model.state_dict()")
    for key in state_dict:
        if not isinstance(key, str):
            raise SubmissionError(
                f"the names of the weights must be text, but one is {quoted(key)}: save "
                "model.state_dict() itself"
            )
    check_plain(state_dict)
    is_ours = isinstance(architecture, str) and architecture in ARCHITECTURES
    if not is_ours and (assigned := _of_assignment(state_dict, [], architecture)):
        return assigned
    notes: list[str] = []
    selected = only_network(
        combined(state_dict, notes), lambda weights: _chain(weights, sizes) is not None, notes
    )
    is_changed = selected.keys() != state_dict.keys()
    if is_changed and not is_ours and (assigned := _of_assignment(selected, notes, architecture)):
        return assigned
    weights = _without(_prefixes(selected)[-1], selected, notes)
    foreign = [name for name in weights if not _OUR_NAMES.fullmatch(name)]
    in_order = weights if foreign else dict(sorted(weights.items(), key=_place))
    chain = _chain(in_order, sizes) if architecture is None else None
    if architecture is None and foreign:
        if chain is None:
            raise SubmissionError(
                f"this is another network (it has {quoted(foreign[0])}): {AS_ONNX}"
            )
        return _rebuilt_chain(chain, weights, notes)
    # Some formats keep no order; sorted, the first complaint is the same each time.
    weights = dict(sorted(weights.items()))
    if architecture is None:
        is_improved = any(key.startswith("bn") for key in weights)
        name = (ImprovedMNISTClassifier if is_improved else MNISTClassifier).__name__
    elif isinstance(architecture, str) and architecture in ARCHITECTURES:
        name = architecture
    else:
        raise SubmissionError(
            f"model_architecture is {quoted(architecture)}, but must be one of "
            f"{', '.join([*ASSIGNED, *ARCHITECTURES])}: leave it out, or {AS_ONNX}"
        )
    model = _build(name, weights, model_args, sizes)
    others = [n for n in weights.keys() ^ model.state_dict().keys() if not is_counter(n)]
    # Layers of these names that make neither class: without biases, or with ReLU before ``bn``.
    if chain and (others or chain.has_early_relu):
        return _rebuilt_chain(chain, weights, notes)
    check_fit(name, _shapes(model.state_dict()), weights, sizes)
    if architecture is None:
        notes.append(f"it names no class: taken for {name}, with ReLU")
    model.load_state_dict(_converted(weights, notes), assign=True)
    return Checkpoint(model.eval(), name, notes)


def _place(item: tuple[str, torch.Tensor]) -> tuple[int, bool]:
    """Return where a layer of our names comes: fc1, bn1, fc2, ..., whatever the file's order."""
    name, _ = item
    return int(name[2:].partition(".")[0]), name.startswith("bn")


def _prefixes(weights: StateDict) -> list[str]:
    """Return the prefixes that all names share, from none to the longest, whole parts each."""
    parts = [name.split(".") for name in weights]
    prefixes = [""]
    for depth in range(min(map(len, parts)) - 2):
        if len({tuple(name[: depth + 1]) for name in parts}) > 1:
            break
        prefixes.append(".".join(parts[0][: depth + 1]) + ".")
    return prefixes


def _without(prefix: str, weights: StateDict, notes: list[str]) -> StateDict:
    """Return the weights under their names without the prefix, and note it."""
    if prefix:
        shown = quoted(prefix).strip("'")
        notes.append(f"{shown} was taken off every name")
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def _of_assignment(weights: StateDict, noted: list[str], claimed: object) -> Checkpoint | None:
    """Return the network of the one class of the assignment that fits, with or without a prefix."""
    if not ASSIGNED:
        return None
    with torch.device("meta"):
        known = {name: _shapes(build().state_dict()) for name, build in ASSIGNED.items()}
    for prefix in _prefixes(weights):
        notes = [*noted]
        named = _without(prefix, weights, notes)
        fitting = [name for name in ASSIGNED if known[name] == _shapes(named)]
        if claimed in fitting:
            fitting = [str(claimed)]
        if len(fitting) > 1:
            raise SubmissionError(
                f"the weights fit {' and '.join(fitting[:3])} alike: save which class it is, as in "
                f"torch.save({{'model_state_dict': model.state_dict(), 'model_architecture': "
                f"'{fitting[0]}'}}, path)"
            )
        if fitting:
            model = ASSIGNED[fitting[0]]()
            check_values({key: named[key] for key in model.state_dict()})
            model.load_state_dict(_converted(named, notes))
            return Checkpoint(model.eval(), fitting[0], notes)
    return None


def _shapes(weights: StateDict) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _rebuilt_chain(chain: Chain, weights: StateDict, notes: list[str]) -> Checkpoint:
    check_values(weights)
    # The counters that a file may lack.
    loaded = {name: torch.zeros((), dtype=torch.int64) for name in chain.model.state_dict()}
    loaded |= _converted(chain.weights, notes)
    chain.model.load_state_dict(loaded, assign=True)
    notes.append("rebuilt as Linear layers with ReLU between them")
    if chain.has_early_relu:
        notes.append("ReLU before batch normalisation, which has seen no mean below zero")
    return Checkpoint(chain.model.eval(), f"MLP {chain.shown}", notes, is_guess=True)


def _chain(weights: StateDict, sizes: Sizes) -> Chain | None:
    return find_chain(weights, sizes, _MAX_HIDDEN_LAYERS, _MAX_HIDDEN_SIZE)


def _build(architecture: str, weights: StateDict, model_args: object, sizes: Sizes) -> nn.Module:
    args = model_args if isinstance(model_args, dict) else {}
    if ARCHITECTURES[architecture] in (MNISTClassifier, ImprovedMNISTClassifier):
        dropout_rate = args.get("dropout_rate")
        args = {
            "input_size": sizes.input_size,
            "hidden_sizes": _hidden_sizes(weights),
            "num_classes": sizes.num_classes,
        }
        if isinstance(dropout_rate, int | float) and 0 <= dropout_rate <= 1:
            args["dropout_rate"] = float(dropout_rate)
    # On the meta device a network has shapes but no memory: a file that claims huge layers costs
    # nothing before the claim is compared with its tensors.
    try:
        with torch.device("meta"):
            return build_model(architecture, args)
    except Exception as error:  # a class of the assignment can raise any
        raise SubmissionError(
            f"model_args do not fit {architecture}: save those that it was built with"
        ) from error


def _hidden_sizes(weights: StateDict) -> list[int]:
    units: list[int] = []
    while (name := f"fc{len(units) + 1}.weight") in weights:
        shape = weights[name].shape
        if len(shape) != 2 or not 0 < shape[0] <= _MAX_HIDDEN_SIZE:
            raise SubmissionError(
                f"{name} has shape {list(shape[:8])}, expected [units, inputs] with 1 to "
                f"{_MAX_HIDDEN_SIZE} units: {AS_ONNX}"
            )
        units.append(shape[0])
        if len(units) > _MAX_HIDDEN_LAYERS + 1:
            raise SubmissionError(
                f"the network has more than {_MAX_HIDDEN_LAYERS} hidden layers: {AS_ONNX}"
            )
    return units[:-1]


def _converted(weights: StateDict, notes: list[str]) -> StateDict:
    """Return the weights as float32, and the counters as int64; note what they were."""
    converted = {}
    for name, tensor in weights.items():
        if is_counter(name):
            converted[name] = tensor.to(torch.int64)
            continue
        dtype = str(tensor.dtype).removeprefix("torch.")
        note = f"{dtype} weights were graded as float32"
        if tensor.dtype != torch.float32 and note not in notes:
            notes.append(note)
        converted[name] = tensor.detach().to(torch.float32).contiguous()
    return converted
