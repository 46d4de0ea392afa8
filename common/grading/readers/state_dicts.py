"""From an untrusted dictionary of tensors to a network, by names and shapes alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from common.data.catalog import MNIST, Sizes
from common.models import ARCHITECTURES, ImprovedMNISTClassifier, MNISTClassifier, build_model
from common.support.errors import SubmissionError
from common.support.text import quoted

MAX_HIDDEN_LAYERS = 16
MAX_HIDDEN_SIZE = 8192

# Prefixes that DataParallel and torch.compile put before every name.
_WRAPPERS = ("module.", "_orig_mod.")

_NOT_PLAIN = "is no ordinary tensor (sparse, quantised, without values, or something else)"

StateDict = dict[str, Tensor]


def rebuild(
    state_dict: dict[Any, Any],
    architecture: object = None,
    model_args: object = None,
    sizes: Sizes = MNIST.sizes,
) -> tuple[nn.Module, list[str]]:
    """Return the network with these weights, in evaluation mode, and what was done to them.

    The hidden sizes of the two networks are read from the shapes: at most 16 layers of at most 8192
    units. Names and shapes must then fit exactly, and the weights must be real floating-point
    numbers and finite; they become float32.

    Parameters
    ----------
    state_dict : dict
        Untrusted; everything about it is checked here.
    architecture : object
        The class that the file names; without one (None) the names of the weights tell.
    model_args : object
        What the file says of the class's arguments. Of the two networks' own, the dropout rate
        alone is taken; any other class that is registered is built with them.
    sizes : Sizes
        What the network has to fit.

    Raises SubmissionError, naming the first thing that is wrong, and how many more there are.
    """
    if not state_dict:
        raise SubmissionError("the file holds no weights")
    notes: list[str] = []
    weights = _without_wrappers(state_dict, notes)
    name = _choose_architecture(weights, architecture)
    _refuse_first(weights, _NOT_PLAIN, lambda _, t: not _is_plain(t))
    model = _build(name, weights, model_args, sizes)
    expected = {key: tensor.shape for key, tensor in model.state_dict().items()}
    _check_names(name, expected, weights)
    _check_tensors(expected, weights, sizes)
    model.load_state_dict({k: _as_expected(k, t, notes) for k, t in weights.items()}, assign=True)
    return model.eval(), notes


def _without_wrappers(state_dict: dict[Any, Any], notes: list[str]) -> dict[Any, Any]:
    for key in state_dict:
        if not isinstance(key, str):
            raise SubmissionError(
                f"the names of the weights must be text, but one is {quoted(key)}"
            )
    stripped = state_dict
    while prefix := next((p for p in _WRAPPERS if all(k.startswith(p) for k in stripped)), None):
        stripped = {key.removeprefix(prefix): tensor for key, tensor in stripped.items()}
        notes.append(f"{prefix} was taken off every name")
    # Some formats keep no order; sorted, the first complaint is the same each time.
    return dict(sorted(stripped.items()))


def _choose_architecture(weights: dict[str, Any], claimed: object) -> str:
    if claimed is None:
        normalised = any(key.startswith("bn") for key in weights)
        return (ImprovedMNISTClassifier if normalised else MNISTClassifier).__name__
    if not isinstance(claimed, str) or claimed not in ARCHITECTURES:
        raise SubmissionError(
            f"model_architecture is {quoted(claimed)}, but must be one of "
            f"{', '.join(ARCHITECTURES)}"
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
        raise SubmissionError(f"model_args do not fit {architecture}") from error


def _hidden_sizes(weights: StateDict) -> list[int]:
    sizes: list[int] = []
    while f"fc{len(sizes) + 1}.weight" in weights:
        sizes.append(_output_size(f"fc{len(sizes) + 1}.weight", weights))
        if len(sizes) > MAX_HIDDEN_LAYERS + 1:
            raise SubmissionError(f"the network has more than {MAX_HIDDEN_LAYERS} hidden layers")
    return sizes[:-1]


def _output_size(name: str, weights: StateDict) -> int:
    shape = weights[name].shape
    if len(shape) != 2 or not 0 < shape[0] <= MAX_HIDDEN_SIZE:
        raise SubmissionError(
            f"{name} has shape {_list(shape)}, expected [units, inputs] with 1 to "
            f"{MAX_HIDDEN_SIZE} units"
        )
    return shape[0]


def _check_names(architecture: str, expected: dict[str, torch.Size], found: StateDict) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    complaints = [
        f"{len(names)} {word} {'name' if len(names) == 1 else 'names'} (first: {quoted(names[0])})"
        for word, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if complaints:
        raise SubmissionError(
            f"the weights do not fit {architecture}: {'; '.join(complaints)}; layers are called "
            "fc1, fc2, ... and, in ImprovedMNISTClassifier, bn1, bn2, ..."
        )


def _check_tensors(expected: dict[str, torch.Size], found: StateDict, sizes: Sizes) -> None:
    wrong = [name for name in expected if found[name].shape != expected[name]]
    if wrong:
        first = wrong[0]
        fit = f" ({sizes.input_size} inputs, {sizes.num_classes} classes)"
        inputs = fit if ".weight" in first else ""
        raise SubmissionError(
            f"{first} has shape {_list(found[first].shape)}, expected "
            f"{_list(expected[first])}{inputs}{_and_more(wrong)}"
        )
    _refuse_first(
        found,
        "has dtype {dtype}, expected a floating-point one",
        lambda name, t: t.is_complex() or not (_is_counter(name) or t.is_floating_point()),
    )
    _refuse_first(
        found, "holds values that are NaN or infinite", lambda _, t: not t.isfinite().all()
    )


def _refuse_first(
    weights: dict[str, Any], complaint: str, is_wrong: Callable[[str, Any], bool]
) -> None:
    wrong = [name for name, tensor in weights.items() if is_wrong(name, tensor)]
    if wrong:
        dtype = str(getattr(weights[wrong[0]], "dtype", "")).removeprefix("torch.")
        shown = wrong[0] if wrong[0].isidentifier() else quoted(wrong[0]).strip("'")
        raise SubmissionError(f"{shown} {complaint.format(dtype=dtype)}{_and_more(wrong)}")


def _and_more(names: list[str]) -> str:
    return f"; and {len(names) - 1} more like it" if len(names) > 1 else ""


def _is_plain(value: object) -> bool:
    # The exact types: a subclass, or another device, can bring behaviour of its own.
    if not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter):
        return False
    if value.device.type != "cpu":
        return False
    return value.layout == torch.strided and not value.is_quantized


def _is_counter(name: str) -> bool:
    # BatchNorm's count of batches: the one integer in a state_dict, unused in evaluation.
    return name.endswith("num_batches_tracked")


def _as_expected(name: str, tensor: Tensor, notes: list[str]) -> Tensor:
    if _is_counter(name):
        return tensor.to(torch.int64)
    if tensor.dtype != torch.float32:
        dtype = str(tensor.dtype).removeprefix("torch.")
        note = f"{dtype} weights were graded as float32"
        if note not in notes:
            notes.append(note)
    return tensor.detach().to(torch.float32).contiguous()


def _list(shape: torch.Size) -> list[int]:
    return list(shape[:8])
