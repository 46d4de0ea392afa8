"""Checkpoint files: saved whole, loaded without running code, rebuilt without trust."""

import hashlib
import io
import math
import pickle
import sys
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from common.averaging import WeightAverage
from common.environment import random_states, restore_random_states
from common.errors import SubmissionError, UserError
from common.escaping import quoted
from common.files import write_whole
from common.image_sets import MNIST, Sizes
from common.state_dicts import rebuild

# What an archive may expand to: bytes (the improved network takes 6 MB), and members.
MAX_EXPANDED = 256 * 2**20
_MAX_ARCHIVE_MEMBERS = 4096

_HINT = (
    "save tensors and plain values only, as in "
    "torch.save({'model_state_dict': model.state_dict()}, path)"
)


_START_ANEW = "leave out --resume to start anew"


class Checkpoint(NamedTuple):
    """A network rebuilt from a file, ready to measure on the CPU, and what the file says of it."""

    model: nn.Module
    architecture: str
    epoch: int | None
    claimed_accuracy: float | None  # percent; never believed, only shown
    notes: list[str]  # what was done to the weights to make them fit


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> str:
    """Write ``checkpoint`` whole or not at all, and return the SHA-256 sum of the file.

    It must hold tensors and plain values only.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_whole(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


class Stateful(Protocol):
    """What can be asked for its state, and given it back: networks, optimizers, batches."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take over a state that ``state_dict`` returned."""


class TrainingState(NamedTuple):
    """All that decides how a training goes on: restored, it goes on as if nothing had happened."""

    model: nn.Module
    optimizer: Stateful
    scheduler: Stateful
    batches: Stateful  # the order of the images, and how far the pass over them has come
    average: WeightAverage | None = None  # of the model's weights, where the recipe keeps one

    @property
    def result(self) -> nn.Module:
        """The network that the training is for: the average of the weights, if there is one."""
        return self.model if self.average is None else self.average.module

    def save(self, path: Path, more: dict[str, Any]) -> None:
        """Write the state, that of the random generators, and what the caller adds."""
        parts = {name: part.state_dict() for name, part in self._parts()}
        save_checkpoint(path, {**more, **parts, "random": random_states()})

    def restore(self, path: Path, saved: dict[str, Any]) -> None:
        """Take over what ``load_saved_state`` read from ``path``.

        Raises
        ------
        UserError
            If it does not fit: some of it may have been taken over then.
        """
        try:
            for name, part in self._parts():
                part.load_state_dict(saved[name])
            restore_random_states(saved["random"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} does not fit this recipe: {_START_ANEW}") from error

    def _parts(self) -> list[tuple[str, Stateful]]:
        return [(name, part) for name, part in self._asdict().items() if part is not None]


def load_saved_state(path: Path, required: Iterable[str]) -> dict[str, Any]:
    """Read a file that ``TrainingState.save`` wrote, without running code.

    Raises
    ------
    UserError
        If it is damaged, or lacks one of the ``required`` keys.
    """
    content = path.read_bytes()
    try:
        if not _is_undamaged(content):
            raise ValueError("a flipped bit")
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can break torch in any way
        raise UserError(f"{path} is damaged: {_START_ANEW}") from error
    if not isinstance(saved, dict) or not saved.keys() >= set(required):
        raise UserError(f"{path} is no state of a training: {_START_ANEW}")
    return saved


def load_checkpoint(path: Path, sizes: Sizes = MNIST.sizes) -> Checkpoint:
    """Rebuild the network that a checkpoint file holds. Errors: see ``parse_checkpoint``."""
    path = Path(path)
    # A FIFO would block for ever and a device would never end.
    if not path.is_file():
        raise SubmissionError("not a regular file")
    return parse_checkpoint(path.read_bytes(), sizes)


def parse_checkpoint(content: bytes, sizes: Sizes = MNIST.sizes) -> Checkpoint:
    """Rebuild the network from the bytes of a file, loaded with ``weights_only=True``, no fallback.

    The weights may be the file's whole content, or stand in it under ``model_state_dict`` or
    ``state_dict``; ``common.state_dicts`` says what they must be. The network has to fit ``sizes``.

    Raises
    ------
    SubmissionError
        If there is no such network in it. The text is ours: torch's own advises unsafe loading.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        _check_archive(content)
    loaded = _load_plain(content)
    if not isinstance(loaded, dict):
        raise SubmissionError(f"what the file holds is {quoted(loaded)}, not a state_dict: {_HINT}")
    wrappers = [key for key in ("model_state_dict", "state_dict") if key in loaded]
    if len(wrappers) > 1:
        raise SubmissionError("the file has both model_state_dict and state_dict: keep one of them")
    if not wrappers and loaded and not any(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise SubmissionError(f"no weights under model_state_dict or state_dict: {_HINT}")
    if not wrappers:
        return _rebuilt(loaded, {}, sizes)
    state_dict = loaded[wrappers[0]]
    if not isinstance(state_dict, dict):
        raise SubmissionError(f"{wrappers[0]} is {quoted(state_dict)}, not a dictionary of tensors")
    return _rebuilt(state_dict, loaded, sizes)


def _rebuilt(state_dict: dict[Any, Any], said: dict[Any, Any], sizes: Sizes) -> Checkpoint:
    architecture, model_args = said.get("model_architecture"), said.get("model_args")
    model, notes = rebuild(state_dict, architecture, model_args, sizes)
    epoch = said.get("epoch")
    return Checkpoint(
        model=model,
        architecture=type(model).__name__,
        epoch=epoch if type(epoch) is int and 0 <= epoch < 2**31 else None,
        claimed_accuracy=_finite_number(said.get("accuracy")),
        notes=notes,
    )


def _check_archive(content: bytes) -> None:
    """Look at a zip file's directory before anything in it is expanded."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except Exception as error:  # a directory can be broken in more ways than zipfile names
        raise SubmissionError("the archive is damaged: save and upload it again") from error
    if len(members) > _MAX_ARCHIVE_MEMBERS:
        raise SubmissionError(
            f"the archive has {len(members):,} members; at most {_MAX_ARCHIVE_MEMBERS:,} are "
            "allowed"
        )
    expanded = sum(member.file_size for member in members)
    if expanded > MAX_EXPANDED:
        raise SubmissionError(
            f"the archive expands to {expanded / 2**20:,.0f} MiB; at most "
            f"{MAX_EXPANDED // 2**20} MiB are allowed"
        )
    if not _is_undamaged(content):
        raise SubmissionError("the archive is damaged: save and upload it again")
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise SubmissionError(f"a TorchScript program, which is code: {_HINT}")
    if any(name.endswith("archive_format") for name in names):
        raise SubmissionError(f"a torch.export program, which can run code when opened: {_HINT}")


def _is_undamaged(content: bytes) -> bool:
    # torch itself does not look at the checksums: flipped bits would be graded as other weights.
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip() is None
    except Exception:  # as above
        return False


def _load_plain(content: bytes) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SubmissionError(f"{_unsafe_part(content)}: {_HINT}") from error
    except Exception as error:  # whatever a broken file provokes in torch costs one row
        raise SubmissionError(
            "not a PyTorch checkpoint, or a damaged one: save and upload it again"
        ) from error


def _unsafe_part(content: bytes) -> str:
    """Say what a safe load stumbled over, naming the first object that would need code to load."""
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)))
    except Exception:  # only a zip file can be asked, and only an undamaged one
        names = []
    if not names:
        return "not a checkpoint that loads safely, or a damaged one"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"holds Python objects that only code could load (first: {quoted(names[0])}{more})"


def _finite_number(value: object) -> float | None:
    if type(value) not in (int, float) or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else float(value)
