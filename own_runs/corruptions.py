"""Images changed in ways that no training of this project shows; no torch.

Hendrycks and Dietterich 2019 (ICLR) measure networks on such corruptions of ImageNet, Mu and Gilmer
2019 (MNIST-C, arXiv:1906.02337) on those of MNIST. Images are uint8 [N, side, side], 0 is
background. Each function returns new ones of that shape, for the same images always the same.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import ndimage


class Corruption(NamedTuple):
    """A way to change images."""

    name: str  # as a person reads it after "with"
    group: str  # what changes
    apply: Callable[[np.ndarray], np.ndarray]


def shift(images: np.ndarray, pixels: int) -> np.ndarray:
    """Move a quarter of the images in each direction; what comes in is background."""
    moved = np.empty_like(images)
    for quarter, direction in enumerate(((0, 0, 1), (0, 1, 0), (0, 0, -1), (0, -1, 0))):
        by = pixels * np.array(direction)
        moved[quarter::4] = ndimage.shift(images[quarter::4], by, order=0)
    return moved


def rotate(images: np.ndarray, degrees: float) -> np.ndarray:
    """Turn every other image to the left, and the rest to the right."""
    turned = np.empty_like(images)
    for half, angle in enumerate((degrees, -degrees)):
        some = images[half::2]
        turned[half::2] = ndimage.rotate(some, angle, axes=(2, 1), reshape=False, order=1)
    return turned


def salt_and_pepper(images: np.ndarray, share: float) -> np.ndarray:
    """Turn a ``share`` of the pixels, chosen anew for each image, to ink or background alike."""
    numbers = np.random.default_rng(0).random(images.shape)
    changed = images.copy()
    changed[numbers < share] = 255
    changed[numbers < share / 2] = 0
    return changed


def add_noise(images: np.ndarray, deviation: float) -> np.ndarray:
    """Add Gaussian noise to each pixel; ``deviation`` is in greys, of which there are 256."""
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return (images + noise).round().clip(0, 255).astype(np.uint8)


def blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian whose standard deviation is ``sigma`` pixels."""
    return ndimage.gaussian_filter(images.astype(float), (0, sigma, sigma)).round().astype(np.uint8)


# A size of 2 x 2 makes a stroke a pixel thicker or thinner.
CORRUPTIONS = (
    Corruption("no change", "none", np.copy),
    Corruption("shift by 1 pixel", "place", partial(shift, pixels=1)),
    Corruption("shift by 2 pixels", "place", partial(shift, pixels=2)),
    Corruption("shift by 3 pixels", "place", partial(shift, pixels=3)),
    Corruption("rotation by 15°", "place", partial(rotate, degrees=15)),
    Corruption("rotation by 30°", "place", partial(rotate, degrees=30)),
    Corruption("thicker strokes", "strokes", partial(ndimage.grey_dilation, size=(1, 2, 2))),
    Corruption("thinner strokes", "strokes", partial(ndimage.grey_erosion, size=(1, 2, 2))),
    Corruption("blur", "pixels", partial(blur, sigma=1.5)),
    Corruption("noise", "pixels", partial(add_noise, deviation=50)),
    Corruption("salt and pepper", "pixels", partial(salt_and_pepper, share=0.2)),
    Corruption("grey background", "greys", partial(np.maximum, np.uint8(30))),
    Corruption("inverted greys", "greys", np.invert),
)
