"""A data set as tensors in memory, its split in two, and its description."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from common.augment import Distortions
from common.errors import UserError
from common.image_sets import MNIST, ImageSet, Normalization
from common.pixels import decode_pixels, encode_pixels
from common.reference import Part, pixel_moments, read_part, resolve

# Classes that are shown by an image; more would make metrics.json a picture book.
MAX_SAMPLES = 20


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes, held once in memory.

    Attributes
    ----------
    images : Tensor of uint8, shape [N, side, side]
        Pixels as the files have them: 0 is background, 255 is ink.
    targets : Tensor of int64, shape [N]
        Classes, from 0.
    normalization : Normalization
        What makes inputs of them.
    """

    images: Tensor
    targets: Tensor
    normalization: Normalization = MNIST.normalization

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, indices: Tensor) -> "LabelledImages":
        return replace(self, images=self.images[indices], targets=self.targets[indices])


@dataclass(frozen=True)
class TrainingData:
    """The training images in two parts, what ``describe`` says of them, and what set it is."""

    train: LabelledImages
    val: LabelledImages
    summary: dict[str, Any]
    image_set: ImageSet = MNIST

    @property
    def input_size(self) -> int:
        """Values per image."""
        return self.image_set.sizes.input_size

    @property
    def num_classes(self) -> int:
        """Classes to tell apart."""
        return self.image_set.sizes.num_classes


def load_part(data_dir: Path, part: str, image_set: ImageSet = MNIST) -> LabelledImages:
    """Return one part of a data set as tensors; parameters and errors as of ``read_part``."""
    return _as_tensors(read_part(image_set, data_dir, part), resolve(image_set, data_dir))


def _as_tensors(part: Part, image_set: ImageSet) -> LabelledImages:
    return LabelledImages(
        torch.from_numpy(part.images.copy()),
        torch.from_numpy(part.targets),
        image_set.normalization,
    )


def load_training_data(
    data_dir: Path, val_size: int, seed: int, image_set: ImageSet = MNIST
) -> TrainingData:
    """Read the training images and split them, stratified by class.

    Parameters
    ----------
    data_dir : Path
        See ``read_part``. The test images are never read.
    val_size : int
        Images to validate on; 0 trains on all.
    seed : int
        Decides which images those are.
    image_set : ImageSet

    Raises
    ------
    UserError
        If ``val_size`` leaves a part without an image of each class.
    """
    part = read_part(image_set, data_dir, "train")
    resolved = resolve(image_set, data_dir, training=part)
    everything = _as_tensors(part, resolved)
    train_indices, val_indices = split_indices(part.targets, val_size, seed)
    train, val = everything[train_indices], everything[val_indices]
    return TrainingData(train, val, describe(everything, train, val, resolved), resolved)


def split_indices(targets: np.ndarray, val_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices (int64) of a stratified, seeded split: to train on, to validate on.

    Raises
    ------
    UserError
        If a part would lack a class.
    """
    indices = np.arange(len(targets))
    counts = np.bincount(targets)
    present = int((counts > 0).sum())
    if val_size == 0:
        train, val = indices, indices[:0]
    elif counts[counts > 0].min() < 2:
        raise UserError(
            f"class {np.flatnonzero(counts == 1)[0]} has a single image, which cannot be both "
            "trained and validated on: add images, or give --val-size 0"
        )
    elif present <= val_size <= len(targets) - present:
        train, val = train_test_split(
            indices, test_size=val_size, stratify=targets, random_state=seed
        )
    else:
        raise UserError(
            f"--val-size is {val_size}, but must be 0, or between {present} and "
            f"{len(targets) - present} so that each part has an image of each class"
        )
    return torch.from_numpy(train), torch.from_numpy(val)


def describe(
    everything: LabelledImages,
    train: LabelledImages,
    val: LabelledImages,
    image_set: ImageSet = MNIST,
) -> dict[str, Any]:
    """Return the facts to look at before training, as JSON values.

    Mean and standard deviation are over all pixels of ``everything``, on the scale [0, 1].
    ``samples`` holds the first image of each class, up to ``MAX_SAMPLES`` of them, and the mean of
    all of its images, as ``common.pixels`` encodes them.
    """
    mean, std = pixel_moments(everything.images.numpy())
    num_classes = image_set.sizes.num_classes
    present = torch.bincount(everything.targets).nonzero().squeeze(1).tolist()
    return {
        "key": image_set.key,
        "name": image_set.title,
        "classes": list(image_set.classes),
        "noun": image_set.noun,
        "image_shape": [1, *everything.images.shape[1:]],
        "train_size": len(train),
        "val_size": len(val),
        "class_counts": {
            "train": class_counts(train.targets, num_classes),
            "val": class_counts(val.targets, num_classes),
        },
        "pixel_mean": mean,
        "pixel_std": std,
        "normalization": list(image_set.normalization),
        "samples": [_sample_of_class(everything, label) for label in present[:MAX_SAMPLES]],
    }


def distorted_samples(summary: dict[str, Any], distort: Distortions, count: int) -> list[list[str]]:
    """Return ``count`` distorted copies of each sample of ``describe``, always the same ones."""
    samples = np.stack([decode_pixels(sample["pixels"]) for sample in summary["samples"]])
    copies = torch.from_numpy(samples.repeat(count, axis=0))
    distorted = distort(copies, torch.Generator().manual_seed(0)).round().to(torch.uint8).numpy()
    encoded = [encode_pixels(image) for image in distorted]
    return [encoded[i : i + count] for i in range(0, len(encoded), count)]


def class_counts(targets: Tensor, num_classes: int) -> list[int]:
    """Return how many of ``targets`` are 0, 1, ..., ``num_classes - 1``."""
    return torch.bincount(targets, minlength=num_classes).tolist()


def _sample_of_class(images: LabelledImages, label: int) -> dict[str, Any]:
    indices = (images.targets == label).nonzero().squeeze(1)
    mean = images.images[indices].float().mean(dim=0).round().to(torch.uint8)
    return {
        "class": label,
        "index": int(indices[0]),
        "pixels": encode_pixels(images.images[indices[0]].numpy()),
        "mean_pixels": encode_pixels(mean.numpy()),
    }
