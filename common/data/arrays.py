"""The images and labels of a data set as numpy arrays; no torch."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.data.catalog import Dataset, DatasetSpec, Normalization, Sizes
from common.data.download import download
from common.data.idx import read_verified
from common.data.search import find_files
from common.support.errors import UserError
from common.support.text import json_text

MAX_CLASSES = 256


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes."""

    name: str  # which images these are
    images: np.ndarray  # uint8 [N, side, side], as the files have them: 0 is background, 255 ink
    targets: np.ndarray  # int64 [N], classes from 0
    md5: dict[str, str]  # of each file, by name
    dataset: Dataset  # what the classes are, and how the images are normalised
    is_public: bool = False  # whether anyone can have the labels

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, indices: np.ndarray) -> "LabelledImages":
        """Return the images at ``indices`` (int [M])."""
        return replace(self, images=self.images[indices], targets=self.targets[indices])


def load_split(spec: DatasetSpec, data_dir: Path, split: str) -> LabelledImages:
    """Read the training or the test images, and fetch the files first if they are missing.

    ``data_dir`` holds, or will hold, the data set's own folder; ``split`` is "train" or "test". The
    other split's files are not opened and need not exist, unless the data set is unknown: what its
    classes are is read from its training images.

    Raises UserError if a file is damaged, or is missing and cannot be fetched, or the images and
    labels do not fit each other or the data set.
    """
    images, targets, md5 = _read_files(spec, data_dir, split)
    if spec.known:
        dataset = spec.known
    elif split == "train":
        dataset = _describe_unknown(spec, data_dir, images, targets)
    else:
        dataset = load_split(spec, data_dir, "train").dataset
    name = f"{dataset.title} {'training' if split == 'train' else 'test'} images"
    require_sizes(dataset.sizes, images, targets, name)
    return LabelledImages(name, images, targets, md5, dataset, is_public=bool(spec.known))


def pixel_moments(images: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels (uint8) on the scale [0, 1]."""
    mean = int(images.sum(dtype=np.int64)) / images.size
    squares = int(np.square(images, dtype=np.uint16).sum(dtype=np.int64))
    return mean / 255, math.sqrt(squares / images.size - mean**2) / 255


def _read_files(
    spec: DatasetSpec, data_dir: Path, split: str
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Return images (uint8 [N, side, side]), targets (int64 [N]) and the files' MD5 sums."""
    names = spec.files[split]
    found = find_files(spec, data_dir, names)
    if not found.keys() >= set(names):
        if not spec.torchvision:
            raise UserError(
                f"{data_dir} lacks {' or '.join(names)}: put them there, or name another "
                "--data-dir; docs/datasets.md has the lines that make them of pictures, of an .npz "
                "or of a .csv file"
            )
        download(spec, data_dir)
        found = find_files(spec, data_dir, names)
    images_file, labels_file = (found[name] for name in names)
    images, images_md5 = read_verified(spec, names[0], images_file)
    labels, labels_md5 = read_verified(spec, names[1], labels_file)
    if spec.is_transposed and images.ndim == 3:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    if labels.ndim == 2:
        labels = labels[:, 0]
    require_pair(images, labels, images_file, labels_file)
    return images, labels.astype(np.int64), {names[0]: images_md5, names[1]: labels_md5}


def require_pair(
    images: np.ndarray, labels: np.ndarray, images_file: object, labels_file: object
) -> None:
    """Refuse arrays that are not images and as many labels; the files are named in the message."""
    square = images.ndim == 3 and images.shape[1] == images.shape[2] and images.size > 0
    if not square or images.dtype != np.uint8:
        raise UserError(
            f"{images_file} has shape {list(images.shape)} of {images.dtype.name}, expected "
            "[N, side, side] of uint8"
        )
    if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise UserError(
            f"{labels_file} has shape {list(labels.shape)}, but must hold {len(images)} labels "
            f"from 0 to {MAX_CLASSES - 1}"
        )


def require_sizes(sizes: Sizes, images: np.ndarray, targets: np.ndarray, name: str) -> None:
    """Refuse images and labels that do not fit the data set."""
    side, highest = images.shape[1], int(targets.max())
    if side != sizes.side or highest >= sizes.num_classes:
        raise UserError(
            f"{name}: {side} x {side} pixels and labels up to {highest}, expected "
            f"{sizes.side} x {sizes.side} and labels up to {sizes.num_classes - 1}"
        )


def _describe_unknown(
    spec: DatasetSpec, data_dir: Path, images: np.ndarray, targets: np.ndarray
) -> Dataset:
    """Return what the training images say of a data set that the catalog does not know."""
    highest = int(targets.max())
    if highest == 0:
        raise UserError(f"{data_dir}: every training image has the label 0: nothing to tell apart")
    mean, std = pixel_moments(images)
    if std == 0:
        raise UserError(f"{data_dir}: all pixels of the training images are equal")
    return Dataset(
        key=spec.key,
        title=json_text(Path(data_dir).resolve().name),
        classes=tuple(map(str, range(highest + 1))),
        normalization=Normalization(mean, std),
        side=images.shape[1],
    )
