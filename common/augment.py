"""Training images distorted at random: each one differently, a whole batch at a time.

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

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Distortions:
    """Affine and elastic distortions, drawn for each image, in one resampling.

    Everything is drawn from torch's global generator of the images' device, unless one is given.

    Parameters
    ----------
    rotation : float
        Standard deviation of the angle, degrees.
    shift : float
        Standard deviation of the displacement along each axis, pixels.
    scale : float
        Standard deviation of the logarithm of the factor along each axis.
    shear : float
        Standard deviation of the horizontal shear (the tangent of the slant).
    elasticity : float
        Standard deviation of the displacements at the knots of the elastic grid, pixels.
    knots : int
        Knots of that grid along each side; the fewer there are, the smoother it is.
    """

    rotation: float = 7.0
    shift: float = 0.7
    scale: float = 0.07
    shear: float = 0.1
    elasticity: float = 0.8
    knots: int = 5

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return distorted copies of ``images``.

        Parameters
        ----------
        images : Tensor of uint8, shape [N, H, W]
            0 is background.
        generator : torch.Generator, optional
            Of the images' device.

        Returns
        -------
        Tensor of float32, shape [N, H, W]
            Greys from 0 to 255, interpolated; what comes in from outside the frame is background.
        """
        count, height, width = images.shape

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, device=images.device, generator=generator)

        # Where a pixel comes from is linear in what is drawn: an affine map of its place, and a sum
        # of bumps around the knots. So one matrix product maps all pixels of all images.
        affine = self._affine_maps(normal, height, width)
        bumps = (
            normal(self.knots**2, 2) * self.elasticity * _in_pixels(height, width, images.device)
        )
        basis = _basis(height, width, self.knots, images.device)
        grid = (basis @ torch.cat([affine, bumps], dim=1)).view(count, height, width, 2)
        return F.grid_sample(images.unsqueeze(1).float(), grid, align_corners=False).squeeze(1)

    def describe(self) -> dict[str, Any]:
        """Return the numbers for the recipe in ``metrics.json``."""
        return {"name": type(self).__name__, **asdict(self)}

    def _affine_maps(self, normal: Callable[..., Tensor], height: int, width: int) -> Tensor:
        """Draw the maps from (x, y, 1) to (x, y): [N, 3, 2].

        A rotation, a slant and a change of size; the maps are drawn in the direction that
        resampling needs, from where a pixel goes to where it comes from.
        """
        angle = normal() * math.radians(self.rotation)
        cos, sin, shear = angle.cos(), angle.sin(), normal() * self.shear
        scale_x, scale_y = (normal(2) * self.scale).exp().unbind(dim=1)
        from_x = torch.stack([scale_x * cos, scale_y * (shear * cos - sin)], dim=1)
        from_y = torch.stack([scale_x * sin, scale_y * (shear * sin + cos)], dim=1)
        shift = normal(2) * self.shift * _in_pixels(height, width, angle.device)
        linear = torch.stack([from_x, from_y], dim=2)
        return torch.cat([linear, shift.unsqueeze(1)], dim=1)


def _in_pixels(height: int, width: int, device: torch.device) -> Tensor:
    """Return a pixel's size, x and y, in the units of ``grid_sample``: the frame is [-1, 1]."""
    return torch.tensor([2 / width, 2 / height], device=device)


@functools.cache
def _basis(height: int, width: int, knots: int, device: torch.device) -> Tensor:
    """Return what each pixel has of x, of y, of 1, and of the bump of each knot.

    float32, shape [height * width, 3 + knots ** 2]. The bumps are cubic interpolation kernels.
    """
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    places = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones(height * width)])
    along_y, along_x = (
        F.interpolate(
            torch.eye(knots)[None, None], (size, knots), mode="bicubic", align_corners=True
        )[0, 0]
        for size in (height, width)
    )
    bumps = torch.einsum("yi,xj->yxij", along_y, along_x).reshape(height * width, knots**2)
    return torch.cat([places.T, bumps], dim=1).to(device)
