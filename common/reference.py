"""The images that measure a classifier, and the labels that decide: public ones, or private.

numpy arrays; no torch.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.fetch import fetch
from common.files import readable
from common.idx import decode_idx, md5_of
from common.image_files import find_file, missing_files, read_verified
from common.image_sets import MNIST, ImageSet, Normalization, Sizes

MAX_CLASSES = 256

_PIECES = 100


class ReferenceSet(NamedTuple):
    """Images and their classes, and how to tell which set it was."""

    name: str
    images: np.ndarray  # uint8 [N, side, side]
    targets: np.ndarray  # int64 [N]
    md5: dict[str, str]  # of each file
    image_set: ImageSet = MNIST  # resolved; a private set is one of its kind

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.targets)


class Part(NamedTuple):
    """What a part's two files hold."""

    images: np.ndarray  # uint8 [N, side, side]
    targets: np.ndarray  # int64 [N]
    md5: dict[str, str]  # of each file, uncompressed


def read_part(image_set: ImageSet, data_dir: Path, part: str) -> Part:
    """Read one part of a data set, and fetch the files first if they are missing.

    Parameters
    ----------
    image_set : ImageSet
    data_dir : Path
        The folder that holds, or shall hold, the set's own folder.
    part : "train" or "test"
        The files of the other part are not opened, and need not exist.

    Raises
    ------
    UserError
        If a file is damaged, or missing and cannot be fetched, or the two do not hold a label for
        each of at least one square image.
    """
    names = image_set.files[part]
    if set(names) & set(missing_files(image_set, data_dir)):
        if not image_set.torchvision:
            raise UserError(
                f"{data_dir} lacks {' or '.join(names)}: put them there, or name another --data-dir"
            )
        fetch(image_set, data_dir)
    paths = [find_file(image_set, data_dir, name) for name in names]
    (images, images_md5), (labels, labels_md5) = (read_verified(image_set, path) for path in paths)
    if image_set.is_transposed and images.ndim == 3:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    if labels.ndim == 2:
        labels = labels[:, 0]
    check_pair(images, labels, *paths)
    md5 = dict(zip(names, (images_md5, labels_md5), strict=True))
    return Part(images, labels.astype(np.int64), md5)


def check_pair(
    images: np.ndarray, labels: np.ndarray, images_path: Path, labels_path: Path
) -> None:
    """Refuse what is not square images of one byte a pixel, with a label from 0 to 255 for each.

    Raises
    ------
    UserError
        Naming the file.
    """
    square = images.ndim == 3 and images.shape[1] == images.shape[2] and images.size > 0
    if not square or images.dtype != np.uint8:
        raise UserError(
            f"{images_path} has shape {list(images.shape)} of {images.dtype.name}, expected "
            "[N, side, side] of uint8"
        )
    if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise UserError(
            f"{labels_path} has shape {list(labels.shape)}, but must hold {len(images)} labels "
            f"from 0 to {MAX_CLASSES - 1}"
        )


def resolve(image_set: ImageSet, data_dir: Path, training: Part | None = None) -> ImageSet:
    """Fill in what the table does not say of a set, as its training images have it.

    Parameters
    ----------
    image_set : ImageSet
    data_dir : Path
    training : Part, optional
        The training images, if they were read already.

    Raises
    ------
    UserError
        If they do not fit the table, or all pixels are equal, or all labels.
    """
    if image_set.normalization and training is None:
        return image_set
    images, targets, _ = training or read_part(image_set, data_dir, "train")
    side, highest = images.shape[1], int(targets.max())
    if image_set.classes:
        sizes = image_set.sizes
        require_sizes(sizes, side, highest, f"the training images of {image_set.title}")
    else:
        if highest == 0:
            raise UserError(
                f"{data_dir}: every training image has the label 0: nothing to tell apart"
            )
        sizes = Sizes(side, highest + 1)
    mean, std = pixel_moments(images)
    if std == 0:
        raise UserError(f"{data_dir}: all pixels of the training images are equal")
    return image_set._replace(
        title=image_set.title or readable(Path(data_dir).resolve().name),
        classes=image_set.classes or tuple(map(str, range(sizes.num_classes))),
        normalization=image_set.normalization or Normalization(mean, std),
        sizes=sizes,
    )


def require_sizes(sizes: Sizes, side: int, highest_label: int, what: str) -> None:
    """Refuse images or labels that networks for ``sizes`` do not fit.

    Raises
    ------
    UserError
        Naming ``what``.
    """
    if side != sizes.side or highest_label >= sizes.num_classes:
        raise UserError(
            f"{what}: {side} x {side} pixels and labels up to {highest_label}, expected "
            f"{sizes.side} x {sizes.side} and labels up to {sizes.num_classes - 1}"
        )


def pixel_moments(images: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels (uint8) on the scale [0, 1]."""
    # Sums of whole numbers below 2**53 are exact in float64; piece by piece, since a float copy of
    # MNIST's 47 million pixels would take 376 MB.
    total = squares = 0.0
    for part in np.array_split(images.reshape(-1), _PIECES):
        greys = part.astype(np.float64)
        total += float(greys.sum())
        squares += float(greys @ greys)
    mean = total / images.size
    return mean / 255, math.sqrt(squares / images.size - mean**2) / 255


def public_test_set(image_set: ImageSet, data_dir: Path) -> ReferenceSet:
    """Return a data set's test images. Raises what ``read_part`` and ``resolve`` raise."""
    resolved = resolve(image_set, data_dir)
    images, targets, md5 = read_part(image_set, data_dir, "test")
    name = f"{resolved.title} test images"
    require_sizes(resolved.sizes, images.shape[1], int(targets.max()), name)
    return ReferenceSet(name, images, targets, md5, resolved)


def private_test_set(image_set: ImageSet, data_dir: Path, folder: Path) -> ReferenceSet:
    """Read the pair of IDX files in ``folder``: ``*images-idx3-ubyte``, ``*labels-idx1-ubyte``.

    Its images are upright and normalised like those of ``image_set``, whose classes it has.

    Raises
    ------
    UserError
        If there is not exactly one such pair.
    """
    if not folder.is_dir():
        raise UserError(f"--test-set {folder}: no such folder")
    resolved = resolve(image_set, data_dir)
    paths = [_only(folder, "*images-idx3-ubyte"), _only(folder, "*labels-idx1-ubyte")]
    contents = [path.read_bytes() for path in paths]
    images, labels = (_decode(path, data) for path, data in zip(paths, contents, strict=True))
    check_pair(images, labels, *paths)
    require_sizes(resolved.sizes, images.shape[1], int(labels.max()), f"--test-set {folder}")
    md5 = {readable(path.name): md5_of(data) for path, data in zip(paths, contents, strict=True)}
    name = f"private test set {readable(folder.resolve().name)}"
    return ReferenceSet(name, images, labels.astype(np.int64), md5, resolved)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise UserError(f"--test-set {folder}: {len(found)} files named {pattern}, expected one")
    return found[0]


def _decode(path: Path, content: bytes) -> np.ndarray:
    try:
        return decode_idx(content)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
