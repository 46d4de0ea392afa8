"""The networks' inputs: pixels scaled to [0, 1], then brought to mean 0 and variance 1.

``common.transforms`` has the same for a single PIL image, by torchvision. It is a module of its own
because importing torchvision takes a second, and a training run has no use for it.
"""

import torch
from torch import Tensor

from common.image_sets import MNIST, Normalization


def normalize(images: Tensor, normalization: Normalization = MNIST.normalization) -> Tensor:
    """Do to a batch what ``train_transform`` does to each image, with the same result to the bit.

    Parameters
    ----------
    images : Tensor of uint8, or of float32 that nobody needs any more, shape [N, side, side]
        Greys from 0 to 255.
    normalization : Normalization

    Returns
    -------
    Tensor of float32, shape [N, 1, side, side], on the same device
    """
    scaled = images.unsqueeze(1).to(torch.float32).div_(255)
    return scaled.sub_(normalization.mean).div_(normalization.std)
