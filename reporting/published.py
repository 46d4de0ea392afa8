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
    "Proceedings of the IEEE 86(11), 1998, section III.C and figure 9"
)

PUBLISHED_RESULTS = (
    PublishedResult(
        label="Linear classifier",
        kind="one layer of weights",
        year=1998,
        error=12.0,
        source=_LECUN,
        url="https://doi.org/10.1109/5.726791",
    ),
    PublishedResult(
        label="Two-layer network, 300 hidden units",
        kind="multilayer perceptron",
        year=1998,
        error=4.7,
        source=_LECUN,
        url="https://doi.org/10.1109/5.726791",
    ),
    PublishedResult(
        label="Deep plain network",
        kind="multilayer perceptron of 12 million weights, distorted training images",
        year=2010,
        error=0.35,
        source="Cireșan, Meier, Gambardella, Schmidhuber: Deep, big, simple neural nets for "
        "handwritten digit recognition. Neural Computation 22(12), 2010",
        url="https://doi.org/10.1162/NECO_a_00052",
    ),
    PublishedResult(
        label="Deep convolutional network",
        kind="convolutional network, distorted training images",
        year=2011,
        error=0.35,
        source="Cireșan, Meier, Masci, Gambardella, Schmidhuber: Flexible, high performance "
        "convolutional neural networks for image classification. IJCAI 2011",
        url="https://doi.org/10.5591/978-1-57735-516-8/IJCAI11-210",
    ),
)
