"""The data sets that the scripts know: MNIST and its family, and any other in MNIST's file format.

What differs from one to the next stands in the table below: where the files lie, what their
checksums are, what the classes are called, and how much accuracy passes.
"""

from pathlib import Path
from typing import Any, NamedTuple


class Normalization(NamedTuple):
    """What brings pixels, scaled to [0, 1], to mean 0 and standard deviation 1."""

    mean: float
    std: float


class Sizes(NamedTuple):
    """What a network has to fit: square images of ``side`` pixels, and the number of classes."""

    side: int = 28
    num_classes: int = 10

    @property
    def input_size(self) -> int:
        """Values per image."""
        return self.side**2


class ImageSet(NamedTuple):
    """A data set.

    Attributes
    ----------
    key : str
        Its name on the command line.
    title : str
        Its name in a sentence.
    folder : str
        Of its files under ``--data-dir``, where torchvision keeps them.
    files : dict
        For the parts "train" and "test" the names of two files: images, labels.
    noun : str
        What a class is.
    threshold : str or None
        Percent of the test images that passes; None if whoever grades has to say it.
    classes : tuple of str
        Their names, in the order of the labels; empty until ``common.reference.resolve``.
    normalization : Normalization or None
        None until ``common.reference.resolve`` has measured it on the training images.
    sizes : Sizes
        Likewise of the files, where they do not have MNIST's.
    md5 : dict
        MD5 sums of files, against damage and mix-ups, not against forgery.
    archive_md5 : dict
        Those of the files compressed by gzip, where only these are published.
    torchvision : tuple of (str, dict)
        The class in ``torchvision.datasets`` that downloads it, and its arguments; one for each
        download that it takes.
    packaged : str or None
        Folder of the Debian package that has it.
    is_transposed : bool
        Rows and columns of each image have changed places in the files.
    named_pairs : tuple of (int, int)
        Classes that people expect to be confused, both ways.
    suspicious : float or None
        Percent; above it is no published network that learned from the training images alone.
    """

    key: str
    title: str
    folder: str
    files: dict[str, tuple[str, str]]
    noun: str = "class"
    threshold: str | None = None
    classes: tuple[str, ...] = ()
    normalization: Normalization | None = None
    sizes: Sizes = Sizes()
    md5: dict[str, str] = {}  # noqa: RUF012 (a table, which nobody writes to)
    archive_md5: dict[str, str] = {}  # noqa: RUF012
    torchvision: tuple[tuple[str, dict[str, Any]], ...] = ()
    packaged: str | None = None
    is_transposed: bool = False
    named_pairs: tuple[tuple[int, int], ...] = ()
    suspicious: float | None = None

    @property
    def all_files(self) -> list[str]:
        """Names of the four files."""
        return [*self.files["train"], *self.files["test"]]

    @property
    def runs(self) -> Path:
        """The folder of one's own runs on this set."""
        return Path("runs") if self.key == "mnist" else Path("runs", self.key)

    @property
    def best_name(self) -> str:
        """Name of the file that the better model is saved as."""
        return f"{self.key.replace('-', '_')}_classifier_best.pth"


_DIGITS = tuple("0123456789")
_CONFUSED_DIGITS = ((4, 9), (3, 8), (1, 7))

_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

MNIST = ImageSet(
    key="mnist",
    title="MNIST",
    folder="MNIST/raw",
    files=_MNIST_FILES,
    noun="digit",
    threshold="90",
    classes=_DIGITS,
    # As every tutorial has them: the measured values, rounded to four digits.
    normalization=Normalization(0.1307, 0.3081),
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    torchvision=(("MNIST", {}),),
    named_pairs=_CONFUSED_DIGITS,
    # The lowest test error among the results that common.history cites is above 0.1 %.
    suspicious=99.9,
)

# Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747. The MD5 sums that its authors publish are those of
# the compressed files; these are of what comes out of them.
FASHION_MNIST = ImageSet(
    key="fashion-mnist",
    title="Fashion-MNIST",
    folder="FashionMNIST/raw",
    files=_MNIST_FILES,
    threshold="85",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    md5={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    torchvision=(("FashionMNIST", {}),),
    packaged="/usr/share/datasets/fashion-mnist",
)

# Clanuwat et al. 2018, arXiv:1812.01718.
KMNIST = ImageSet(
    key="kmnist",
    title="Kuzushiji-MNIST",
    folder="KMNIST/raw",
    files=_MNIST_FILES,
    threshold="85",
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    archive_md5={
        "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    torchvision=(("KMNIST", {}),),
)

# Yadav and Bottou 2019, arXiv:1905.10498: MNIST made again, with all 60,000 test images. A label
# has eight columns, of which the first is the class.
QMNIST = ImageSet(
    key="qmnist",
    title="QMNIST",
    folder="QMNIST/raw",
    files={
        "train": ("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int"),
        "test": ("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int"),
    },
    noun="digit",
    threshold="90",
    classes=_DIGITS,
    archive_md5={
        "qmnist-train-images-idx3-ubyte": "ed72d4157d28c017586c42bc6afe6370",
        "qmnist-train-labels-idx2-int": "0058f8dd561b90ffdd0f734c6a30e5e4",
        "qmnist-test-images-idx3-ubyte": "1394631089c404de565df7b7aeaf9412",
        "qmnist-test-labels-idx2-int": "5b5b05890a5e13444e108efe57b788aa",
    },
    torchvision=(("QMNIST", {"what": "train"}), ("QMNIST", {"what": "test"})),
    named_pairs=_CONFUSED_DIGITS,
)

# Cohen et al. 2017, arXiv:1702.05373. Of its files only the one archive that holds them all has a
# published MD5 sum, which torchvision checks.
EMNIST_DIGITS = ImageSet(
    key="emnist-digits",
    title="EMNIST digits",
    folder="EMNIST/raw",
    files={
        part: (
            f"emnist-digits-{part}-images-idx3-ubyte",
            f"emnist-digits-{part}-labels-idx1-ubyte",
        )
        for part in ("train", "test")
    },
    noun="digit",
    threshold="90",
    classes=_DIGITS,
    torchvision=(("EMNIST", {"split": "digits"}),),
    is_transposed=True,
    named_pairs=_CONFUSED_DIGITS,
)

# Whatever lies in --data-dir itself under MNIST's names: square images of one byte a pixel, and up
# to 256 classes.
IDX = ImageSet(key="idx", title="", folder=".", files=_MNIST_FILES)

IMAGE_SETS = {
    image_set.key: image_set
    for image_set in (MNIST, FASHION_MNIST, KMNIST, QMNIST, EMNIST_DIGITS, IDX)
}

# What the scripts' --help says of the flag.
DATASETS = f"{', '.join(IMAGE_SETS)} (the files in --data-dir)"
