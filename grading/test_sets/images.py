"""Pictures and arrays of whoever grades, brought to the form of a data set's test images.

What has one meaning is taken, and what was done is said; what has several is refused. The known
data sets are light on dark: MNIST and its family have a black corner in every image.
"""

from pathlib import Path

import numpy as np

from common.support.errors import UserError

# Of the images, with light corners: below the first the set is light on dark, above the second dark
# on light. No image of MNIST or Fashion-MNIST has a median of its corners above 127.
_FEW, _MOST = 0.1, 0.9


def read_greys(pictures: list[Path]) -> tuple[list[np.ndarray], list[str]]:
    """Return pictures of any mode as greys, uint8 [height, width], and notes of what was done.

    What is transparent becomes paper of the other shade than the ink. Raises UserError if one is no
    picture.
    """
    greys, alphas, notes = [], [], []
    for picture in pictures:
        grey, alpha = _read_picture(picture)
        greys.append(grey)
        alphas.append(alpha)
    if any(grey.max(initial=0) > 255 for grey in greys):
        greys = [np.rint(grey / 257) for grey in greys]
        notes.append("16 bits scaled to 8")
    if any((alpha < 1).any() for alpha in alphas):
        ink = np.concatenate([g[a > 0.5] for g, a in zip(greys, alphas, strict=True)])
        name, paper = ("white", 255) if np.median(ink, axis=0) < 128 else ("black", 0)
        greys = [a * g + (1 - a) * paper for g, a in zip(greys, alphas, strict=True)]
        notes.append(f"put on {name}")
    return [np.rint(grey).astype(np.uint8) for grey in greys], notes


def _read_picture(picture: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return greys, from 0 to 255 or to 65,535, and how opaque each pixel is, from 0 to 1."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as opened:
            if opened.mode.startswith("I"):
                grey = np.asarray(opened).clip(0, 65_535).astype(np.float64)
                return grey, np.ones_like(grey)
            grey, alpha = (
                np.asarray(band) for band in opened.convert("RGBA").convert("LA").split()
            )
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise UserError(f"--test-set: {picture} is no picture: take it away") from error
    return grey.astype(np.float64), alpha / 255


def light_on_dark(images: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """Return images, uint8 [N, side, side], that are light on dark, inverted if all are the other.

    Raises UserError if some are and some are not.
    """
    corners = np.median(images[:, [0, 0, -1, -1], [0, -1, 0, -1]], axis=1)
    share = float((corners > 127).mean())
    if share > _MOST:
        return 255 - images, ["inverted, since it was dark on light"]
    if share >= _FEW:
        raise UserError(
            f"--test-set {path}: {100 * share:.0f} % of the images are dark on light, and the "
            "others light on dark: invert the former (PIL.ImageOps.invert)"
        )
    return images, []


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
