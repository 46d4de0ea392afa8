"""What every sandbox is given and offers, whatever it does to keep submissions apart."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Self

import numpy as np

from common.data.arrays import LabelledImages
from grading.sandbox import wire
from grading.sandbox.portable.exchange import Advisor, Numbered, Outcome


class AnySandbox:
    """What reads submissions, in processes of their own.

    Use it as a context manager: leaving it ends the processes.

    The labels of ``test_set`` stay in this process. ``memory`` is in bytes beyond what a process
    holds before it reads, ``timeout`` in seconds, both for each of the ``jobs`` submissions that
    are read at a time. ``models`` is a Python file of whoever grades, with the classes of the
    assignment. ``reader`` is the module that reads submissions. ``isolation`` is the one in force,
    and ``warning`` a line of what does not protect, for whoever grades.
    """

    def __init__(
        self,
        test_set: LabelledImages,
        isolation: str,
        memory: int,
        timeout: float,
        jobs: int,
        preprocessing: Advisor,
        models: Path | None = None,
        reader: str = "grading.readers.reader",
    ) -> None:
        self.images, self.timeout, self.jobs = test_set.images, timeout, jobs
        self.preprocessing, self.isolation, self.warning = preprocessing, isolation, ""
        self.shape = wire.Shape(
            num_images=len(self.images),
            num_sampled=0 if preprocessing.sample is None else len(preprocessing.sample),
            num_tried=2 * len(preprocessing.names),  # upright and transposed
            num_classes=len(test_set.dataset.classes),
        )
        self.settings = json.dumps(
            {
                "reader": reader,
                "models": str(models.resolve()) if models else None,
                "memory": memory,
                "timeout": timeout,
                "shape": self.shape,
                "side": self.images.shape[1],
                "normalizations": preprocessing.normalizations,
                "is_given": preprocessing.is_given,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the processes."""
        raise NotImplementedError

    def measure(self, submissions: Iterable[Numbered | None]) -> Iterator[tuple[int, Outcome]]:
        """Yield each submission's number with its answers or its error, in the order they finish.

        Takes from ``submissions`` as slots become free, and closes their files. None stands for a
        piece of work on the way to the next one: those under way are seen to before the next piece.
        """
        raise NotImplementedError

    def write_images(self, file: IO[bytes]) -> None:
        """Write the test images and then the sample: uint8, [N, side, side]."""
        sample = self.preprocessing.sample
        for images in (self.images, *([] if sample is None else [sample.images])):
            file.write(np.ascontiguousarray(images).data)
