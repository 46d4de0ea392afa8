"""The networks' inputs: pixels scaled to [0, 1], then brought to mean 0 and variance 1.

``common.transforms`` has the same for a single PIL image, by torchvision. It is a module of its own
because importing torchvision takes a second, and a training run has no use for it.
"""

import torch
from torch import Tensor

# Mean and standard deviation of the training pixels on the scale [0, 1]. ``common.data.describe``
# measures them anew in every training run, so that they can be checked.
MEAN = 0.1307
STD = 0.3081


def normalize(images: Tensor) -> Tensor:
    """Do to a batch what ``train_transform`` does to each image, with the same result to the bit.

    Parameters
    ----------
    images : Tensor of uint8, or of float32 that nobody needs any more, shape [N, 28, 28]
        Greys from 0 to 255.

    Returns
    -------
    Tensor of float32, shape [N, 1, 28, 28], on the same device
    """
    scaled = images.unsqueeze(1).to(torch.float32).div_(255)
    return scaled.sub_(MEAN).div_(STD)
