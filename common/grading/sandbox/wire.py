"""A submission's answers on their way to the parent: fields of fixed size at fixed places.

The process that read the submission may be under its control by now. So nothing here is parsed in a
way that could run code, grow or fail: the parent makes a block of memory of ``block_size`` bytes,
the process fills it in, and ``decode`` takes numbers and one short text from it, or refuses.
"""

import math
import struct
from typing import NamedTuple

import numpy as np

from common.support.errors import SubmissionError

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

# The first byte of the block. It is written last.
_NOTHING, _LOGITS, _CLASSES, _REFUSED = range(4)


class FileInfo(NamedTuple):
    """What a submission's file says of itself, and what was done to read it."""

    architecture: str | None = None
    parameters: int | None = None
    epoch: int | None = None
    claimed_accuracy: float | None = None  # percent
    notes: str = ""


class LogitAnswers(NamedTuple):
    """A network's answers."""

    logits: np.ndarray  # float32 [N, C]
    info: FileInfo = FileInfo()

    @property
    def classes(self) -> np.ndarray:
        """The predicted classes, int64 [N]."""
        return self.logits.argmax(axis=1)


class ClassAnswers(NamedTuple):
    """The answers of a prediction file."""

    classes: np.ndarray  # uint8 [N]
    info: FileInfo = FileInfo()


Answers = LogitAnswers | ClassAnswers


def block_size(num_images: int, num_classes: int) -> int:
    """Return the bytes that the answers to ``num_images`` take."""
    return _HEADER.size + num_images * num_classes * 4


def encode(block: memoryview, answers: Answers) -> None:
    """Write answers into ``block``; the first byte comes last, when the rest is complete."""
    if isinstance(answers, LogitAnswers):
        state, body = _LOGITS, np.ascontiguousarray(answers.logits, dtype="<f4").tobytes()
    else:
        state, body = _CLASSES, np.ascontiguousarray(answers.classes, dtype="u1").tobytes()
    block[_HEADER.size : _HEADER.size + len(body)] = body
    _write_header(block, state, answers.info)


def encode_refusal(block: memoryview, reason: str) -> None:
    """Write into ``block`` why the submission cannot be graded."""
    _write_header(block, _REFUSED, FileInfo(notes=reason))


def _write_header(block: memoryview, state: int, info: FileInfo) -> None:
    text = info.notes[:MAX_TEXT].encode("utf-8", "replace")
    block[1 : _HEADER.size] = _HEADER.pack(
        state,
        (info.architecture or "").encode(),
        -1 if info.parameters is None else info.parameters,
        -1 if info.epoch is None else info.epoch,
        math.nan if info.claimed_accuracy is None else info.claimed_accuracy,
        len(text),
        text,
    )[1:]
    block[0] = state


def decode(block: bytes, num_images: int, num_classes: int) -> Answers:
    """Read the answers from a block that an untrusted process filled in.

    Raises SubmissionError with the process's reason, or if there is not one answer to every image:
    logits must be finite, and not all the same for every image; classes must be below
    ``num_classes``.
    """
    state, architecture, parameters, epoch, claim, length, text = _HEADER.unpack_from(block)
    notes = text[: min(length, _TEXT_BYTES)].decode("utf-8", "replace")[:MAX_TEXT]
    if state == _REFUSED:
        raise SubmissionError(notes or "refused without a reason")
    if state not in (_LOGITS, _CLASSES):
        raise SubmissionError("the process that read it ended without an answer")
    info = FileInfo(
        architecture=architecture.rstrip(b"\0").decode("utf-8", "replace") or None,
        parameters=parameters if parameters >= 0 else None,
        epoch=epoch if epoch >= 0 else None,
        claimed_accuracy=claim if math.isfinite(claim) else None,
        notes=notes,
    )
    if state == _CLASSES:
        classes = np.frombuffer(block, dtype="u1", count=num_images, offset=_HEADER.size)
        if classes.max() >= num_classes:
            raise SubmissionError(f"a predicted class is not 0 to {num_classes - 1}")
        return ClassAnswers(classes, info)
    count = num_images * num_classes
    logits = np.frombuffer(block, dtype="<f4", count=count, offset=_HEADER.size)
    logits = logits.reshape(num_images, num_classes).astype(np.float32)
    check_logits(logits)
    return LogitAnswers(logits, info)


def check_logits(logits: np.ndarray) -> None:
    """Refuse logits [N, C] that name no class; argmax would silently call them all 0.

    Raises SubmissionError if one is NaN or infinite, or if all values are equal for every image.
    """
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        raise SubmissionError(
            f"the answers to {len(broken):,} of {len(logits):,} images are NaN or infinite "
            f"(first: image {broken[0] + 1})"
        )
    if (logits == logits[:, :1]).all():
        raise SubmissionError("all values of the answer are equal, for every image")
