"""From pixels to the networks' inputs: for one image or photo, a batch, and with distortions.

A network without convolutions has to be shown that a digit stays the same when it is moved, turned,
slanted or written a little differently. Simard, Steinkraus and Platt 2003 (ICDAR, section 2)
distort images with affine maps and smooth random displacements; Ciresan et al. 2010 (Neural
Computation 22(12)) train plain networks on images that are distorted anew for every epoch.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.data.catalog import MNIST, Normalization
from common.data.pixels import decode_pixels, encode_pixels


def train_transform(image: Any, normalization: Normalization = MNIST.normalization) -> Tensor:  # noqa: ANN401
    """Turn one image into a network's input by torchvision's transforms.

    >>> logits = model(train_transform(image).unsqueeze(0))

    The image is PIL's, or an array (uint8 [side, side]): greys, light ink on a dark background. If
    the network was not trained on MNIST, its checkpoint has the normalisation. Returns float32
    [1, side, side].
    """
    # Imported here: torchvision takes a second to load, and training has no use for it.
    from torchvision.transforms import functional

    scaled = functional.to_tensor(image)
    return functional.normalize(scaled, [normalization.mean], [normalization.std])


def viz_transform(image: Any) -> Tensor:  # noqa: ANN401
    """Turn one image, as above, into pixels to show: scaled to [0, 1] and not normalised."""
    from torchvision.transforms import functional

    return functional.to_tensor(image)


def photo_transform(photo: Any, normalization: Normalization = MNIST.normalization) -> Tensor:  # noqa: ANN401
    """Turn a photo of a digit, of any size and either way round, into a network's input.

    What it may be, what is done to it, and the errors: ``common.data.photos.prepare_photo``.
    Returns float32 [1, 28, 28].
    """
    # Imported here, for training does without scipy and PIL.
    from common.data.photos import prepare_photo

    return train_transform(prepare_photo(photo), normalization)


def normalize(images: Tensor, normalization: Normalization = MNIST.normalization) -> Tensor:
    """Turn a batch into a network's input, to the bit as ``train_transform`` does each image.

    The images are uint8 or float32 [N, side, side], from 0 to 255; a float32 tensor is overwritten.
    Returns float32 [N, 1, side, side] on the same device.
    """
    scaled = images.unsqueeze(1).to(torch.float32).div_(255)
    return scaled.sub_(normalization.mean).div_(normalization.std)


@dataclass(frozen=True)
class Distortions:
    """Affine and elastic distortions of each image, in one resampling.

    All but ``grid_size`` are standard deviations. Random numbers come from torch's global generator
    of the images' device, unless one is given.
    """

    rotation: float = 7.0  # of the angle, degrees
    shift: float = 0.7  # of the displacement along each axis, pixels
    scale: float = 0.07  # of the logarithm of the factor along each axis
    shear: float = 0.1  # of the horizontal shear (the tangent of the slant)
    elasticity: float = 0.8  # of the displacements at the points of the elastic grid, pixels
    grid_size: int = 5  # points of that grid along each side: the fewer, the smoother

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return distorted copies of ``images`` (uint8 [N, H, W], 0 is background).

        They are float32 [N, H, W], greys from 0 to 255, interpolated. What comes in from outside
        the frame is background.
        """
        count, height, width = images.shape

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, device=images.device, generator=generator)

        # The place that a pixel is taken from is linear in the random numbers: an affine map of its
        # own place, plus bumps around the grid points. So one matrix product does all images.
        affine = self._affine_maps(normal, height, width)
        pixel = _pixel_size(height, width, images.device)
        bumps = normal(self.grid_size**2, 2) * self.elasticity * pixel
        numbers = torch.cat([affine, bumps], dim=1).transpose(1, 2).flatten(end_dim=1)
        places = numbers @ _basis(height, width, self.grid_size, images.device)
        grid = places.view(count, 2, height, width).permute(0, 2, 3, 1)
        return F.grid_sample(images.unsqueeze(1).float(), grid, align_corners=False).squeeze(1)

    def describe(self) -> dict[str, Any]:
        """Return the numbers for the recipe in ``metrics.json``."""
        return {"name": type(self).__name__, **asdict(self)}

    def _affine_maps(self, normal: Callable[..., Tensor], height: int, width: int) -> Tensor:
        """Draw the maps from (x, y, 1) to (x, y): [N, 3, 2].

        A rotation, a shear and a scaling, in the direction that resampling needs: from a pixel's
        place in the result to the place that it is taken from.
        """
        angle = normal() * math.radians(self.rotation)
        cos, sin, shear = angle.cos(), angle.sin(), normal() * self.shear
        scale_x, scale_y = (normal(2) * self.scale).exp().unbind(dim=1)
        from_x = torch.stack([scale_x * cos, scale_y * (shear * cos - sin)], dim=1)
        from_y = torch.stack([scale_x * sin, scale_y * (shear * sin + cos)], dim=1)
        shift = normal(2) * self.shift * _pixel_size(height, width, angle.device)
        linear = torch.stack([from_x, from_y], dim=2)
        return torch.cat([linear, shift.unsqueeze(1)], dim=1)


@functools.cache  # on a GPU it would be a copy from the host in each step
def _pixel_size(height: int, width: int, device: torch.device) -> Tensor:
    """Return a pixel's size, x and y, in the units of ``grid_sample``: the frame is [-1, 1]."""
    return torch.tensor([2 / width, 2 / height], device=device)


@functools.cache
def _basis(height: int, width: int, grid_size: int, device: torch.device) -> Tensor:
    """Return how much each pixel has of x, of y, of 1, and of the bump at each grid point.

    float32, shape [3 + grid_size ** 2, height * width]. Bumps are cubic interpolation kernels.
    """
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    places = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones(height * width)])
    along_y, along_x = (
        F.interpolate(
            torch.eye(grid_size)[None, None], (size, grid_size), mode="bicubic", align_corners=True
        )[0, 0]
        for size in (height, width)
    )
    bumps = torch.einsum("yi,xj->ijyx", along_y, along_x).reshape(grid_size**2, height * width)
    return torch.cat([places, bumps]).to(device)


def distorted_samples(summary: dict[str, Any], distort: Distortions, count: int) -> list[list[str]]:
    """Return ``count`` distorted copies of each sample in a ``summary``, always the same ones.

    Samples and copies are encoded as by ``common.data.pixels``.
    """
    samples = np.stack([decode_pixels(sample["pixels"]) for sample in summary["samples"]])
    copies = torch.from_numpy(samples.repeat(count, axis=0))
    distorted = distort(copies, torch.Generator().manual_seed(0)).round().to(torch.uint8).numpy()
    encoded = [encode_pixels(image) for image in distorted]
    return [encoded[i : i + count] for i in range(0, len(encoded), count)]
