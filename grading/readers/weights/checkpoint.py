"""Untrusted files of weights: loaded without running code, rebuilt by names and shapes alone."""

import argparse
import io
import json
import pathlib
import pickle
import re
import warnings
import zipfile
from typing import Any

import numpy as np
import torch

from common.data.catalog import MNIST, Normalization, Sizes
from common.support.errors import SubmissionError
from common.support.files import is_undamaged_zip
from common.support.text import quoted
from grading.readers.archives import MAX_EXPANDED, MAX_MEMBERS
from grading.readers.claims import read_normalization, read_percent
from grading.readers.weights.state_dicts import Checkpoint, rebuild

try:
    import safetensors.torch

    HAS_SAFETENSORS = True
except ImportError:  # optional: requirements-grading.txt
    HAS_SAFETENSORS = False

_HINT = (
    "save tensors and plain values only, as in "
    "torch.save({'model_state_dict': model.state_dict()}, path)"
)

# The end of a name that is that of a layer's numbers: state of a generator, or a curve, is not.
_LAYER = re.compile(r"(^|\.)(weight|bias)\w*$")

_AS_NUMPY = (
    "of a numpy array save the predictions with np.save('predictions.npy', predictions), and "
    "weights as tensors, as in torch.save({'model_state_dict': model.state_dict()}, path)"
)

# torch's format before its zip archives begins so: a pickle of this number.
_OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

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


def is_checkpoint(content: bytes) -> bool:
    """Tell by a file's content whether it is one of torch's, in either format."""
    if content.startswith(_OLD_FORMAT):
        return True
    if not content.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except Exception:  # a broken directory: its message says so better than "no checkpoint"
        return True
    inside = {name.partition("/")[2] for name in names[:10_000]}
    return bool(inside & {"data.pkl", "archive_format", ".data/version"})


def is_safetensors(content: bytes) -> bool:
    """Tell by a file's content whether it is one of safetensors: a length, and JSON of it."""
    return content[8:9] == b"{" and 8 + int.from_bytes(content[:8], "little") <= len(content)


def load_weights(content: bytes) -> dict[Any, Any]:
    """Return the tensors of a file of either format. Raises what ``parse_checkpoint`` raises."""
    if is_safetensors(content):
        return _load_safetensors(content)[0]
    return _weights_in(_dictionary(load_checkpoint(content)))[0]


def load_checkpoint(content: bytes) -> object:
    """Return what is in the bytes of a file, loaded with ``weights_only=True``, no fallback.

    Raises SubmissionError; the text is ours, since torch's own recommends unsafe loading.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        _check_archive(content)
    return _load_plain(content)


def parse_checkpoint(content: bytes, sizes: Sizes = MNIST.sizes) -> Checkpoint:
    """Rebuild the network from the bytes of a file. Raises SubmissionError."""
    return parse_loaded(load_checkpoint(content), sizes)


def parse_loaded(loaded: object, sizes: Sizes) -> Checkpoint:
    """Rebuild the network from what a file holds.

    The weights are the only dictionary of tensors in it, at the top or one level down; ``rebuild``
    says what they must be. Raises SubmissionError.
    """
    state_dict, said = _weights_in(_dictionary(loaded))
    found = rebuild(state_dict, sizes, said.get("model_architecture"), said.get("model_args"))
    return found._replace(
        epoch=_count(said.get("epoch")),
        claimed_accuracy=read_percent(said.get("accuracy")),
        claimed_total=_count(said.get("accuracy_total")),
        normalization=_declared(said.get("normalization")),
    )


def parse_safetensors(content: bytes, sizes: Sizes) -> Checkpoint:
    """Rebuild the network in a .safetensors file. Raises what ``parse_checkpoint`` raises."""
    state_dict, metadata = _load_safetensors(content)
    found = rebuild(state_dict, sizes)
    return found._replace(normalization=_declared(metadata.get("normalization")))


def _load_safetensors(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if not HAS_SAFETENSORS:
        raise SubmissionError(
            "this machine cannot read safetensors yet: ask who grades to run "
            "pip install -r requirements-grading.txt"
        )
    try:
        state_dict = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except Exception as error:  # the package's own type says no more than this
        raise SubmissionError(
            "not a safetensors file, or a damaged one: save and upload it again"
        ) from error
    return state_dict, metadata


def _weights_in(loaded: dict[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return the only dictionary of tensors, and what stands beside it."""
    if not loaded or _is_of_tensors(loaded):
        return loaded, {}
    if _is_of_tensors(loaded.get("state_dict")):
        # Lightning's averaging keeps the weights to go on with beside those that load.
        loaded = {key: value for key, value in loaded.items() if key != "current_model_state"}
    found = [key for key, value in loaded.items() if _is_of_tensors(value)]
    found = [key for key in found if _has_layers(loaded[key])] or found
    places = [*(["the top"] if _has_layers(loaded) and found else []), *map(quoted, found)]
    if len(places) > 1:
        raise SubmissionError(
            f"the file has two sets of weights, under {places[0]} and {places[1]}: "
            "keep the one that counts"
        )
    if found:
        return loaded[found[0]], loaded
    for key in ("model_state_dict", "state_dict"):
        if key in loaded:
            value = loaded[key]
            if isinstance(value, dict):
                return value, loaded
            raise SubmissionError(f"{key} is {quoted(value)}, not a dictionary of tensors: {_HINT}")
    if any(isinstance(value, torch.Tensor) for value in loaded.values()):
        # A name without a dot is that of no weight: 'epoch' beside them is data.
        beside = {
            key: value
            for key, value in loaded.items()
            if not isinstance(value, torch.Tensor) and "." not in str(key)
        }
        return {key: loaded[key] for key in loaded if key not in beside}, beside
    if "shadow_params" in loaded:  # of torch_ema, and of diffusers
        raise SubmissionError(
            "an average of weights without their names: put them into the network and save that, "
            "ema.copy_to(model.parameters()); torch.save(model.state_dict(), 'model.pth')"
        )
    raise SubmissionError(f"no weights in it: {_HINT}")


def _is_of_tensors(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
        and any(tensor.ndim for tensor in value.values())
    )


def _has_layers(weights: dict[Any, Any]) -> bool:
    return any(
        isinstance(value, torch.Tensor) and value.ndim and _LAYER.search(str(key))
        for key, value in weights.items()
    )


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
        raise SubmissionError(f"a TorchScript program, which is code: {_HINT}")
    if any(name.endswith("archive_format") for name in names):
        raise SubmissionError(f"a torch.export program, which can run code when opened: {_HINT}")


def _dictionary(loaded: object) -> dict[Any, Any]:
    if not isinstance(loaded, dict):
        raise SubmissionError(f"what the file holds is {quoted(loaded)}, not a state_dict: {_HINT}")
    return loaded


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
        return f"not a checkpoint that loads safely, or a damaged one: {_HINT}"
    for package, reason in _OF_PACKAGES.items():
        if any(name.startswith(f"{package}.") for name in names):
            return reason
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    first = f"first: {quoted(names[0])}{more}"
    hint = _AS_NUMPY if any("multiarray._reconstruct" in name for name in names) else _HINT
    return f"holds Python objects that only code could load ({first}): {hint}"


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _declared(value: object) -> Normalization | None:
    found = read_normalization(value)
    if value is not None and found is None:
        raise SubmissionError(
            "normalization is not mean and standard deviation of pixels in [0, 1]: save it as in "
            "'normalization': (0.1307, 0.3081)"
        )
    return found
