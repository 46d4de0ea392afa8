"""How a submission is read and asked for its answers, in whatever process that happens."""

import errno
import importlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from common.data.catalog import Normalization, Sizes
from common.support.errors import SubmissionError
from common.transforms import normalize
from evaluations.rows import Answers, ClassAnswers, LogitAnswers
from grading.sandbox import wire
from grading.sandbox.reading import Network, Reading, Table, Way

NamedFile = tuple[str, bytes]

_UNREADABLE = "the file cannot be read: save or export it anew, and upload it again"

# What the operating system answers when a limit is reached.
_ALONE = "hand in weights or predictions alone"
_REASONS = {
    errno.EAGAIN: f"tried to start a process or thread; none is allowed (limit 0): {_ALONE}",
    errno.EMFILE: f"tried to open a file or a connection; none is allowed (limit 0): {_ALONE}",
    errno.EFBIG: f"tried to write a file; none is allowed (limit 0 bytes): {_ALONE}",
}
_OUT_OF_MEMORY = re.compile("can't allocate|bad.alloc|failed to allocate|not enough memory", re.I)


def limit_met(error: BaseException | None, memory: int) -> str | None:
    """Return which limit an exception comes from, if any. Libraries wrap the system's errors."""
    while error is not None:
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)[:2000]):
            return (
                f"needs more than the {memory / 2**30:.3g} GiB of memory allowed (--memory): "
                "hand in predictions (.csv with ImageId,Label) or a smaller network, or ask who "
                "grades for more"
            )
        if isinstance(error, OSError) and error.errno in _REASONS:
            return _REASONS[error.errno]
        error = error.__cause__ or error.__context__
    return None


class Measuring:
    """Reads submissions, and asks them for their answers to all images.

    ``pixels`` are the test images and then the sample, uint8 of N * side * side. ``options`` are
    the settings of ``AnySandbox``. The reader is a module with ``read_submission(files, sizes,
    num_images)`` and ``warm_up(sizes, models)``, which is called here.
    """

    def __init__(self, pixels: Tensor, options: dict[str, Any]) -> None:
        self.shape = wire.Shape(*options["shape"])
        side = options["side"]
        images = pixels.view(-1, side, side)
        self.test_pixels = images[: self.shape.num_images]
        self.sample_pixels = images[self.shape.num_images :]
        self.sizes = Sizes(side, self.shape.num_classes)
        self.normalizations = [Normalization(*pair) for pair in options["normalizations"]]
        self.is_given, self.memory = options["is_given"], options["memory"]
        self.reader = importlib.import_module(options["reader"])
        # Of most submissions, so made once, before any of them is there.
        self.inputs = normalize(self.test_pixels, self.normalizations[0])
        self.reader.warm_up(self.sizes, options["models"])

    def answer(
        self, files: list[NamedFile], block: memoryview, ask: Callable[[], int]
    ) -> str | None:
        """Write the answers of a submission into ``block``, or why there are none.

        ``ask`` tells the parent that something was tried, and returns which ways to go on with, a
        bit each. Returns the limit that the submission met, if any.
        """
        try:
            reading = self.reader.read_submission(files, self.sizes, self.shape.num_images)
            wire.encode(block, self._measure(reading, block, ask))
        except Exception as error:  # whatever a submission provokes costs its own row alone
            return self.refuse(block, error)
        return None

    def refuse(self, block: memoryview, error: Exception) -> str | None:
        """Write into ``block`` why a submission has no answers; return the limit it met, if any."""
        reason = str(error) if isinstance(error, SubmissionError) else _UNREADABLE
        limit = limit_met(error, self.memory)
        wire.encode_refusal(block, limit or reason)
        return limit

    def _measure(self, reading: Reading, block: memoryview, ask: Callable[[], int]) -> Answers:
        """Return the answers to the test images, which are read once."""
        if isinstance(reading, Table):
            return reading.answers
        chosen = wire.ADVISED
        known: Sequence[Normalization | None] = self.normalizations
        if reading.takes_pixels:
            chosen, known = wire.NONE, [None]
        elif reading.normalization is not None and not self.is_given:
            chosen, known = wire.DECLARED, [reading.normalization]
        half = self.shape.num_tried // 2
        ways = {
            number + half * is_transposed: Way(normalization, is_transposed)
            for is_transposed in (False, True)
            for number, normalization in enumerate(known)
        }
        taken = self._advised(reading, ways, block, ask) if self.shape.num_sampled else ways[0]
        mean, std = taken.normalization or (math.nan, math.nan)
        info = reading.info._replace(chosen=chosen, mean=mean, std=std)
        is_usual = taken == Way(self.normalizations[0])
        outputs = reading.predict(self.inputs if is_usual else taken.inputs(self.test_pixels))
        return ClassAnswers(outputs, info) if outputs.ndim == 1 else LogitAnswers(outputs, info)

    def _advised(
        self, reading: Network, ways: dict[int, Way], block: memoryview, ask: Callable[[], int]
    ) -> Way:
        """Try ways on the sample until the parent says which one to take.

        The parent does not know which ways there are: from the others it has no answer.
        """
        advice, answered = (1 << self.shape.num_tried // 2) - 1, dict.fromkeys(ways, 0)
        for num_images in wire.STAGES:
            for number, way in ways.items():
                if advice >> number & 1:
                    self._try(reading, block, number, way, range(answered[number], num_images))
                    answered[number] = num_images
            advice = ask()
            if advice.bit_count() == 1:
                return ways[advice.bit_length() - 1]
        raise SubmissionError("the process that reads it was not answered: grade it again")

    def _try(
        self, reading: Network, block: memoryview, number: int, way: Way, images: range
    ) -> None:
        """Answer these images of the sample, as far as there are so many."""
        pixels = self.sample_pixels[images.start : images.stop]
        if len(pixels):
            try:
                outputs = reading.predict(way.inputs(pixels))
            except SubmissionError:  # the answers to the test images alone decide
                outputs = np.zeros((len(pixels), self.shape.num_classes), np.float32)
            if outputs.ndim == 1:
                outputs = np.eye(self.shape.num_classes, dtype=np.float32)[outputs]
            wire.encode_sample(block, self.shape, number, images.start, outputs)
