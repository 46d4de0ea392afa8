"""A submission's answers on their way to the parent: fields of fixed size at fixed places.

The process that read the submission may be the submission's own by now, so nothing here is parsed
in a way that could run, grow or fail: the parent makes a block of memory of ``block_size`` bytes,
the process fills it in, and ``decode`` takes numbers and one short text from it, or refuses.
"""

import math
import struct
from typing import NamedTuple

import numpy as np

from common.errors import SubmissionError

MAX_TEXT = 600  # characters
_TEXT_BYTES = 4 * MAX_TEXT
# state, architecture, parameters, epoch, claimed accuracy, length of the text, text
_HEADER = struct.Struct(f"<B31sqqdI{_TEXT_BYTES}s")

# To the server: slot, size of the file, kind; with the descriptors of the file and of the answers.
REQUEST = struct.Struct("<IQ16s")
# From the server: slot, how it ended, exit status or signal.
REPORT = struct.Struct("<IBi")
EXITED, KILLED, TIMED_OUT = range(3)
READY = 2**32 - 1  # the slot of the report that says the server is up

# The first byte: until the end nothing is there.
_NOTHING, _LOGITS, _CLASSES, _REFUSED = range(4)


class Answers(NamedTuple):
    """What a submission answered: logits or classes; and what its file says of itself."""

    logits: np.ndarray | None = None  # float32 [N, C]
    classes: np.ndarray | None = None  # uint8 [N]
    architecture: str | None = None
    parameters: int | None = None
    epoch: int | None = None
    claimed_accuracy: float | None = None  # percent
    text: str = ""  # notes


def block_size(num_images: int, num_classes: int) -> int:
    """Return the bytes that the answers to ``num_images`` take."""
    return _HEADER.size + num_images * num_classes * 4


def encode(block: memoryview, answers: Answers) -> None:
    """Fill in ``block`` with answers; its first byte comes last, when the rest is complete."""
    values = answers.logits if answers.logits is not None else answers.classes
    dtype = "<f4" if answers.logits is not None else "u1"
    body = np.ascontiguousarray(values, dtype=dtype).tobytes()
    block[_HEADER.size : _HEADER.size + len(body)] = body
    _write_header(block, _LOGITS if answers.logits is not None else _CLASSES, answers)


def encode_refusal(block: memoryview, reason: str) -> None:
    """Fill in ``block`` with why the submission cannot be graded."""
    _write_header(block, _REFUSED, Answers(text=reason))


def _write_header(block: memoryview, state: int, answers: Answers) -> None:
    text = answers.text[:MAX_TEXT].encode("utf-8", "replace")
    block[1 : _HEADER.size] = _HEADER.pack(
        state,
        (answers.architecture or "").encode(),
        -1 if answers.parameters is None else answers.parameters,
        -1 if answers.epoch is None else answers.epoch,
        math.nan if answers.claimed_accuracy is None else answers.claimed_accuracy,
        len(text),
        text,
    )[1:]
    block[0] = state


def decode(block: bytes, num_images: int, num_classes: int) -> Answers:
    """Take the answers out of a block that a process of unknown loyalty filled in.

    Raises
    ------
    SubmissionError
        With the process's reason, or if what it left is no answer to every image: logits must be
        finite, and not all the same for every image; classes must be below ``num_classes``.
    """
    state, architecture, parameters, epoch, claim, length, text = _HEADER.unpack_from(block)
    shown = text[: min(length, _TEXT_BYTES)].decode("utf-8", "replace")[:MAX_TEXT]
    if state == _REFUSED:
        raise SubmissionError(shown or "refused without a reason")
    if state not in (_LOGITS, _CLASSES):
        raise SubmissionError("the process that read it ended without an answer")
    said = {
        "architecture": architecture.rstrip(b"\0").decode("utf-8", "replace") or None,
        "parameters": parameters if parameters >= 0 else None,
        "epoch": epoch if epoch >= 0 else None,
        "claimed_accuracy": claim if math.isfinite(claim) else None,
        "text": shown,
    }
    if state == _CLASSES:
        classes = np.frombuffer(block, dtype="u1", count=num_images, offset=_HEADER.size)
        if classes.max() >= num_classes:
            raise SubmissionError(f"a predicted class is not 0 to {num_classes - 1}")
        return Answers(classes=classes, **said)
    count = num_images * num_classes
    logits = np.frombuffer(block, dtype="<f4", count=count, offset=_HEADER.size)
    logits = logits.reshape(num_images, num_classes).astype(np.float32)
    check_logits(logits)
    return Answers(logits=logits, **said)


def check_logits(logits: np.ndarray) -> None:
    """Refuse logits [N, C] that name no class; argmax would silently call them all 0.

    Raises
    ------
    SubmissionError
        If one is NaN or infinite, or if all values are equal for every image.
    """
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        raise SubmissionError(
            f"the answers to {len(broken):,} of {len(logits):,} images are NaN or infinite "
            f"(first: image {broken[0] + 1})"
        )
    if (logits == logits[:, :1]).all():
        raise SubmissionError("all values of the answer are equal, for every image")
