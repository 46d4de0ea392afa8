"""Reads a submission: its bytes and the images go in, its answers come out.

Runs only in the submission's own process (``common.grading.sandbox``), which has no labels.
"""

import codecs
import contextlib
import io

import torch
from torch import Tensor

from common.data.catalog import Sizes
from common.grading.readers.checkpoint import Checkpoint, parse_checkpoint
from common.grading.readers.onnx import predict_onnx
from common.grading.readers.predictions import parse_predictions
from common.grading.readers.state_dicts import rebuild
from common.grading.sandbox.wire import Answers, ClassAnswers, FileInfo, LogitAnswers
from common.models import MNISTClassifier, count_parameters
from common.support.errors import SubmissionError

try:
    import safetensors.torch

    HAS_SAFETENSORS = True
except ImportError:  # optional: requirements-grading.txt
    HAS_SAFETENSORS = False

_BATCH_SIZE = 1000

# For the names in old zip files, for pickles of protocol 0, and for escapes in our messages.
_LATE_CODECS = ("cp437", "latin-1", "ascii", "raw_unicode_escape", "unicode_escape")


def read_answers(content: bytes, kind: str, images: Tensor, num_classes: int) -> Answers:
    """Return what a submission answers to ``images`` (float32 [N, 1, side, side], normalised).

    ``kind`` is one of the values of ``common.grading.submissions.KINDS``.

    Raises SubmissionError if the file cannot be graded.
    """
    if kind == "predictions":
        return ClassAnswers(parse_predictions(content, len(images), num_classes))
    if kind == "onnx":
        return LogitAnswers(predict_onnx(content, images.numpy(), num_classes))
    parse = parse_safetensors if kind == "safetensors" else parse_checkpoint
    checkpoint = parse(content, Sizes(images.shape[2], num_classes))
    with torch.inference_mode():
        logits = torch.cat([checkpoint.model(batch) for batch in images.split(_BATCH_SIZE)])
    return LogitAnswers(logits.numpy(), describe_file(checkpoint))


def describe_file(checkpoint: Checkpoint) -> FileInfo:
    """Return what goes into the row of a checkpoint."""
    return FileInfo(
        architecture=checkpoint.architecture,
        parameters=count_parameters(checkpoint.model),
        epoch=checkpoint.epoch,
        claimed_accuracy=checkpoint.claimed_accuracy,
        notes="; ".join(checkpoint.notes),
    )


def parse_safetensors(content: bytes, sizes: Sizes) -> Checkpoint:
    """Rebuild the network in a .safetensors file. Raises what ``parse_checkpoint`` raises."""
    if not HAS_SAFETENSORS:
        raise SubmissionError(
            "this machine cannot read safetensors yet: who grades has to run "
            "pip install -r requirements-grading.txt"
        )
    try:
        state_dict = safetensors.torch.load(content)
    except Exception as error:  # the package's own type says no more than this
        raise SubmissionError("not a safetensors file, or a damaged one") from error
    model, notes = rebuild(state_dict, sizes=sizes)
    return Checkpoint(model, type(model).__name__, None, None, notes)


def warm_up(images: Tensor, num_classes: int) -> None:
    """Read a submission of each kind, since libraries import some of their parts only then.

    In a submission's own process no file can be opened, so nothing can be imported.
    """
    sizes = Sizes(images.shape[2], num_classes)
    network = MNISTClassifier(sizes.input_size, hidden_sizes=(8,), num_classes=num_classes)
    state_dict = network.state_dict()
    files = {"checkpoint": _saved(state_dict), "predictions": b"\xef\xbb\xbfImageId,Label\n1,1\n"}
    if HAS_SAFETENSORS:
        files["safetensors"] = safetensors.torch.save(state_dict)
    for kind, content in files.items():
        read_answers(content, kind, images[:1], num_classes)
    for codec in _LATE_CODECS:
        codecs.lookup(codec)
    for refused in (_saved({"object": SubmissionError}), b"", b"\xff,\n"):
        for kind in ("checkpoint", "predictions"):
            with contextlib.suppress(SubmissionError):
                read_answers(refused, kind, images[:1], num_classes)


def _saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
