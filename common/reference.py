"""The images that measure a classifier, with the labels that decide: MNIST's, or a private set.

numpy arrays; no torch.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.fetch import fetch_mnist
from common.files import readable
from common.idx import MD5, NUM_CLASSES, decode_idx, md5_of, raw_folder, read_verified
from common.pixels import SIDE


class ReferenceSet(NamedTuple):
    """Images and their classes, and how to tell which set it was."""

    name: str
    images: np.ndarray  # uint8 [N, 28, 28]
    targets: np.ndarray  # int64 [N], 0 to 9
    md5: dict[str, str]  # of each file

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.targets)


def read_part(data_dir: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one part of MNIST, and fetch the files first if they are missing.

    Parameters
    ----------
    data_dir : Path
        The folder that holds, or shall hold, ``MNIST/raw/``.
    part : "train" or "t10k"
        60,000 training images or 10,000 test images. The files of the other part are not opened,
        and need not exist.

    Returns
    -------
    images, targets
        uint8 [N, 28, 28] and int64 [N].

    Raises
    ------
    UserError
        If a file is damaged, or missing and cannot be fetched.
    """
    paths = [raw_folder(data_dir) / name for name in MD5 if name.startswith(part)]
    if not all(path.exists() for path in paths):
        fetch_mnist(data_dir)
    images, labels = (read_verified(path) for path in paths)
    return images, labels.astype(np.int64)


def mnist_test_set(data_dir: Path) -> ReferenceSet:
    """Return MNIST's 10,000 test images. Raises what ``read_part`` raises."""
    images, targets = read_part(data_dir, "t10k")
    md5 = {name: md5 for name, md5 in MD5.items() if name.startswith("t10k")}
    return ReferenceSet("MNIST test images", images, targets, md5)


def private_test_set(folder: Path) -> ReferenceSet:
    """Read the pair of IDX files in ``folder``: ``*images-idx3-ubyte``, ``*labels-idx1-ubyte``.

    Raises
    ------
    UserError
        If there is not exactly one pair, or it does not hold one label 0 to 9 for each of at least
        one 28 x 28 image.
    """
    if not folder.is_dir():
        raise UserError(f"--test-set {folder}: no such folder")
    paths = [_only(folder, "*images-idx3-ubyte"), _only(folder, "*labels-idx1-ubyte")]
    contents = [path.read_bytes() for path in paths]
    images, labels = (_decode(path, data) for path, data in zip(paths, contents, strict=True))
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or len(images) == 0:
        raise UserError(f"{paths[0]} has shape {list(images.shape)}, expected [N, {SIDE}, {SIDE}]")
    if labels.shape != (len(images),) or labels.max() >= NUM_CLASSES:
        raise UserError(
            f"{paths[1]} has shape {list(labels.shape)}, but must hold {len(images)} labels from 0 "
            f"to {NUM_CLASSES - 1}"
        )
    md5 = {readable(path.name): md5_of(data) for path, data in zip(paths, contents, strict=True)}
    name = f"private test set {readable(folder.resolve().name)}"
    return ReferenceSet(name, images, labels.astype(np.int64), md5)


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
