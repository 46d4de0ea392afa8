"""A submission's answers on their way to the parent: fields of fixed size at fixed places.

The process that read the submission may be under its control by now. So nothing here is parsed in a
way that could run code, grow or fail: the parent makes a block of memory of ``block_size`` bytes,
the process fills it in, and ``decode`` takes numbers and one short text from it, or refuses.
"""

import math
import os
import struct
from typing import NamedTuple

import numpy as np

from common.support.errors import SubmissionError
from evaluations.rows import Answers, ClassAnswers, FileInfo, LogitAnswers, check_logits

MAX_TEXT = 600  # characters
_TEXT_BYTES = 4 * MAX_TEXT
# state, kind, architecture, parameters, epoch, images and accuracy that are claimed, number of the
# file that counted, is the network a guess, how the inputs were chosen, their mean and deviation,
# text and its length
_HEADER = struct.Struct(f"<B16s96sqqqdHBBddI{_TEXT_BYTES}s")
_MOST_CLAIMED = 10**7  # images

# A request to the server is JSON: a submission, with the descriptors of the block of answers and of
# the files; or the answer to what one asked. A report from the server: slot, what became of it, and
# with that an exit status, a signal, or the number of an error of the system.
MAX_REQUEST = 2**17  # bytes
MAX_FILES = 64
MAX_BYTES = 256 * 2**20  # of a file; the improved network takes 6 MB
REPORT = struct.Struct("<IBi")
EXITED, KILLED, TIMED_OUT, ASKED, NOT_STARTED = range(5)
READY = 2**32 - 1  # the slot of the report that says the server is up


class Said:
    """How a message begins that comes through a pipe (``portable``); then comes the block."""

    READY, ASKED, ANSWERED = b"r", b"a", b"d"
    LAST = b"l"  # an answer, after which the process ends


LENGTH = struct.Struct("<I")  # of a request through a pipe

# On how many images of the sample ways to make inputs of pixels are compared in each stage. A way
# is a normalisation, of images that are upright (the first half of the numbers) or transposed. At
# first all upright ones are tried, then those that the parent asks for. After each stage the child
# writes a byte to a channel; the server passes it on, stops the child's clock until the parent
# answers, and writes to the channel which ones to go on with, a bit each. A single one is taken.
STAGES = (100, 200, 400, 800, 2000, 5000, 20_000)
TRIED = b"t"
ADVICE = struct.Struct("<B")

# How the inputs of a network were chosen: as its file declares, as the parent advised, or not at
# all, since its input is pixels or it is a table of predictions.
NONE, DECLARED, ADVISED = range(3)

# The first byte of the block. It is written last.
_NOTHING, _LOGITS, _CLASSES, _REFUSED = range(4)


class OpenFile(NamedTuple):
    """A file of a submission, opened by the parent."""

    name: str  # within the submission
    descriptor: int
    size: int  # bytes
    changed_at: int | None = None  # its state when it was opened, in ns; only the parent needs that

    def has_changed(self) -> bool:
        """Tell whether the file is not what it was when it was opened."""
        status = os.fstat(self.descriptor)
        return (status.st_size, changed_at(status)) != (self.size, self.changed_at)


def changed_at(status: os.stat_result) -> int:
    """Return when a file was changed last, in ns."""
    # What Windows calls ctime is when a file was made.
    return status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns


def close_all(files: list[OpenFile]) -> None:
    """Close the files of a submission."""
    for file in files:
        os.close(file.descriptor)


class Trials(NamedTuple):
    """What a submission answered to the sample in the ways that were tried."""

    predicted: dict[int, np.ndarray]  # int64 [images tried], by the way's number
    taken: int = 0  # which of them was taken


class Shape(NamedTuple):
    """The sizes of a block of answers."""

    num_images: int
    num_sampled: int  # training images in the sample; 0 without one
    num_tried: int  # ways that may be tried on it, half of them with transposed images
    num_classes: int

    def sample_start(self, number: int) -> int:
        """Where the answers to the sample in one way begin."""
        answers = self.num_images + number * self.num_sampled
        return _HEADER.size + answers * self.num_classes * 4

    @property
    def block_size(self) -> int:
        """Bytes of the whole block."""
        return self.sample_start(self.num_tried)


def encode_sample(
    block: memoryview, shape: Shape, number: int, first: int, logits: np.ndarray
) -> None:
    """Write the answers to images of the sample, from the ``first`` on, in one way."""
    body = np.ascontiguousarray(logits, dtype="<f4").tobytes()
    start = shape.sample_start(number) + 4 * first * shape.num_classes
    block[start : start + len(body)] = body


def decode_sample(content: bytes, num_classes: int) -> np.ndarray:
    """Read answers to images of the sample: logits, float32 [N, num_classes].

    Whatever stands there is taken for numbers; NaN and infinite ones become finite.
    """
    return np.nan_to_num(np.frombuffer(content, dtype="<f4").reshape(-1, num_classes))


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
    words = info.kind.encode(), (info.architecture or "").encode()
    known = info.parameters, info.epoch, info.claimed_total
    counts = (-1 if count is None else count for count in known)
    claim = math.nan if info.claimed_accuracy is None else info.claimed_accuracy
    read = info.file, info.is_guess, info.chosen, info.mean, info.std
    header = _HEADER.pack(state, *words, *counts, claim, *read, len(text), text)
    block[1 : _HEADER.size] = header[1:]
    block[0] = state


def decode(block: bytes, shape: Shape) -> Answers:
    """Read the answers from a block that an untrusted process filled in.

    Raises SubmissionError with the process's reason, or if there is not one answer to every image:
    logits must be finite, and not all the same for every image; classes must be known ones.
    """
    state, kind, architecture, parameters, epoch, total, claim, *rest = _HEADER.unpack_from(block)
    file, is_guess, chosen, mean, std, length, text = rest
    notes = text[:length].decode("utf-8", "replace")[:MAX_TEXT]
    if state == _REFUSED:
        raise SubmissionError(notes or "refused without a reason: save it anew and upload it again")
    if state not in (_LOGITS, _CLASSES):
        raise SubmissionError(
            "the process that read it ended without an answer: save it anew and upload it again"
        )
    is_known = math.isfinite(mean) and 0 < std < math.inf
    kind, architecture = (
        word.rstrip(b"\0").decode("utf-8", "replace") for word in (kind, architecture)
    )
    info = FileInfo(
        kind=kind,
        architecture=architecture or None,
        parameters=parameters if parameters >= 0 else None,
        epoch=epoch if epoch >= 0 else None,
        claimed_accuracy=claim if math.isfinite(claim) else None,
        claimed_total=total if 0 < total <= _MOST_CLAIMED else None,
        notes=notes,
        file=file,
        is_guess=bool(is_guess),
        chosen=chosen if chosen in (DECLARED, ADVISED) and is_known else NONE,
        mean=mean,
        std=std,
    )
    if state == _CLASSES:
        classes = np.frombuffer(block, dtype="u1", count=shape.num_images, offset=_HEADER.size)
        if classes.max() >= shape.num_classes:
            raise SubmissionError(
                f"a predicted class is not 0 to {shape.num_classes - 1}: save the classes as such"
            )
        return ClassAnswers(classes, info)
    count = shape.num_images * shape.num_classes
    logits = np.frombuffer(block, "<f4", count, _HEADER.size).reshape(-1, shape.num_classes)
    logits = logits.astype(np.float32)
    check_logits(logits)
    return LogitAnswers(logits, info)
