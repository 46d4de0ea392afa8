"""Pictures and arrays of other tools, brought to the form of a data set's images and labels.

What has one meaning is taken, and what was done is said; what has several is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.support.errors import UserError
from common.support.text import json_text

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}
_OPAQUE = np.array(255, np.uint8)


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures in the folders of a folder, sorted by class and name."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    return [
        path
        for one in classes
        for path in sorted(one.iterdir())
        if path.suffix.lower() in _PICTURES and not path.name.startswith(".")
    ]


def read_pictures(
    pictures: Sequence[Path], classes: Sequence[str], side: int | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return images, uint8 [N, side, side], labels, int64 [N], and notes of what was done.

    The folder of a picture has the name of its class, or its number. Without ``side`` all pictures
    are as high as the first. Raises UserError if a folder is of no class, or a picture of another
    size.
    """
    numbers = {str(number): number for number in range(len(classes))}
    numbers |= {name: number for number, name in enumerate(classes)}
    names = [json_text(picture.parent.name) for picture in pictures]
    for picture, name in zip(pictures, names, strict=True):
        if name not in numbers:
            raise UserError(
                f"{picture.parent} is named like no class ({', '.join(classes)}): rename it, its "
                "number will do"
            )
    greys, notes = _read_greys(pictures)
    side = side or len(greys[0])
    for picture, grey in zip(pictures, greys, strict=True):
        if grey.shape != (side, side):
            raise UserError(
                f"{picture} has {grey.shape[1]} x {grey.shape[0]} pixels, expected {side} x "
                f"{side}: resize it"
            )
    return np.stack(greys), np.array([numbers[name] for name in names], np.int64), notes


def _read_greys(pictures: Sequence[Path]) -> tuple[list[np.ndarray], list[str]]:
    """Return pictures of any mode as greys, uint8 [height, width], and notes of what was done.

    What is transparent becomes paper of the other shade than the ink. Raises UserError if one is no
    picture.
    """
    greys, alphas = (list(found) for found in zip(*map(_read_picture, pictures), strict=True))
    notes = []
    if any(grey.max(initial=0) > 255 for grey in greys):
        greys = [np.rint(g / 257) if g.dtype == np.uint16 else g for g in greys]
        notes.append("16 bits scaled to 8")
    if any((alpha < 255).any() for alpha in alphas):
        opaque = [np.broadcast_to(a / 255, g.shape) for g, a in zip(greys, alphas, strict=True)]
        ink = np.concatenate([g[a > 0.5] for g, a in zip(greys, opaque, strict=True)])
        name, paper = ("white", 255) if np.median(ink, axis=0) < 128 else ("black", 0)
        greys = [a * g + (1 - a) * paper for g, a in zip(greys, opaque, strict=True)]
        notes.append(f"put on {name}")
    return [np.rint(grey).astype(np.uint8) for grey in greys], notes


def _read_picture(picture: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return greys, uint8, or uint16 of 16 bits, and how opaque they are, uint8, each or all."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as opened:
            if opened.mode.startswith("I"):
                return np.asarray(opened).clip(0, 65_535).astype(np.uint16), _OPAQUE
            grey, alpha = (
                np.asarray(band) for band in opened.convert("RGBA").convert("LA").split()
            )
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise UserError(f"{picture} is no picture: take it away") from error
    return grey, _OPAQUE if alpha.min(initial=255) == 255 else alpha


def as_images(array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return an array of images as uint8 [N, side, side], if that is its only meaning."""
    notes = []
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array.squeeze(1 if array.shape[1] == 1 else 3)
    side = round(array.shape[-1] ** 0.5) if array.ndim == 2 else 0
    if side > 1 and side * side == array.shape[1]:
        array = array.reshape(-1, side, side)
    if array.dtype.kind == "f" and array.size and 0 <= array.min() < array.max() <= 1:
        array = np.rint(255 * array.astype(np.float64)).astype(np.uint8)
        notes.append("scaled from [0, 1]")
    return _as_bytes(array), notes


def as_labels(array: np.ndarray) -> np.ndarray:
    """Return an array of labels or one-hot rows as uint8 [N], if that is its only meaning."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    is_one_hot = array.ndim == 2 and np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()
    return _as_bytes(array.argmax(axis=1) if is_one_hot else array)


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Return whole numbers from 0 to 255 as uint8; anything else as it is, to be refused."""
    if array.dtype.kind in "iuf" and array.size and array.min() >= 0 and array.max() <= 255:
        whole = np.rint(array).astype(np.uint8)
        return whole if (whole == array).all() else array
    return array
