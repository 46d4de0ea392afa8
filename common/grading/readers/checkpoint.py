"""An untrusted checkpoint: loaded without running code, rebuilt by names and shapes alone."""

import io
import math
import pickle
import sys
import warnings
import zipfile
from typing import Any, NamedTuple

import torch
from torch import nn

from common.data.catalog import MNIST, Sizes
from common.grading.readers.state_dicts import rebuild
from common.support.errors import SubmissionError
from common.support.files import is_undamaged_zip
from common.support.text import quoted

# What an archive may expand to: bytes (the improved network takes 6 MB), and members.
MAX_EXPANDED = 256 * 2**20


_MAX_ARCHIVE_MEMBERS = 4096


_HINT = (
    "save tensors and plain values only, as in "
    "torch.save({'model_state_dict': model.state_dict()}, path)"
)


class Checkpoint(NamedTuple):
    """A network rebuilt from a file, in evaluation mode, and what the file says of it."""

    model: nn.Module
    architecture: str
    epoch: int | None
    claimed_accuracy: float | None  # percent; only shown, never believed
    notes: list[str]  # what was done to the weights to make them fit


def parse_checkpoint(content: bytes, sizes: Sizes = MNIST.sizes) -> Checkpoint:
    """Rebuild the network from the bytes of a file, loaded with ``weights_only=True``, no fallback.

    The weights are the whole content, or under ``model_state_dict`` or ``state_dict``; ``rebuild``
    says what they must be. The network has to fit ``sizes``.

    Raises SubmissionError if there is no such network. The text is ours: torch's own recommends
    unsafe loading.
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
    """Check a zip file's directory before anything in it is expanded."""
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
    if not is_undamaged_zip(content):
        raise SubmissionError("the archive is damaged: save and upload it again")
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise SubmissionError(f"a TorchScript program, which is code: {_HINT}")
    if any(name.endswith("archive_format") for name in names):
        raise SubmissionError(f"a torch.export program, which can run code when opened: {_HINT}")


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
    """Return why a safe load failed, naming the first object that would need code to load."""
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)))
    except Exception:  # only a zip file can be asked, and only an undamaged one
        names = []
    if not names:
        return "not a checkpoint that loads safely, or a damaged one"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"holds Python objects that only code could load (first: {quoted(names[0])}{more})"


def _finite_number(value: object) -> float | None:
    if not isinstance(value, int | float) or type(value) is bool or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else float(value)
