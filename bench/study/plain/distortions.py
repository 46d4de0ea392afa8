"""Distortions beyond those of the recipe, in the directions of the images that are missed."""

from dataclasses import astuple, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from common.transforms import Distortions


@dataclass(frozen=True)
class WiderDistortions(Distortions):
    """``Distortions``, and thicker or thinner strokes, missing pieces, and more of all at times.

    Parameters
    ----------
    thickness : float
        Standard deviation of what the strokes gain on each side, pixels; never more than one.
    erased : float
        Share of the images that lose a rectangle of 4 to 10 pixels along each side (Zhong et al.
        2020, AAAI, "Random Erasing").
    extreme : float
        Share of the images whose distortions are twice as strong.
    """

    thickness: float = 0.0
    erased: float = 0.0
    extreme: float = 0.0

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return distorted copies, float32 [N, H, W], of images uint8 [N, H, W]."""
        # The order of a batch is random, so its first images are a random share.
        strong = round(self.extreme * len(images))
        distorted = super().__call__(images[strong:], generator)
        if strong:
            twice = scaled(Distortions(*astuple(self)[:6]), 2)
            distorted = torch.cat([twice(images[:strong], generator), distorted])
        if self.thickness:
            gain = torch.randn(len(images), generator=generator) * self.thickness
            distorted = thicken(distorted, gain.clamp(-1, 1))
        return erase(distorted, self.erased, generator) if self.erased else distorted


def thicken(images: Tensor, gain: Tensor) -> Tensor:
    """Return images [N, H, W] whose strokes gain ``gain`` pixels [N], from -1 to 1, on each side.

    They are mixed with their dilation, or with their erosion where the gain is negative.
    """
    padded = F.pad(images, (1, 1, 1, 1))
    neighbours = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2])
    dilated = eroded = padded[:, 1:-1, 2:]
    for neighbour in (*neighbours, images):
        dilated, eroded = torch.maximum(dilated, neighbour), torch.minimum(eroded, neighbour)
    gain = gain[:, None, None]
    return torch.lerp(images, torch.where(gain > 0, dilated, eroded), gain.abs())


def erase(images: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Return images [N, H, W], of which a ``share`` has lost a rectangle to the background."""
    count, height, width = images.shape
    sizes = torch.randint(4, 11, (2, count, 1), generator=generator)
    sizes *= torch.rand(count, 1, generator=generator) < share
    inside = []
    for length, size in zip((height, width), sizes, strict=True):
        start = (torch.rand(count, 1, generator=generator) * (length - size + 1)).int()
        places = torch.arange(length)
        inside.append((places >= start) & (places < start + size))
    return images.masked_fill(inside[0][:, :, None] & inside[1][:, None, :], 0)


def scaled(distortions: Distortions, strength: float) -> Distortions:
    """Return the distortions, so many times as strong."""
    names = ("rotation", "shift", "scale", "shear", "elasticity")
    return replace(distortions, **{name: strength * getattr(distortions, name) for name in names})
