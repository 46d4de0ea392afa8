"""Images of a data set for a page: each by itself, or many in one picture of which parts show."""

import base64
import io
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from common.data.pixels import decode_pixels

Row = dict[str, Any]
_LEVELS = 15  # of either sign and 0
_SIGNED = LinearSegmentedColormap.from_list("signed", ["#b3530b", "#ffffff", "#0b62b8"])

Cell = tuple[int, int]  # of a confusion matrix: the true and the predicted class


class Sheet(NamedTuple):
    """Wrong answers side by side in one picture, those of a cell next to each other."""

    uri: str
    cells: dict[Cell, tuple[int, list[int]]]  # the place of its first, and all their numbers


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    return _png(Image.fromarray(255 - image))


def image_uri(pixels: str) -> str:
    """Return encoded pixels as the address of a picture that the page itself holds."""
    return _uri(image_png(decode_pixels(pixels)))


def signed_uri(text: str) -> str:
    """Return encoded pixels of which 128 is 0 as a picture: orange below 0, blue above."""
    pixels = decode_pixels(text)
    levels = np.round((pixels.astype(float) - 1) / 254 * (_LEVELS - 1)).astype(np.uint8)
    colours = _SIGNED(np.linspace(0, 1, _LEVELS), bytes=True)[:, :3]
    picture = Image.fromarray(levels)
    picture.putpalette(colours.tobytes())
    return _uri(_png(picture, bits=4))


def overlay_uri(pixels: str, decisive: str) -> str:
    """Return an image in grey ink, tinted by the pixels that decided its answer."""
    ink = 255 - 0.55 * decode_pixels(pixels).astype(float)
    tint = (decode_pixels(decisive).astype(float) - 128) / 127
    towards = np.where(tint[..., None] > 0, (11, 98, 184), (230, 97, 1))
    strength = np.abs(tint[..., None]) ** 0.7 * 0.8
    rgb = ink[..., None] * (1 - strength) + towards * strength
    return _uri(_png(Image.fromarray(rgb.round().astype(np.uint8)).quantize(16), bits=4))


def sheet_of(errors: list[Row], limit: int) -> Sheet | None:
    """Return the first ``limit`` of the errors that a row has as ``confused``; None of none."""
    shown = sorted(errors[:limit], key=_cell)
    if not shown:
        return None
    # Of 16 greys, which nobody tells from 256 here, it has half the bytes.
    greys = np.concatenate([decode_pixels(error["pixels"]) // 16 for error in shown], axis=1)
    picture = Image.fromarray(greys)
    picture.putpalette([255 - 17 * grey for grey in range(16) for _ in "RGB"])
    cells, place = {}, 0
    for cell, group in groupby(shown, key=_cell):
        numbers = [error["index"] for error in group]
        cells[cell] = (place, numbers)
        place += len(numbers)
    return Sheet(_uri(_png(picture, bits=4)), cells)


def _cell(error: Row) -> Cell:
    return error["true"], error["predicted"]


def _png(picture: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, **options)
    return buffer.getvalue()


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
