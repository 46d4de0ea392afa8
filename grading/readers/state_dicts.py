"""From an untrusted dictionary of tensors to a network, by names and shapes alone."""

import re
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.data.catalog import MNIST, Sizes
from common.models import ARCHITECTURES, ImprovedMNISTClassifier, MNISTClassifier, build_model
from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.chains import Chain, find_chain
from grading.readers.registry import ASSIGNED
from grading.readers.tensor_checks import (
    StateDict,
    check_names,
    check_plain,
    check_tensors,
    check_values,
    is_counter,
)

MAX_HIDDEN_LAYERS = 16
MAX_HIDDEN_SIZE = 8192

_OUR_NAMES = re.compile(r"(fc|bn)[1-9]\d*\.\w+")
_AS_ONNX = (
    "hand it in as .onnx: torch.onnx.export(model.eval(), (torch.zeros(2, 1, 28, 28),), "
    "'model.onnx', external_data=False, dynamic_shapes=({0: 'N'},)); or ask who grades to name its "
    "class (--models)"
)


class Rebuilt(NamedTuple):
    """A network in evaluation mode, and how it was found."""

    model: nn.Module
    architecture: str
    notes: list[str]  # what was done to the weights to make them fit
    is_guess: bool = False  # nobody said what stands between its layers


def rebuild(
    state_dict: dict[Any, Any],
    architecture: object = None,
    model_args: object = None,
    sizes: Sizes = MNIST.sizes,
) -> Rebuilt:
    """Return the network with these weights.

    A class of the assignment comes first, if names and shapes fit exactly one; then the two
    networks, by their names; then a chain of Linear layers under any names, with ReLU between
    them. Of the two networks the hidden sizes are read from the shapes: at most 16 layers of at
    most 8192 units. The weights must be real, finite floating-point numbers; they become float32.

    Parameters
    ----------
    state_dict : dict
        Untrusted; everything about it is checked here.
    architecture : object
        The class that the file names, or None.
    model_args : object
        What the file says of the class's arguments. Of the two networks' own, the dropout rate
        alone is taken; any other class that is registered is built with them.
    sizes : Sizes
        What the network has to fit.

    Raises SubmissionError, naming the first thing that is wrong, and how many more there are.
    """
    if not state_dict:
        raise SubmissionError("the file holds no weights: save model.state_dict()")
    weights = _with_text_names(state_dict)
    check_plain(weights)
    is_ours = isinstance(architecture, str) and architecture in ARCHITECTURES
    if not is_ours and (assigned := _of_assignment(weights, architecture)):
        return assigned
    weights, notes = _without_prefix(weights)
    is_named = all(_OUR_NAMES.fullmatch(name) for name in weights)
    if architecture is None and not is_named:
        chain = find_chain(weights, sizes, MAX_HIDDEN_LAYERS, MAX_HIDDEN_SIZE)
        if chain is None:
            first = next(name for name in weights if not _OUR_NAMES.fullmatch(name))
            raise SubmissionError(f"this is another network (it has {quoted(first)}): {_AS_ONNX}")
        return _rebuilt_chain(chain, weights, sizes, notes)
    # Some formats keep no order; sorted, the first complaint is the same each time.
    weights = dict(sorted(weights.items()))
    name = _choose_architecture(weights, architecture)
    if architecture is None:
        notes.append(f"it names no class: taken for {name}, with ReLU")
    model = _build(name, weights, model_args, sizes)
    _load(model, name, weights, sizes, notes)
    return Rebuilt(model.eval(), type(model).__name__, notes)


def _with_text_names(state_dict: dict[Any, Any]) -> dict[str, Any]:
    for key in state_dict:
        if not isinstance(key, str):
            raise SubmissionError(
                f"the names of the weights must be text, but one is {quoted(key)}: save "
                "model.state_dict() itself"
            )
    return state_dict


def _prefixes(weights: dict[str, Any]) -> list[str]:
    """Return the prefixes that all names share, from none to the longest, whole parts each."""
    parts = [name.split(".") for name in weights]
    prefixes = [""]
    for depth in range(min(map(len, parts)) - 2):
        if len({tuple(name[: depth + 1]) for name in parts}) > 1:
            break
        prefixes.append(".".join(parts[0][: depth + 1]) + ".")
    return prefixes


def _without_prefix(weights: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    prefix = _prefixes(weights)[-1]
    if not prefix:
        return weights, []
    shown = quoted(prefix).strip("'")
    stripped = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return stripped, [f"{shown} was taken off every name"]


def _of_assignment(weights: dict[str, Any], claimed: object) -> Rebuilt | None:
    """Return the network of the one class of the assignment that fits, with or without a prefix."""
    for prefix in _prefixes(weights) if ASSIGNED else ():
        named = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
        fitting = [name for name in ASSIGNED if _fits(name, named)]
        if claimed in fitting:
            fitting = [str(claimed)]
        if len(fitting) > 1:
            raise SubmissionError(
                f"the weights fit {' and '.join(fitting[:3])} alike: save which class it is, as in "
                f"torch.save({{'model_state_dict': model.state_dict(), 'model_architecture': "
                f"'{fitting[0]}'}}, path)"
            )
        if fitting:
            notes = [f"{quoted(prefix).strip(chr(39))} was taken off every name"] if prefix else []
            model = ASSIGNED[fitting[0]]()
            expected = {key: tensor.shape for key, tensor in model.state_dict().items()}
            check_values(expected, named)
            loaded = {k: _as_expected(k, t, notes) for k, t in named.items()}
            model.load_state_dict(loaded)
            return Rebuilt(model.eval(), fitting[0], notes)
    return None


def _fits(name: str, weights: dict[str, Any]) -> bool:
    with torch.device("meta"):
        expected = ASSIGNED[name]().state_dict()
    return expected.keys() == weights.keys() and all(
        expected[key].shape == weights[key].shape for key in expected
    )


def _rebuilt_chain(chain: Chain, weights: StateDict, sizes: Sizes, notes: list[str]) -> Rebuilt:
    renamed = {ours: weights[theirs] for ours, theirs in chain.names.items()}
    check_values({name: tensor.shape for name, tensor in renamed.items()}, renamed)
    with torch.device("meta"):
        model = chain.build()
    loaded = {name: _as_expected(name, tensor, notes) for name, tensor in renamed.items()}
    counters = {name: torch.zeros((), dtype=torch.int64) for name in model.state_dict()}
    model.load_state_dict({**counters, **loaded}, assign=True)
    notes.append("a network under other names: rebuilt as Linear layers with ReLU between them")
    return Rebuilt(model.eval(), f"MLP {chain.shown}", notes, is_guess=True)


def _load(model: nn.Module, name: str, weights: StateDict, sizes: Sizes, notes: list[str]) -> None:
    expected = {key: tensor.shape for key, tensor in model.state_dict().items()}
    check_names(name, expected, weights)
    check_tensors(expected, weights, sizes)
    model.load_state_dict({k: _as_expected(k, t, notes) for k, t in weights.items()}, assign=True)


def _choose_architecture(weights: dict[str, Any], claimed: object) -> str:
    if claimed is None:
        normalised = any(key.startswith("bn") for key in weights)
        return (ImprovedMNISTClassifier if normalised else MNISTClassifier).__name__
    if not isinstance(claimed, str) or claimed not in ARCHITECTURES:
        raise SubmissionError(
            f"model_architecture is {quoted(claimed)}, but must be one of "
            f"{', '.join([*ASSIGNED, *ARCHITECTURES])}: leave it out, or {_AS_ONNX}"
        )
    return claimed


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
    except TypeError as error:
        raise SubmissionError(
            f"model_args do not fit {architecture}: save those that it was built with"
        ) from error


def _hidden_sizes(weights: StateDict) -> list[int]:
    sizes: list[int] = []
    while f"fc{len(sizes) + 1}.weight" in weights:
        sizes.append(_output_size(f"fc{len(sizes) + 1}.weight", weights))
        if len(sizes) > MAX_HIDDEN_LAYERS + 1:
            raise SubmissionError(
                f"the network has more than {MAX_HIDDEN_LAYERS} hidden layers: hand it in as .onnx"
            )
    return sizes[:-1]


def _output_size(name: str, weights: StateDict) -> int:
    shape = weights[name].shape
    if len(shape) != 2 or not 0 < shape[0] <= MAX_HIDDEN_SIZE:
        raise SubmissionError(
            f"{name} has shape {list(shape[:8])}, expected [units, inputs] with 1 to "
            f"{MAX_HIDDEN_SIZE} units: hand it in as .onnx"
        )
    return shape[0]


def _as_expected(name: str, tensor: Tensor, notes: list[str]) -> Tensor:
    if is_counter(name):
        return tensor.to(torch.int64)
    if tensor.dtype != torch.float32:
        dtype = str(tensor.dtype).removeprefix("torch.")
        note = f"{dtype} weights were graded as float32"
        if note not in notes:
            notes.append(note)
    return tensor.detach().to(torch.float32).contiguous()
