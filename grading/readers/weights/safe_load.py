"""What is in an untrusted file of torch.save, loaded without running code."""

import argparse
import io
import pathlib
import pickle
import warnings
import zipfile
from typing import Any

import numpy as np
import torch

from common.support.errors import SubmissionError
from common.support.files import is_undamaged_zip
from common.support.text import quoted
from grading.readers.archives import MAX_EXPANDED, MAX_MEMBERS

HINT = (
    "save tensors and plain values only, as in "
    "torch.save({'model_state_dict': model.state_dict()}, path)"
)

_AS_NUMPY = (
    "of a numpy array save the predictions with np.save('predictions.npy', predictions), and "
    "weights as tensors, as in torch.save({'model_state_dict': model.state_dict()}, path)"
)

# What is kept in pieces or packed by other packages, by how their classes are called.
_OF_PACKAGES = {
    "torch.distributed": (
        "holds weights in pieces (DTensor, as FSDP keeps them): save them whole. from "
        "torch.distributed.checkpoint.state_dict import get_model_state_dict, StateDictOptions; "
        "torch.save(get_model_state_dict(model, options=StateDictOptions(full_state_dict=True)), "
        "'model.pth')"
    ),
    "torchao": (
        "holds weights that torchao has quantised: save them as numbers, torch.save({k: "
        "v.dequantize() for k, v in model.state_dict().items()}, 'model.pth'), or hand in "
        "predictions"
    ),
}


_OF_OMEGACONF = (
    *(("dictconfig", "DictConfig"), ("listconfig", "ListConfig")),
    *(("base", "ContainerMetadata"), ("base", "Metadata"), ("nodes", "AnyNode")),
)


def _as_list(items: Any = (), *_: Any) -> list[Any]:  # noqa: ANN401
    return list(items)


def _as_dict(*_: Any) -> dict[Any, Any]:  # noqa: ANN401
    return {}


# Plain data that people keep beside weights, and that cannot run code. Paths become pure ones,
# which name a file and cannot touch it.
_PLAIN: list[Any] = [
    argparse.Namespace,
    # Lists and settings of other packages: what they hold is kept, what they do is not.
    *((argparse.Namespace, name) for name in ("fastcore.foundation.L", "typing.Any")),
    *((argparse.Namespace, f"omegaconf.{kind}.{name}") for kind, name in _OF_OMEGACONF),
    *((_as_list, "collections.deque"), (_as_dict, "collections.defaultdict")),
    *((kind, f"builtins.{kind.__name__}") for kind in (list, dict, int, float)),
    *((np.dtype, "numpy.dtype"), (np.ndarray, "numpy.ndarray")),
    *((pathlib.PurePosixPath, f"pathlib{m}.PosixPath") for m in ("", "._local")),
    *((pathlib.PureWindowsPath, f"pathlib{m}.WindowsPath") for m in ("", "._local")),
    *((pathlib.PurePosixPath, f"pathlib{m}.PurePosixPath") for m in ("", "._local")),
    *((pathlib.PureWindowsPath, f"pathlib{m}.PureWindowsPath") for m in ("", "._local")),
    *((np.float64(0).__reduce__()[0], f"numpy.{m}.multiarray.scalar") for m in ("core", "_core")),
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdgU"),
]


def load_checkpoint(content: bytes) -> object:
    """Return what is in the bytes of a file, loaded with ``weights_only=True``, no fallback.

    Raises SubmissionError; the text is ours, since torch's own recommends unsafe loading.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        _check_archive(content)
    return _load_plain(content)


def _check_archive(content: bytes) -> None:
    """Check a zip file's directory before anything in it is expanded."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except Exception as error:  # a directory can be broken in more ways than zipfile names
        raise SubmissionError("the archive is damaged: save and upload it again") from error
    if len(members) > MAX_MEMBERS:
        raise SubmissionError(
            f"the archive has {len(members):,} members; at most {MAX_MEMBERS:,} are "
            "allowed: save the weights alone"
        )
    expanded = sum(member.file_size for member in members)
    if expanded > MAX_EXPANDED:
        raise SubmissionError(
            f"the archive expands to {expanded / 2**20:,.0f} MiB; at most "
            f"{MAX_EXPANDED // 2**20} MiB are allowed: hand in a smaller network"
        )
    if not is_undamaged_zip(content):
        raise SubmissionError("the archive is damaged: save and upload it again")
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise SubmissionError(f"a TorchScript program, which is code: {HINT}")
    if any(name.endswith("archive_format") for name in names):
        raise SubmissionError(f"a torch.export program, which can run code when opened: {HINT}")


def _load_plain(content: bytes) -> object:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_PLAIN):
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SubmissionError(_why_unsafe(content)) from error
    except Exception as error:  # whatever a broken file provokes in torch costs one row
        raise SubmissionError(
            "not a PyTorch checkpoint, or a damaged one: save it with torch.save and upload it "
            "again"
        ) from error


def _why_unsafe(content: bytes) -> str:
    """Return why a safe load failed, naming the first object that would need code to load."""
    try:
        with torch.serialization.safe_globals(_PLAIN):
            stream = io.BytesIO(content)
            names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(stream))
    except Exception:  # only a zip file can be asked, and only an undamaged one
        names = []
    if not names:
        return f"not a checkpoint that loads safely, or a damaged one: {HINT}"
    for package, reason in _OF_PACKAGES.items():
        if any(name.startswith(f"{package}.") for name in names):
            return reason
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    first = f"first: {quoted(names[0])}{more}"
    hint = _AS_NUMPY if any("multiarray._reconstruct" in name for name in names) else HINT
    return f"holds Python objects that only code could load ({first}): {hint}"
