"""Templates filled with a page's variables, and the filters that they use."""

import functools
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

import common
from common.support.text import terminal_safe
from evaluations.words import accuracy_words, p_text
from reporting.figures.svg import CSS_VARIABLES, label_text
from reporting.pictures import image_uri, overlay_uri, signed_uri
from reporting.terminal import remarks

TEMPLATES = Path(common.__path__[0]).parent / "templates"

# A no-break space keeps a number and its unit on one line.
_NBSP = "\N{NO-BREAK SPACE}"
_PERCENT = f"{{:.2f}}{_NBSP}%"


Row = dict[str, Any]

# What to type, in the reason why a file is not graded.
_CALL = re.compile(r"\b(?:np|onnx|torch)(?:\.\w+)+\(")


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
    environment.globals["figure_colours"] = CSS_VARIABLES
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


def split_code(reason: str) -> list[tuple[str, bool]]:
    """Return the parts of a reason in their order, and whether each is a call in Python."""
    parts, done = [], 0
    for call in _CALL.finditer(reason):
        if call.start() < done:
            continue  # an argument of the call before
        end, depth = call.end(), 1
        while depth and end < len(reason):
            depth += (reason[end] == "(") - (reason[end] == ")")
            end += 1
        parts += [(reason[done : call.start()], False), (reason[call.start() : end], True)]
        done = end + 2 * reason.startswith("; ", end)  # needless behind a block
    return [*parts, (reason[done:], False)]


# The filters that the templates use.
_FILTERS = {
    "percent": _PERCENT.format,
    "accuracy": lambda row, threshold: accuracy_words(row, threshold).replace(" %", f"{_NBSP}%"),
    # Rounded down, so that only certainty is called 100 %.
    "sure": lambda probability: _PERCENT.format(math.floor(10_000 * probability) / 100),
    "points": _points,
    "signed": lambda value: f"{value:+.3f}".replace("-", "\N{MINUS SIGN}"),
    "interval": "{0[0]:.2f}\N{EN DASH}{0[1]:.2f}".format,
    "duration": _duration,
    "plural": lambda noun: f"{noun}es" if noun.endswith("s") else f"{noun}s",
    "image_uri": image_uri,
    "signed_uri": signed_uri,
    "overlay_uri": overlay_uri,
    "p_value": p_text,
    "split_code": split_code,
    "median": median,
    "label": lambda value: label_text(str(value)),
    "remarks": remarks,
}
