"""The images and labels of a data set as numpy arrays; no torch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data.catalog import Dataset, DatasetSpec, Normalization, Sizes
from common.data.download import download
from common.data.idx import encode_idx, md5_of, read_images, read_verified
from common.data.own import read_own_split
from common.data.search import find_files
from common.support.errors import UserError
from common.support.text import json_text

MAX_CLASSES = 256

# From how many images there are to the numbers of those that are wanted.
Choose = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes."""

    name: str  # which images these are, and what was done to them
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


def load_split(
    spec: DatasetSpec, data_dir: Path, split: str, choose: Choose | None = None
) -> LabelledImages:
    """Read the training or the test images, and fetch the files first if they are missing.

    ``data_dir`` holds, or will hold, the data set's own folder; ``split`` is "train" or "test". The
    other split's files are not opened and need not exist, unless the data set is unknown: what its
    classes are is read from its training images. ``choose`` says which images to keep: of a known
    data set the others are not held in memory.

    Raises UserError if a file is damaged, or is missing and cannot be fetched, or the images and
    labels do not fit each other or the data set.
    """
    if spec.known is None and split == "test":
        known: Dataset | None = load_split(spec, data_dir, "train").dataset
    else:
        known = spec.known
    read = _read_files(spec, data_dir, split, known, choose if spec.known else None)
    dataset = known or _describe_unknown(spec, data_dir, read)
    name = f"{dataset.title} {'training' if split == 'train' else 'test'} images"
    require_sizes(dataset.sizes, read.images, read.targets, name)
    name = ", ".join([name, *read.notes])
    images = LabelledImages(
        name, read.images, read.targets, read.md5, dataset, is_public=bool(spec.known)
    )
    return images if spec.known or choose is None else images.select(choose(len(images)))


def pixel_moments(images: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels (uint8) on the scale [0, 1]."""
    mean = int(images.sum(dtype=np.int64)) / images.size
    squares = int(np.square(images, dtype=np.uint16).sum(dtype=np.int64))
    return mean / 255, math.sqrt(squares / images.size - mean**2) / 255


class _Read(NamedTuple):
    images: np.ndarray  # uint8 [N, side, side]
    targets: np.ndarray  # int64 [N]
    md5: dict[str, str]
    notes: Sequence[str] = ()
    classes: Sequence[str] | None = None  # names, if the files have any


def _read_files(
    spec: DatasetSpec, data_dir: Path, split: str, known: Dataset | None, choose: Choose | None
) -> _Read:
    names = spec.files[split]
    found = find_files(spec, data_dir, names)
    if not found.keys() >= set(names):
        if not spec.torchvision:
            return _read_own(spec, data_dir, split, known)
        download(spec, data_dir)
        found = find_files(spec, data_dir, names)
    images_file, labels_file = (found[name] for name in names)
    labels, labels_md5 = read_verified(spec, names[1], labels_file)
    if choose is None:
        images, images_md5 = read_verified(spec, names[0], images_file)
    else:
        rows = choose(len(labels))
        images, images_md5 = read_images(spec, names[0], images_file, rows)
        labels = labels[rows]
    if spec.is_transposed and images.ndim == 3:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    if labels.ndim == 2:
        labels = labels[:, 0]
    require_pair(images, labels, images_file, labels_file)
    return _Read(images, labels.astype(np.int64), {names[0]: images_md5, names[1]: labels_md5})


def _read_own(spec: DatasetSpec, data_dir: Path, split: str, known: Dataset | None) -> _Read:
    """Read what is not in IDX files. The MD5 sums are those of such files of the same images."""
    own = read_own_split(data_dir, split, known.classes if known else None)
    if own is None:
        which = "training" if split == "train" else "test"
        raise UserError(
            f"{data_dir} has no {which} images: put there {split}/CLASS/*.png, an .npz file with "
            f"x_{split} and y_{split}, a {split}.csv with the label first, or "
            f"{' and '.join(spec.files[split])}; docs/datasets.md has the lines that make the "
            "last of anything else"
        )
    require_pair(own.images, own.labels, f"{own.source} (images)", f"{own.source} (labels)")
    arrays = {"images": own.images, "labels": own.labels.astype(np.uint8)}
    md5 = {name: md5_of(encode_idx(array)) for name, array in arrays.items()}
    return _Read(own.images, own.labels.astype(np.int64), md5, own.notes, own.classes)


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
    whole = labels.shape == (len(images),) and labels.dtype.kind in "iu"
    if not whole or labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise UserError(
            f"{labels_file} has shape {list(labels.shape)} of {labels.dtype.name}, but must hold "
            f"{len(images)} labels from 0 to {MAX_CLASSES - 1}"
        )


def require_sizes(sizes: Sizes, images: np.ndarray, targets: np.ndarray, name: str) -> None:
    """Refuse images and labels that do not fit the data set."""
    side, highest = images.shape[1], int(targets.max())
    if side != sizes.side or highest >= sizes.num_classes:
        raise UserError(
            f"{name}: {side} x {side} pixels and labels up to {highest}, expected "
            f"{sizes.side} x {sizes.side} and labels up to {sizes.num_classes - 1}"
        )


def _describe_unknown(spec: DatasetSpec, data_dir: Path, read: _Read) -> Dataset:
    """Return what the training images say of a data set that the catalog does not know."""
    highest = int(read.targets.max())
    if highest == 0:
        raise UserError(f"{data_dir}: every training image has the label 0: nothing to tell apart")
    mean, std = pixel_moments(read.images)
    if std == 0:
        raise UserError(f"{data_dir}: all pixels of the training images are equal")
    return Dataset(
        key=spec.key,
        title=json_text(Path(data_dir).resolve().name),
        classes=tuple(read.classes or map(str, range(highest + 1))),
        normalization=Normalization(mean, std),
        side=read.images.shape[1],
    )
