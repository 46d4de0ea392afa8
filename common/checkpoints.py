"""One's own checkpoints, and the state from which a training resumes: trusted files only.

Other people's files are read by ``grading.readers``, in a process of their own.
"""

import hashlib
import inspect
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from common.data.catalog import Normalization
from common.loops import Batches
from common.models import (
    ARCHITECTURES,
    ExponentialMovingAverage,
    build_model,
    import_module_of_networks,
    model_args,
    module_of,
)
from common.support.environment import random_states, restore_random_states
from common.support.errors import UserError
from common.support.files import atomic_write, is_undamaged_zip
from common.support.text import shorten

_START_ANEW = "leave out --resume to start anew"


class LoadedCheckpoint(NamedTuple):
    """A trained network in evaluation mode on the CPU, and what its inputs and outputs mean."""

    model: nn.Module
    normalization: Normalization  # of the inputs, as for common.transforms.train_transform
    classes: tuple[str, ...]  # their names, in the order of the logits


def describe_model(
    model: nn.Module, normalization: Normalization, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return what a checkpoint needs so that ``load_checkpoint`` can use the network.

    ``model_module`` is there if the class stands in a file of one's own beside the scripts.
    """
    module = module_of(model)
    return {
        "model_state_dict": {name: value.cpu() for name, value in model.state_dict().items()},
        "model_architecture": type(model).__name__,
        "model_args": model_args(model),
        **({"model_module": module} if module else {}),
        "normalization": list(normalization),
        "classes": list(classes),
    }


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> str:
    """Write ``checkpoint`` whole or not at all, and return the SHA-256 sum of the file.

    It must hold tensors and plain values only.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    atomic_write(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def require_rebuildable(model: nn.Module, device: torch.device) -> None:
    """Refuse a registered network that ``load_checkpoint`` could not build again.

    It is built once for that, so the random numbers that this takes are put back. Raises UserError.
    """
    name, module = type(model).__name__, sys.modules[type(model).__module__]
    if ARCHITECTURES.get(name) is not type(model):
        return
    states = random_states(device)
    try:
        json.dumps(model_args(model))
        build_model(name, model_args(model)).load_state_dict(model.state_dict())
    except Exception as error:  # a class of one's own can raise any
        args = ", ".join(f'"{arg}": {arg}' for arg in inspect.signature(type(model)).parameters)
        file = Path(getattr(module, "__file__", None) or "").name
        raise UserError(
            f"{file}: evaluate.py could not build {name} again: write self.model_args = {{{args}}} "
            f"in its __init__, numbers and lists only ({shorten(str(error), 120)})"
        ) from error
    finally:
        restore_random_states(states, device)


def load_checkpoint(path: str | Path) -> LoadedCheckpoint:
    """Load a network that one of the scripts has saved.

    Raises UserError if the file is none of theirs, or names a class that is not registered.
    """
    checkpoint = _load_plain(Path(path), "train and evaluate again")
    try:
        architecture = checkpoint["model_architecture"]
        module = checkpoint.get("model_module")
        if architecture not in ARCHITECTURES:
            import_module_of_networks(module)
        if architecture not in ARCHITECTURES:
            file = f"{module}.py" if module else "a file"
            raise UserError(
                f"{path} holds a network of the class {architecture}, which is not registered: "
                f"it has to stand in {file} beside the scripts, with @register above it"
            )
        try:
            model = build_model(architecture, checkpoint["model_args"])
        except TypeError as error:
            raise UserError(
                f"{path}: {architecture} cannot be built from its model_args: set self.model_args "
                "to all arguments of the class, and train again"
            ) from error
        model.load_state_dict(checkpoint["model_state_dict"])
        normalization = Normalization(*checkpoint["normalization"])
        return LoadedCheckpoint(model.eval(), normalization, tuple(checkpoint["classes"]))
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} is no checkpoint of these scripts: train again") from error


class TrainingState(NamedTuple):
    """Everything that a training changes: restored, it continues as if never interrupted."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    batches: Batches  # the order of the images, and how far the pass over them has come
    average: ExponentialMovingAverage | None = None  # of the model's weights, if the recipe has one

    @property
    def result(self) -> nn.Module:
        """The trained network: the average of the weights, if there is one."""
        return self.model if self.average is None else self.average.module

    def save(self, path: Path, more: dict[str, Any]) -> None:
        """Write the state, that of the random generators, and what the caller adds."""
        parts = {name: part.state_dict() for name, part in self._parts()}
        random = random_states(self.batches.targets.device)
        save_checkpoint(path, {**more, **parts, "random": random})

    def restore(self, path: Path, saved: dict[str, Any]) -> None:
        """Restore what ``load_saved_state`` read from ``path``.

        Raises UserError if it does not fit; some of it may have been restored then.
        """
        try:
            for name, part in self._parts():
                part.load_state_dict(saved[name])
            restore_random_states(saved["random"], self.batches.targets.device)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} does not fit this recipe: {_START_ANEW}") from error

    def _parts(self) -> list[tuple[str, Any]]:
        return [(name, part) for name, part in self._asdict().items() if part is not None]


def describe_recipe(
    state: TrainingState, criterion: nn.Module, epochs: int, seed: int, val_size: int
) -> dict[str, Any]:
    """Return the recipe's numbers as JSON values, read off the objects before the first step.

    What is not a number, such as a schedule's list of milestones, is left out.
    """
    group, defaults = state.optimizer.param_groups[0], state.optimizer.defaults
    distort, average = state.batches.distort, state.average
    optional: dict[str, Any] = {}
    if distort is not None:
        optional["distortions"] = distort.describe()
    if average is not None:
        optional["average"] = {"name": type(average).__name__, "decay": average.decay}
    return {
        "epochs": epochs,
        "batch_size": state.batches.batch_size,
        "seed": seed,
        "val_size": val_size,
        **optional,
        "model": {"name": type(state.model).__name__, **model_args(state.model)},
        "loss": {"name": type(criterion).__name__, **_numbers(vars(criterion))},
        "optimizer": {"name": type(state.optimizer).__name__, **_numbers(defaults)},
        "schedule": {
            "name": type(state.scheduler).__name__,
            **_numbers(vars(state.scheduler)),
            # A schedule such as OneCycleLR keeps its rates in the optimizer's parameter group.
            **_numbers({key: value for key, value in group.items() if key not in defaults}),
        },
    }


# Public numbers of torch's objects that are no settings of a recipe.
_BOOKKEEPING = {"ignore_index", "last_epoch", "training"}


def _numbers(attributes: dict[str, Any]) -> dict[str, Any]:
    """Keep what is a setting: public numbers, tuples of them, and switches that are on."""
    return {
        name: value
        for name, value in attributes.items()
        if not name.startswith("_")
        and name not in _BOOKKEEPING
        and isinstance(value, int | float | tuple)
        and value is not False
    }


def load_saved_state(path: Path, required: Iterable[str]) -> dict[str, Any]:
    """Read a file that ``TrainingState.save`` wrote.

    Raises UserError if it is damaged, or lacks one of the ``required`` keys.
    """
    saved = _load_plain(path, _START_ANEW)
    if not saved.keys() >= set(required):
        raise UserError(f"{path} is no state of a training: {_START_ANEW}")
    return saved


def _load_plain(path: Path, advice: str) -> dict[str, Any]:
    """Return the dictionary in a file of tensors and plain values, without running code."""
    content = path.read_bytes()
    try:
        if not is_undamaged_zip(content):
            raise ValueError("a flipped bit")
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return dict(loaded)
    except Exception as error:  # a damaged file can break torch in any way
        raise UserError(f"{path} is damaged: {advice}") from error
