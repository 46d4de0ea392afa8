"""Published results on the 10,000 test images of MNIST, to set one's own beside."""

from typing import NamedTuple


class PublishedResult(NamedTuple):
    """A row of the comparison, as its source printed it."""

    label: str
    kind: str
    year: int
    error: float  # percent
    source: str
    url: str


_LECUN = (
    "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 1998, section III.C and figure 9",
    "https://doi.org/10.1109/5.726791",
)
_DEEP = (
    "Cireșan, Meier, Gambardella, Schmidhuber: Deep, big, simple neural nets for handwritten digit "
    "recognition. Neural Computation 22(12), 2010",
    "https://doi.org/10.1162/NECO_a_00052",
)
_CONVOLUTIONAL = (
    "Cireșan, Meier, Masci, Gambardella, Schmidhuber: Flexible, high performance convolutional "
    "neural networks for image classification. IJCAI 2011",
    "https://doi.org/10.5591/978-1-57735-516-8/IJCAI11-210",
)
_PLAIN = "multilayer perceptron"
_PLAIN_DISTORTED = f"{_PLAIN} of 12 million weights, distorted training images"
_CONVOLUTIONAL_DISTORTED = "convolutional network, distorted training images"

PUBLISHED_RESULTS = (
    PublishedResult("Linear classifier", "one layer of weights", 1998, 12.0, *_LECUN),
    PublishedResult("Two-layer network, 300 hidden units", _PLAIN, 1998, 4.7, *_LECUN),
    PublishedResult("Deep plain network", _PLAIN_DISTORTED, 2010, 0.35, *_DEEP),
    PublishedResult(
        "Deep convolutional network", _CONVOLUTIONAL_DISTORTED, 2011, 0.35, *_CONVOLUTIONAL
    ),
)
