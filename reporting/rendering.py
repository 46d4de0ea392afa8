"""Templates filled with a page's variables, and the filters that they use."""

import base64
import functools
import io
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib import image as matplotlib_image

import common
from common.data.pixels import decode_pixels
from common.support.text import accuracy_text, terminal_safe
from reporting.figures import inside
from reporting.figures.svg import label_text
from reporting.terminal import remarks

TEMPLATES = Path(common.__path__[0]).parent / "templates"

# A no-break space keeps a number and its unit on one line.
_NBSP = "\N{NO-BREAK SPACE}"
_PERCENT = f"{{:.2f}}{_NBSP}%"


Row = dict[str, Any]


class Section(NamedTuple):
    """A part of the page: ``templates/sections/<name>.html`` under a heading."""

    name: str
    title: str
    needs: str  # the variable of the page that has to hold something for it to be shown


@functools.cache
def _template(name: str) -> Template:
    """Return a template, with the filters that it uses."""
    # Every string of a file is a stranger's: autoescape is on, and only our own SVG is Markup.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    return environment.get_template(name)


def render(name: str, page: Row, sections: Sequence[Section] = ()) -> str:
    """Return a template filled with a page's variables, with the sections that need no others."""
    shown = [section for section in sections if page[section.needs]]
    return _template(name).render(page, sections=shown)


def command_text(words: list[str]) -> str:
    """Return a script's name and arguments as a line to put into a shell."""
    return terminal_safe(shlex.join(["python", *words]))


def _points(value: float) -> str:
    # What is not 0 is not shown as 0.00.
    shown = f"{value:.2f}" if value == 0 or abs(value) >= 0.005 else f"{value:.1g}"
    return f"{shown}{_NBSP}points"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}{_NBSP}min {rest:02d}{_NBSP}s" if minutes else f"{seconds:.1f}{_NBSP}s"


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    metadata: Any = {"Software": None}  # the page should not depend on matplotlib's version
    style: Any = {"cmap": "gray_r", "vmin": 0, "vmax": 255}
    matplotlib_image.imsave(buffer, image, format="png", metadata=metadata, **style)
    return buffer.getvalue()


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


# The filters that the templates use.
_FILTERS = {
    "percent": _PERCENT.format,
    "accuracy": lambda row, threshold: f"{accuracy_text(row['accuracy'], threshold)}{_NBSP}%",
    # Rounded down, so that only certainty is called 100 %.
    "sure": lambda probability: _PERCENT.format(math.floor(10_000 * probability) / 100),
    "points": _points,
    "signed": lambda value: f"{value:+.3f}".replace("-", "\N{MINUS SIGN}"),
    "interval": "{0[0]:.2f}\N{EN DASH}{0[1]:.2f}".format,
    "duration": _duration,
    "plural": lambda noun: f"{noun}es" if noun.endswith("s") else f"{noun}s",
    "image_uri": lambda pixels: _data_uri(image_png(decode_pixels(pixels))),
    "signed_uri": lambda pixels: _data_uri(inside.signed_png(decode_pixels(pixels))),
    "overlay_uri": lambda error: _data_uri(
        inside.overlay_png(decode_pixels(error["pixels"]), decode_pixels(error["decisive"]))
    ),
    "label": lambda value: label_text(str(value)),
    "remarks": remarks,
}
