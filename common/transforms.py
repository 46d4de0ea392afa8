"""MNIST's reference transforms, for who has a PIL image; the loops use their fast equal.

>>> logits = model(train_transform(image).unsqueeze(0))
"""

from torchvision import transforms

from common.image_sets import MNIST

_MEAN, _STD = MNIST.normalization

# From a PIL image (or an array of shape [28, 28], uint8) to float32, shape [1, 28, 28].
train_transform = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize((_MEAN,), (_STD,))]
)

# For showing an image to a person: scaled to [0, 1] and not normalised.
viz_transform = transforms.Compose([transforms.ToTensor()])
