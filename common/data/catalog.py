"""The data sets that the scripts know: MNIST and its family, and any other in MNIST's format.

All that differs from one data set to the next is in the tables below: where the files are, their
checksums, the names of the classes, the normalisation, and the accuracy that passes.
"""

from pathlib import Path
from typing import Any, NamedTuple


class Normalization(NamedTuple):
    """Mean and standard deviation that pixels, scaled to [0, 1], are normalised by."""

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


class Dataset(NamedTuple):
    """What the images and labels of a data set mean."""

    key: str  # its name on the command line
    title: str  # its name in a sentence
    classes: tuple[str, ...]  # their names, in the order of the labels
    normalization: Normalization
    noun: str = "class"  # what a class is called
    side: int = 28  # pixels along each side of an image
    named_pairs: tuple[tuple[int, int], ...] = ()  # classes that people expect to be confused
    # Percent: no published network that learned from the training images alone is above it.
    suspicious: float | None = None

    @property
    def sizes(self) -> Sizes:
        """What a network for this data set has to fit."""
        return Sizes(self.side, len(self.classes))


class DatasetSpec(NamedTuple):
    """Where the files of a data set are, and how to tell that they are the right ones."""

    key: str
    known: Dataset | None  # None if it is read from the training images (common.data.arrays)
    folder: str  # of the files under --data-dir, where torchvision keeps them
    files: dict[str, tuple[str, str]]  # images and labels, for the splits "train" and "test"
    threshold: str | None = None  # percent that passes; None if the grader has to give it
    # MD5 sums of the uncompressed files, or of the gzip files where only these are published. They
    # find damage and mix-ups, not forgery.
    md5: dict[str, str] = {}  # noqa: RUF012 (never written to)
    archive_md5: dict[str, str] = {}  # noqa: RUF012
    # The class in torchvision.datasets and its arguments, one for each download needed.
    torchvision: tuple[tuple[str, dict[str, Any]], ...] = ()
    packaged: str | None = None  # folder of the Debian package that holds the files
    is_transposed: bool = False  # rows and columns of each image are swapped in the files

    @property
    def title(self) -> str:
        """Its name in a sentence about the files."""
        return self.known.title if self.known else self.key

    @property
    def all_files(self) -> list[str]:
        """Names of the four files."""
        return [*self.files["train"], *self.files["test"]]

    @property
    def runs(self) -> Path:
        """Folder of one's own runs on this data set."""
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

MNIST = Dataset(
    key="mnist",
    title="MNIST",
    classes=_DIGITS,
    # The measured values rounded to four digits, as every tutorial has them.
    normalization=Normalization(0.1307, 0.3081),
    noun="digit",
    named_pairs=_CONFUSED_DIGITS,
    # The lowest test error that reporting.figures.published cites is above 0.1 %.
    suspicious=99.9,
)
MNIST_SPEC = DatasetSpec(
    key="mnist",
    known=MNIST,
    folder="MNIST/raw",
    files=_MNIST_FILES,
    threshold="90",
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    torchvision=(("MNIST", {}),),
)

# Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747. Its authors publish the MD5 sums of the compressed
# files; these are the sums of their contents.
FASHION_MNIST_SPEC = DatasetSpec(
    key="fashion-mnist",
    known=Dataset(
        key="fashion-mnist",
        title="Fashion-MNIST",
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        # Measured on the 60,000 training images; tests/data/test_datasets.py measures them again.
        normalization=Normalization(0.2860405969887955, 0.3530242445149226),
    ),
    folder="FashionMNIST/raw",
    files=_MNIST_FILES,
    threshold="85",
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
KMNIST_SPEC = DatasetSpec(
    key="kmnist",
    known=Dataset(
        key="kmnist",
        title="Kuzushiji-MNIST",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        # As most code for it has them; the files could not be had here to measure them.
        normalization=Normalization(0.1918, 0.3483),
    ),
    folder="KMNIST/raw",
    files=_MNIST_FILES,
    threshold="85",
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
QMNIST_SPEC = DatasetSpec(
    key="qmnist",
    known=Dataset(
        key="qmnist",
        title="QMNIST",
        classes=_DIGITS,
        # Its training images are MNIST's, made again from the originals.
        normalization=MNIST.normalization,
        noun="digit",
        named_pairs=_CONFUSED_DIGITS,
    ),
    folder="QMNIST/raw",
    files={
        "train": ("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int"),
        "test": ("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int"),
    },
    threshold="90",
    archive_md5={
        "qmnist-train-images-idx3-ubyte": "ed72d4157d28c017586c42bc6afe6370",
        "qmnist-train-labels-idx2-int": "0058f8dd561b90ffdd0f734c6a30e5e4",
        "qmnist-test-images-idx3-ubyte": "1394631089c404de565df7b7aeaf9412",
        "qmnist-test-labels-idx2-int": "5b5b05890a5e13444e108efe57b788aa",
    },
    torchvision=(("QMNIST", {"what": "train"}), ("QMNIST", {"what": "test"})),
)

# Cohen et al. 2017, arXiv:1702.05373. Of its files only the one archive that holds them all has a
# published MD5 sum, which torchvision checks.
EMNIST_DIGITS_SPEC = DatasetSpec(
    key="emnist-digits",
    known=Dataset(
        key="emnist-digits",
        title="EMNIST digits",
        classes=_DIGITS,
        # As Lightning Bolts has them (pl_bolts, emnist_normalization); not measured here.
        normalization=Normalization(0.173, 0.332),
        noun="digit",
        named_pairs=_CONFUSED_DIGITS,
    ),
    folder="EMNIST/raw",
    files={
        split: (
            f"emnist-digits-{split}-images-idx3-ubyte",
            f"emnist-digits-{split}-labels-idx1-ubyte",
        )
        for split in ("train", "test")
    },
    threshold="90",
    torchvision=(("EMNIST", {"split": "digits"}),),
    is_transposed=True,
)

# Whatever is in --data-dir itself, under these names or in a form that common.data.own reads:
# square images of one byte a pixel, and up to 256 classes.
IDX_SPEC = DatasetSpec(key="idx", known=None, folder=".", files=_MNIST_FILES)

_SPECS = (MNIST_SPEC, FASHION_MNIST_SPEC, KMNIST_SPEC, QMNIST_SPEC, EMNIST_DIGITS_SPEC, IDX_SPEC)
DATASETS = {spec.key: spec for spec in _SPECS}

# What the scripts' --help says of the flag.
DATASET_HELP = f"{', '.join(DATASETS)} (your own, in --data-dir)"
