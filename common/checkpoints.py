"""Checkpoint files: saved whole, loaded without running code, rebuilt without trust."""

import io
import math
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.files import write_whole
from common.models import ARCHITECTURES, build_model

_MAX_HIDDEN_LAYERS = 16


class CheckpointError(Exception):
    """Why a file cannot be graded, in a sentence for the person who handed it in."""


class Checkpoint(NamedTuple):
    """A network rebuilt from a file, ready to measure on the CPU, and what the file says of it."""

    model: nn.Module
    architecture: str
    epoch: int | None
    claimed_accuracy: float | None  # percent; never believed, only shown


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write ``checkpoint`` whole or not at all; it must hold tensors and plain values only."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Rebuild the network that a checkpoint file holds.

    The file is loaded with ``weights_only=True`` and no fallback. Its weights must have exactly the
    names and shapes of the architecture that it names, be real floating-point numbers, and finite.

    Raises
    ------
    CheckpointError
        If any of that fails. The text is ours: torch's own advises unsafe loading.
    """
    try:
        return _rebuild_checkpoint(_load_plain(Path(path)))
    except CheckpointError:
        raise
    except Exception as error:  # whatever else a strange file provokes costs its own row only
        raise CheckpointError("the file does not fit together as a checkpoint") from error


def _rebuild_checkpoint(content: object) -> Checkpoint:
    if not isinstance(content, dict):
        raise CheckpointError(f"the file holds a {type(content).__name__}, not a dictionary")
    state_dict = content.get("model_state_dict")
    if not isinstance(state_dict, dict):
        raise CheckpointError("the file has no model_state_dict")
    model = _rebuild(content.get("model_architecture"), content.get("model_args", {}), state_dict)
    return Checkpoint(
        model=model.eval(),
        architecture=type(model).__name__,
        epoch=content["epoch"] if type(content.get("epoch")) is int else None,
        claimed_accuracy=_finite_number(content.get("accuracy")),
    )


def _load_plain(path: Path) -> object:
    # A FIFO would block for ever and a device would never end.
    if not path.is_file():
        raise CheckpointError("not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "not a checkpoint that loads safely: save tensors and plain values only, "
            "as in torch.save({'model_state_dict': model.state_dict(), ...}, path)"
        ) from error
    except Exception as error:  # whatever a broken file provokes in torch costs one row
        raise CheckpointError("not a PyTorch checkpoint, or a damaged one") from error


def _rebuild(architecture: object, model_args: object, state_dict: dict[Any, Any]) -> nn.Module:
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise CheckpointError(f"model_architecture is none of {', '.join(ARCHITECTURES)}")
    _check_args(model_args)
    # On the meta device a network has shapes and no memory, so that a file which claims huge
    # layers costs nothing before its claim is held against its tensors.
    with torch.device("meta"):
        model = build_model(architecture, model_args)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _check_tensors(expected, state_dict)
    model.load_state_dict(
        {name: tensor.to(_dtype_of(name)).contiguous() for name, tensor in state_dict.items()},
        assign=True,
    )
    return model


def _check_args(model_args: object) -> None:
    known = {"input_size", "hidden_sizes", "num_classes", "dropout_rate"}
    if not isinstance(model_args, dict) or not model_args.keys() <= known:
        raise CheckpointError(f"model_args must have no other keys than {', '.join(sorted(known))}")
    sizes = [model_args.get("input_size", 784), model_args.get("num_classes", 10)]
    if any(type(size) is not int for size in sizes) or sizes != [784, 10]:
        raise CheckpointError("model_args must have input_size 784 and num_classes 10")
    hidden_sizes = model_args.get("hidden_sizes", [1])
    if not (
        isinstance(hidden_sizes, list | tuple)
        and len(hidden_sizes) <= _MAX_HIDDEN_LAYERS
        and all(type(size) is int and 0 < size < 2**24 for size in hidden_sizes)
    ):
        raise CheckpointError(
            f"hidden_sizes must be a list of at most {_MAX_HIDDEN_LAYERS} positive integers"
        )
    dropout_rate = _finite_number(model_args.get("dropout_rate", 0.0))
    if dropout_rate is None or not 0 <= dropout_rate <= 1:
        raise CheckpointError("dropout_rate must be a number between 0 and 1")


def _check_tensors(expected: dict[str, torch.Size], found: dict[Any, Any]) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = len(found.keys() - expected.keys())
    if missing or unexpected:
        first = f", the first of them {missing[0]}" if missing else ""
        raise CheckpointError(
            f"model_state_dict does not fit the architecture: {len(missing)} missing names{first}; "
            f"{unexpected} unexpected names"
        )
    for name, shape in expected.items():
        tensor = found[name]
        if not _is_plain(tensor):
            raise CheckpointError(f"{name} is not a plain dense tensor")
        if tensor.shape != shape:
            raise CheckpointError(f"{name} has shape {list(tensor.shape)}, expected {list(shape)}")
        if tensor.is_complex() or not (_is_counter(name) or tensor.is_floating_point()):
            raise CheckpointError(f"{name} has dtype {tensor.dtype}, expected a floating-point one")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{name} holds values that are NaN or infinite")


def _is_plain(value: object) -> bool:
    # The exact types: a subclass, or another device, can bring behaviour of its own.
    if type(value) not in (Tensor, nn.Parameter) or value.device.type != "cpu":
        return False
    return value.layout == torch.strided and not value.is_quantized


def _is_counter(name: str) -> bool:
    # BatchNorm's count of batches: the one integer in a state_dict, unused in evaluation.
    return name.endswith("num_batches_tracked")


def _dtype_of(name: str) -> torch.dtype:
    return torch.int64 if _is_counter(name) else torch.float32


def _finite_number(value: object) -> float | None:
    if type(value) not in (int, float) or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else float(value)
