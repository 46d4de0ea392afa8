"""From pixels to what the networks take: the reference transforms, and their fast equal."""

import torch
from torch import Tensor
from torchvision import transforms

# Mean and standard deviation of the training pixels on the scale [0, 1]. ``common.data.describe``
# measures them anew in every training run, so that they can be checked.
MEAN = 0.1307
STD = 0.3081

# For a PIL image (or an array of shape [28, 28], uint8): float32, shape [1, 28, 28].
train_transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])

# For showing an image to a person: scaled to [0, 1] and not normalised.
viz_transform = transforms.Compose([transforms.ToTensor()])


def normalize(images: Tensor) -> Tensor:
    """Do to a batch what ``train_transform`` does to each image, with the same result to the bit.

    Parameters
    ----------
    images : Tensor of uint8, shape [N, 28, 28]

    Returns
    -------
    Tensor of float32, shape [N, 1, 28, 28], on the same device
    """
    scaled = images.unsqueeze(1).to(torch.float32).div_(255)
    return scaled.sub_(MEAN).div_(STD)
