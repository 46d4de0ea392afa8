"""A photo of a digit brought to the form of MNIST's images, in the same way as on the playground.

Limits, order and names are those of templates/playground/photos.js and network.js: the same scaled
picture becomes the same 28 x 28 pixels here and there (tests/browser/test_playground_photos.py).
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from common.support.errors import UserError

_LONGER_SIDE = 280  # pixels that a photo is scaled to
_SIDE, _BOX = 28, 20  # pixels of the result, and of the digit in it

_FAINT = 32  # of 255 shades: what differs less from paper is paper
_GRAIN = 3  # pixels: what is smaller is noise of the camera
_SPECK = 14  # pixels: what is smaller may be a piece of a digit, but is none itself


def prepare_photo(photo: Image.Image | np.ndarray) -> np.ndarray:
    """Return the digit of a photo in the form of MNIST's images.

    What is left out: shades and shadows of the paper, the table behind it, specks, what is cut off
    by the border, and all but the middle one of several digits. The digit is scaled into 20 x 20
    pixels with its proportions and placed by its centre of mass (LeCun et al. 1998, Proceedings of
    the IEEE 86, section III.A).

    Parameters
    ----------
    photo : PIL.Image.Image or np.ndarray
        A picture of any size and mode, dark on light or light on dark; what is transparent is white
        paper. Or an array, uint8 or uint16: greys [H, W] or channels [H, W, C], C as in LA, RGB or
        RGBA.

    Returns
    -------
    np.ndarray
        uint8 [28, 28], 0 is background and 255 ink.

    Raises
    ------
    UserError
        If the photo shows no ink.
    ValueError
        If the array has another shape or type.
    """
    return _mnist_form(_middle_digit(_ink_of(_scaled_greys(_as_image(photo)))))


def _as_image(photo: Image.Image | np.ndarray) -> Image.Image:
    """Return a photo as an image of 8 bits, upright."""
    if isinstance(photo, Image.Image):
        upright = ImageOps.exif_transpose(photo)
        if not upright.mode.startswith("I"):
            return upright
        photo = np.asarray(upright).clip(0, 65_535).astype(np.uint16)
    values = np.rint(photo / 257).astype(np.uint8) if photo.dtype == np.uint16 else photo
    channels = values.shape[2:] in {(), (2,), (3,), (4,)}
    if values.dtype != np.uint8 or values.ndim < 2 or values.size == 0 or not channels:
        raise ValueError(
            "a photo is uint8 or uint16, of shape [height, width] or [height, width, 2 to 4], and "
            f"not {photo.dtype.name} of shape {list(photo.shape)}"
        )
    return Image.fromarray(values)


def _scaled_greys(image: Image.Image) -> np.ndarray:
    """Return the greys (float32 [h, w], from 0 to 255) of an image on white paper, scaled."""
    paper = Image.new("RGBA", image.size, "white")
    opaque = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    scale = _LONGER_SIDE / max(image.size)
    width, height = (max(1, math.floor(scale * side + 0.5)) for side in image.size)
    # Of PIL's filters the one whose pixels are nearest to those of Chromium.
    scaled = opaque.resize((width, height), Image.Resampling.BILINEAR)
    red, green, blue = np.asarray(scaled, dtype=np.float64).transpose(2, 0, 1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).astype(np.float32)


def _ink_of(greys: np.ndarray) -> np.ndarray:
    """Return the ink (uint8 [h, w], 0 is paper) on paper of either shade.

    It is how far a pixel is from the shade of the paper, on the side where most of the difference
    lies. Up to a quarter of the greatest difference is paper and shadow, from three quarters on all
    is ink.
    """
    differences = _without_table(_shade_of_paper(greys) - greys)
    is_dark = (differences * np.abs(differences)).sum(dtype=np.float64) > 0
    strengths = np.maximum(0, differences if is_dark else -differences).astype(np.float64)
    greatest = strengths.max()
    if greatest < _FAINT:
        raise UserError(
            "no ink was found in the photo: take one where the digit is darker or lighter than "
            "what it is written on"
        )
    return np.rint(255 * np.clip(2 * strengths / greatest - 0.5, 0, 1)).astype(np.uint8)


def _shade_of_paper(greys: np.ndarray) -> np.float32:
    """Return the median of a sample, of which half is the border and half is from all over.

    Even a digit that fills the photo leaves paper at the border, of which a table can take up most.
    """
    height, width = greys.shape
    step = math.ceil(greys.size / (2 * (width + height)))
    y, x = np.indices(greys.shape)
    is_border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    sample = np.sort(greys[is_border | ((x + y) % step == 0)])
    return sample[len(sample) // 2]


def _without_table(differences: np.ndarray) -> np.ndarray:
    """Return the differences from the paper's shade, 0 where the table shows.

    Paper has straight edges: where one crosses the photo, a corner of the photo lies beyond it, and
    shows the table, darker than the paper or lighter. Shadows fall from the corners as well.
    """
    rest = differences.copy()
    for strengths in (differences, -differences):
        for region in _regions_of(strengths):
            if region.pixels[[0, 0, -1, -1], [0, -1, 0, -1]].any():
                rest[region.pixels] = 0
    # The ink of a digit that fills the photo can reach a corner too; then hardly anything is left.
    before, after = np.abs(differences), np.abs(rest)
    is_left = after.max() > before.max() / 4 and any(
        _lies_inside(region.box, rest.shape) for region in _regions_of(after)
    )
    return rest if is_left else differences


class _Box(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> int:
        return max(self.right - self.left, self.bottom - self.top)


class _Region(NamedTuple):
    pixels: np.ndarray  # bool [h, w]
    box: _Box  # without the soft edge


def _regions_of(values: np.ndarray) -> list[_Region]:
    """Return what touches and has half of the greatest value, with the soft edge around it."""
    is_solid = values >= max(_FAINT, float(values.max())) / 2
    labels, _ = ndimage.label(is_solid)
    slices = ndimage.find_objects(labels)
    boxes = [_Box(x.start, y.start, x.stop, y.stop) for y, x in slices]
    labels = _with_edges(labels, values)
    return [
        _Region(labels == number, box)
        for number, box in enumerate(boxes, start=1)
        if box.size >= _GRAIN
    ]


def _with_edges(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give each region's label to what fades from it, the first one's where two edges meet.

    An edge is followed as far as it fades, so that two strokes stay apart though theirs meet.
    """
    nobody = labels.max() + 1
    labels = np.where(labels == 0, nobody, labels)
    is_edge = (labels == nobody) & (values > 0)
    around = np.pad(values, 1)
    shifts = (np.s_[1:-1, :-2], np.s_[1:-1, 2:], np.s_[:-2, 1:-1], np.s_[2:, 1:-1])
    fades = [(shift, is_edge & (around[shift] > values)) for shift in shifts]
    while True:
        known = np.pad(labels, 1, constant_values=nobody)
        spread = labels.copy()
        for shift, where in fades:
            np.minimum(spread, known[shift], out=spread, where=where)
        if np.array_equal(spread, labels):
            return labels
        labels = spread


def _lies_inside(box: _Box, shape: tuple[int, ...]) -> bool:
    height, width = shape
    touches = box.left == 0 or box.top == 0 or box.right == width or box.bottom == height
    return not touches and box.size >= _SPECK


def _middle_digit(ink: np.ndarray) -> np.ndarray:
    """Return the ink of one digit: of several, the one nearest to the middle.

    Fingers, lines and the rest of another digit touch the border; but where all of the ink does,
    the photo was cut to the digit.
    """
    height, width = ink.shape
    groups = _groups_of(_regions_of(ink))
    inside = [group for group in groups if _lies_inside(group.box, ink.shape)]
    if not inside:
        return ink
    largest = max(group.box.size for group in inside)
    digits = [group for group in inside if group.box.size > largest / 2]

    def distance(group: _Region) -> float:
        left, top, right, bottom = group.box
        return math.hypot(left + right - width, top + bottom - height)

    return np.where(min(digits, key=distance).pixels, ink, 0)


def _groups_of(regions: list[_Region]) -> list[_Region]:
    """Return the regions, those that are near each other as one."""
    groups: list[list[_Region]] = []
    for region in regions:
        far, near = [], [region]
        for group in groups:
            if any(_is_near(member.box, region.box) for member in group):
                near += group
            else:
                far.append(group)
        groups = [*far, near]
    return [_joined(group) for group in groups]


def _is_near(a: _Box, b: _Box) -> bool:
    """Tell whether two boxes are of one digit.

    Digits are mostly written side by side, and their pieces rather lie above each other: the bar of
    a 5. So less of a gap parts what stands side by side.
    """
    size = max(a.size, b.size)
    across = max(a.left, b.left) - min(a.right, b.right)
    down = max(a.top, b.top) - min(a.bottom, b.bottom)
    return across < size / 10 and down < size / 5


def _joined(group: list[_Region]) -> _Region:
    left, top, right, bottom = zip(*(region.box for region in group), strict=True)
    pixels = np.logical_or.reduce([region.pixels for region in group])
    return _Region(pixels, _Box(min(left), min(top), max(right), max(bottom)))


def _mnist_form(ink: np.ndarray) -> np.ndarray:
    """Return ink (uint8 [h, w]) as MNIST's images have it: uint8 [28, 28]."""
    # The edge of a stroke is drawn in greys; MNIST's originals were black and white.
    rows, columns = np.nonzero(ink >= 128)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    step = max(bottom - top, right - left) / _BOX
    down = _shares(top, bottom, step, ink.shape[0])
    across = _shares(left, right, step, ink.shape[1])
    cells = (down @ ink @ across.T / step**2).astype(np.float32).astype(np.float64)
    corner = []
    for axis, size in enumerate(cells.shape):
        centre = cells.sum(axis=1 - axis) @ (np.arange(size) + 0.5) / cells.sum()
        corner.append(min(_SIDE - size, max(0, math.floor(_SIDE / 2 - centre + 0.5))))
    (y, x), (height, width) = corner, cells.shape
    greys = np.zeros((_SIDE, _SIDE), np.uint8)
    greys[y : y + height, x : x + width] = np.floor(cells + 0.5)
    return greys


def _shares(start: int, stop: int, step: float, length: int) -> np.ndarray:
    """Return how much of each pixel lies in each cell of ``step`` pixels: [cells, length]."""
    cells = math.ceil((stop - start) / step - 1e-9)
    starts = start + np.arange(cells)[:, None] * step
    stops = np.minimum(starts + step, stop)
    pixels = np.arange(length)
    return np.clip(np.minimum(pixels + 1, stops) - np.maximum(pixels, starts), 0, None)
