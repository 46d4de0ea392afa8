"""What a reader makes of a submission: a table of answers, or a network and how it is asked."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from common.data.catalog import Normalization
from common.transforms import normalize
from evaluations.rows import Answers, FileInfo


class Table(NamedTuple):
    """A file of predictions."""

    answers: Answers


class Network(NamedTuple):
    """A network, by the function that asks it."""

    info: FileInfo
    # From float32 [N, 1, side, side], normalised, or uint8 if it takes pixels, to logits float32
    # [N, C] or classes uint8 [N].
    predict: Callable[[Tensor], np.ndarray]
    normalization: Normalization | None = None  # if the file declares one
    takes_pixels: bool = False


class Way(NamedTuple):
    """How pixels become inputs."""

    normalization: Normalization | None  # None: the network takes pixels
    is_transposed: bool = False

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return [N, 1, side, side] of uint8 [N, side, side]."""
        if self.is_transposed:
            pixels = pixels.transpose(1, 2).contiguous()
        if self.normalization is None:
            return pixels.unsqueeze(1)
        return normalize(pixels, self.normalization)


Reading = Table | Network
