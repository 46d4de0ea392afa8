"""What an untrusted state_dict must be: names, shapes and values, each refused with a next step.

All of it raises SubmissionError that names the first thing that is wrong, and how many more.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from common.data.catalog import Sizes
from common.support.errors import AS_ONNX, SubmissionError
from common.support.text import quoted

_NOT_PLAIN = (
    "is no ordinary tensor (sparse, quantised, without values, or something else): save "
    "floating-point tensors, of a quantised network those from before, or hand in predictions"
)
_BROKEN = "holds values that are NaN or infinite: hand in weights from before that"

StateDict = dict[str, Tensor]


def check_plain(weights: dict[str, Any]) -> None:
    """Refuse what is no ordinary tensor."""
    _refuse_first(weights, _NOT_PLAIN, lambda _, value: not _is_plain(value))


def check_fit(
    architecture: str, expected: dict[str, torch.Size], found: StateDict, sizes: Sizes
) -> None:
    """Refuse names, shapes and values that the network, of ``expected`` shapes, cannot have."""
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
            "fc1, fc2, ... and, in ImprovedMNISTClassifier, bn1, bn2, ...: name them so, "
            f"or {AS_ONNX}"
        )
    wrong = [name for name in expected if found[name].shape != expected[name]]
    if wrong:
        first = wrong[0]
        fit = f" ({sizes.input_size} inputs, {sizes.num_classes} classes)"
        inputs = fit if ".weight" in first else ""
        raise SubmissionError(
            f"{first} has shape {list(found[first].shape[:8])}, expected "
            f"{list(expected[first][:8])}{inputs}{_and_more(wrong)}: hand in weights that fit, or "
            "the network as .onnx"
        )
    check_values({name: found[name] for name in expected})


def check_values(weights: StateDict) -> None:
    """Refuse values that are no finite floating-point numbers."""
    _refuse_first(
        weights,
        "has dtype {dtype}, expected a floating-point one: save it with .float()",
        lambda name, t: t.is_complex() or not (is_counter(name) or t.is_floating_point()),
    )
    _refuse_first(weights, _BROKEN, lambda _, t: not t.isfinite().all())


def is_counter(name: str) -> bool:
    """Tell whether it is the name of BatchNorm's count of batches."""
    # The one integer in a state_dict, unused in evaluation.
    return name.endswith("num_batches_tracked")


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
    return (
        isinstance(value, Tensor)
        and type(value) in (Tensor, nn.Parameter)
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and not value.is_quantized
    )
