"""Untrusted files of weights: loaded without running code, rebuilt by names and shapes alone."""

import io
import json
import re
import zipfile
from typing import Any

import torch

from common.data.catalog import MNIST, Normalization, Sizes
from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.claims import read_normalization, read_percent
from grading.readers.weights.safe_load import HINT, load_checkpoint
from grading.readers.weights.state_dicts import Checkpoint, rebuild

try:
    import safetensors.torch

    HAS_SAFETENSORS = True
except ImportError:  # optional: requirements-grading.txt
    HAS_SAFETENSORS = False

# The end of a name that is that of a layer's numbers: state of a generator, or a curve, is not.
_LAYER = re.compile(r"(^|\.)(weight|bias)\w*$")

# torch's format before its zip archives begins so: a pickle of this number.
_OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


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
            raise SubmissionError(f"{key} is {quoted(value)}, not a dictionary of tensors: {HINT}")
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
    raise SubmissionError(f"no weights in it: {HINT}")


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


def _dictionary(loaded: object) -> dict[Any, Any]:
    if not isinstance(loaded, dict):
        raise SubmissionError(f"what the file holds is {quoted(loaded)}, not a state_dict: {HINT}")
    return loaded


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
