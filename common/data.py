"""MNIST as tensors in memory, the split into training and validation part, and its description."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from common.augment import Distortions
from common.errors import UserError
from common.idx import NUM_CLASSES
from common.pixels import decode_pixels, encode_pixels
from common.reference import read_part


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes, held once in memory.

    Attributes
    ----------
    images : Tensor of uint8, shape [N, 28, 28]
        Pixels as the files have them: 0 is background, 255 is ink.
    targets : Tensor of int64, shape [N]
        Classes, 0 to 9.
    """

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, indices: Tensor) -> "LabelledImages":
        return LabelledImages(self.images[indices], self.targets[indices])


@dataclass(frozen=True)
class TrainingData:
    """The 60,000 training images in two parts, and what ``describe`` says of them."""

    train: LabelledImages
    val: LabelledImages
    summary: dict[str, Any]


def load_part(data_dir: Path, part: str) -> LabelledImages:
    """Return one part of MNIST as tensors; parameters and errors as of ``read_part``."""
    images, targets = read_part(data_dir, part)
    return LabelledImages(torch.from_numpy(images.copy()), torch.from_numpy(targets))


def load_training_data(data_dir: Path, val_size: int, seed: int) -> TrainingData:
    """Read the training images and split them, stratified by class.

    Parameters
    ----------
    data_dir : Path
        See ``read_part``. The test images are never read.
    val_size : int
        Images to validate on; 0 trains on all 60,000.
    seed : int
        Decides which images those are.

    Raises
    ------
    UserError
        If ``val_size`` leaves a part without an image of each class.
    """
    everything = load_part(data_dir, "train")
    train_indices, val_indices = split_indices(everything.targets.numpy(), val_size, seed)
    train, val = everything[train_indices], everything[val_indices]
    return TrainingData(train, val, summary=describe(everything, train, val))


def split_indices(targets: np.ndarray, val_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices (int64) of a stratified, seeded split: to train on, to validate on."""
    indices = np.arange(len(targets))
    if val_size == 0:
        train, val = indices, indices[:0]
    elif NUM_CLASSES <= val_size <= len(targets) - NUM_CLASSES:
        train, val = train_test_split(
            indices, test_size=val_size, stratify=targets, random_state=seed
        )
    else:
        raise UserError(
            f"--val-size is {val_size}, but must be 0, or between {NUM_CLASSES} and "
            f"{len(targets) - NUM_CLASSES} so that each part has an image of each class"
        )
    return torch.from_numpy(train), torch.from_numpy(val)


def describe(
    everything: LabelledImages, train: LabelledImages, val: LabelledImages
) -> dict[str, Any]:
    """Return the facts to look at before training, as JSON values.

    Mean and standard deviation are over all pixels of ``everything``, on the scale [0, 1].
    ``samples`` holds the first image of each class, and the mean of all of them: 784 bytes in
    base64 each.
    """
    # A histogram of the 256 greys gives exact moments without a float copy of 47 million pixels.
    counts = torch.bincount(everything.images.flatten(), minlength=256).double()
    greys = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * greys).sum() / counts.sum()
    variance = (counts * (greys - mean) ** 2).sum() / counts.sum()
    return {
        "name": "MNIST",
        "image_shape": [1, *everything.images.shape[1:]],
        "train_size": len(train),
        "val_size": len(val),
        "class_counts": {"train": class_counts(train.targets), "val": class_counts(val.targets)},
        "pixel_mean": mean.item(),
        "pixel_std": variance.sqrt().item(),
        "samples": [_sample_of_class(everything, digit) for digit in range(NUM_CLASSES)],
    }


def distorted_samples(summary: dict[str, Any], distort: Distortions, count: int) -> list[list[str]]:
    """Return ``count`` distorted copies of each sample of ``describe``, always the same ones."""
    samples = np.stack([decode_pixels(sample["pixels"]) for sample in summary["samples"]])
    copies = torch.from_numpy(samples.repeat(count, axis=0))
    distorted = distort(copies, torch.Generator().manual_seed(0)).round().to(torch.uint8).numpy()
    encoded = [encode_pixels(image) for image in distorted]
    return [encoded[i : i + count] for i in range(0, len(encoded), count)]


def class_counts(targets: Tensor) -> list[int]:
    """Return how many of ``targets`` are 0, 1, ..., 9."""
    return torch.bincount(targets, minlength=NUM_CLASSES).tolist()


def _sample_of_class(images: LabelledImages, digit: int) -> dict[str, Any]:
    indices = (images.targets == digit).nonzero().squeeze(1)
    mean = images.images[indices].float().mean(dim=0).round().to(torch.uint8)
    return {
        "digit": digit,
        "index": int(indices[0]),
        "pixels": encode_pixels(images.images[indices[0]].numpy()),
        "mean_pixels": encode_pixels(mean.numpy()),
    }
