"""Fifteen kinds of photo of a handwritten digit, made of test images of MNIST."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 640, 480
SIZE = 400  # of an image of MNIST in it, of which the digit fills 20 of 28 pixels

Chance = np.random.Generator
Shade = tuple[int, int, int]
WHITE, BLACK = (245, 245, 242), (25, 25, 30)
TABLES = ((92, 62, 40), (20, 20, 22), (120, 118, 115))  # brown, black and grey


def strokes(digit: np.ndarray, size: int = SIZE, wider: int = 0) -> np.ndarray:
    """Return a test image as written with a pen: enlarged, 1 is ink and 0 paper, edges sharp.

    Strokes are ``wider`` by so many pixels, an even number; thinner if it is below 0.
    """
    image = Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC)
    if wider:
        shift = ImageFilter.MaxFilter if wider > 0 else ImageFilter.MinFilter
        image = image.filter(shift(abs(wider) + 1))
    return np.clip(np.asarray(image) / 64 - 1.5, 0, 1)


def blank(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return a sheet without any ink."""
    return np.zeros((height, width))


def write(sheet: np.ndarray, ink: np.ndarray, x: float, y: float) -> None:
    """Put strokes on the sheet, with their middle at x and y."""
    height, width = ink.shape
    left, top = round(x - width / 2), round(y - height / 2)
    part = sheet[top : top + height, left : left + width]
    np.maximum(part, ink, out=part)


def centred(ink: np.ndarray) -> np.ndarray:
    """Return a sheet with the strokes in its middle."""
    sheet = blank()
    write(sheet, ink, WIDTH / 2, HEIGHT / 2)
    return sheet


def coloured(sheet: np.ndarray, paper: Shade = WHITE, pen: Shade = BLACK) -> np.ndarray:
    """Return the sheet in colours, as floats."""
    return np.asarray(paper) + sheet[..., None] * np.subtract(pen, paper)


def picture(colours: np.ndarray) -> Image.Image:
    """Return the picture that a camera takes of it."""
    return Image.fromarray(np.clip(colours, 0, 255).round().astype(np.uint8))


def scan(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Black on white."""
    return picture(coloured(centred(strokes(digit))))


def cropped(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Cut to its ink, which touches all four borders."""
    ink = trimmed(strokes(digit))
    return picture(coloured(ink))


def trimmed(ink: np.ndarray) -> np.ndarray:
    """Return the strokes without the paper around them."""
    rows, columns = np.nonzero(ink > 0.5)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def faint(digit: np.ndarray, chance: Chance) -> Image.Image:
    """A pencil on grey paper."""
    return picture(coloured(centred(strokes(digit)), (175, 175, 172), (115, 115, 118)))


def unevenly_lit(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Light from one side: the far corner gets half of it."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    angle = chance.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y
    light = 0.75 + 0.25 * slope / slope.max()
    return picture(coloured(centred(strokes(digit))) * light[..., None])


def grainy(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Taken in bad light: grain all over, and some specks of dirt."""
    colours = coloured(centred(strokes(digit)), (200, 198, 190), (60, 60, 60))
    for _ in range(5):
        x, y = chance.integers(5, WIDTH - 10), chance.integers(5, HEIGHT - 10)
        colours[y : y + 6, x : x + 6] = 60
    return picture(colours + chance.normal(0, 25, (HEIGHT, WIDTH, 1)))


def blurred(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Out of focus, and saved as JPEG of low quality."""
    image = scan(digit, chance).filter(ImageFilter.GaussianBlur(6))
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=8)))


def on_squares(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Squared paper with light blue lines."""
    colours = coloured(blank())
    first = chance.integers(0, 40)
    for line in (first, first + 1):
        colours[line::40] = colours[:, line::40] = (185, 205, 225)
    ink = centred(strokes(digit))[..., None]
    return picture(colours * (1 - ink) + ink * BLACK)


def in_blue(digit: np.ndarray, chance: Chance) -> Image.Image:
    """A blue pen on yellowish paper."""
    return picture(coloured(centred(strokes(digit)), (238, 228, 196), (40, 70, 190)))


def on_blackboard(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Chalk on a dark green board."""
    return picture(coloured(centred(strokes(digit)), (38, 62, 50), (225, 228, 220)))


def thin(digit: np.ndarray, chance: Chance) -> Image.Image:
    """A fine pen."""
    return picture(coloured(centred(strokes(digit, wider=-12))))


def thick(digit: np.ndarray, chance: Chance) -> Image.Image:
    """A felt pen."""
    return picture(coloured(centred(strokes(digit, wider=12))))


def small(digit: np.ndarray, chance: Chance) -> Image.Image:
    """A small digit anywhere on the paper."""
    sheet = blank()
    reach = 60
    x, y = (chance.uniform(reach, end - reach) for end in (WIDTH, HEIGHT))
    write(sheet, strokes(digit, 2 * reach), x, y)
    return picture(coloured(sheet))


def askew(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Turned by up to 12 degrees."""
    degrees = chance.uniform(-12, 12)
    return scan(digit, chance).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=WHITE)


def with_table(digit: np.ndarray, chance: Chance) -> Image.Image:
    """Paper that does not fill the picture: the table shows at one side or at two."""
    x, y = np.meshgrid(np.arange(WIDTH) - WIDTH / 2, np.arange(HEIGHT) - HEIGHT / 2)
    tilt = np.deg2rad(chance.uniform(-8, 8))
    right = x * np.cos(tilt) + y * np.sin(tilt) > chance.uniform(210, 280)
    below = y * np.cos(tilt) - x * np.sin(tilt) > chance.uniform(160, 200)
    is_table = (right, below, right | below)[chance.integers(3)]
    colours = coloured(centred(strokes(digit, SIZE // 2)))
    colours[np.rot90(is_table, 2) if chance.random() < 0.5 else is_table] = TABLES[
        chance.integers(len(TABLES))
    ]
    return picture(colours)


def two_digits(digit: np.ndarray, other: np.ndarray, chance: Chance) -> Image.Image:
    """The digit near the middle, and another one beside, above or below it."""
    ink, beside = (trimmed(strokes(image, 140)) for image in (digit, other))
    x, y = WIDTH / 2 + chance.uniform(-20, 20), HEIGHT / 2 + chance.uniform(-10, 10)
    gap = chance.uniform(0.2, 0.6) * max(ink.shape)
    sign = chance.choice((-1, 1))
    height, width = np.add(ink.shape, beside.shape) / 2 + gap
    shift = (0, sign * height) if chance.random() < 0.2 else (sign * width, 0)
    sheet = blank()
    write(sheet, ink, x, y)
    write(sheet, beside, x + shift[0], y + shift[1])
    return picture(coloured(sheet))


_OF_ONE_DIGIT: dict[str, Callable[[np.ndarray, Chance], Image.Image]] = {
    "scan": scan,
    "cropped to the ink": cropped,
    "pencil on grey paper": faint,
    "uneven light": unevenly_lit,
    "grain and dirt": grainy,
    "out of focus, JPEG": blurred,
    "squared paper": on_squares,
    "blue pen": in_blue,
    "chalk on a blackboard": on_blackboard,
    "fine pen": thin,
    "felt pen": thick,
    "small, anywhere": small,
    "askew": askew,
    "the table shows": with_table,
}
TWO_DIGITS = "two digits"
KINDS = (*_OF_ONE_DIGIT, TWO_DIGITS)


def photos_of(kind: str, digits: np.ndarray, seed: int) -> Iterator[Image.Image]:
    """Yield a photo of each digit (uint8 [N, 28, 28]); on that of two it is the middle one."""
    for number, digit in enumerate(digits):
        chance = np.random.default_rng([seed, number])
        if kind == TWO_DIGITS:
            yield two_digits(digit, digits[number - 1], chance)
        else:
            yield _OF_ONE_DIGIT[kind](digit, chance)


def encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    """Return the bytes of the picture's file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
