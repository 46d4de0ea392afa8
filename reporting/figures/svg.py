"""matplotlib figures as SVG that follows the page around it.

Text takes the page's font. Colours are attributes, those of the light page, so that a notebook or a
program that knows no CSS variables shows them. The page's style sheet overrides each by a variable,
so that one figure is right in a light and in a dark page.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import cycle, pairwise
from typing import Any, cast

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.support.text import terminal_safe

# The colours of the light page. None is black, for which matplotlib writes no fill.
INK, MUTED, GRID, ERROR, PAGE = "#1b1f24", "#59636e", "#dfe3e8", "#c0362c", "#ffffff"
SERIES = ("#0b62b8", "#b3530b", "#1a7f4b", "#8a3fb0", "#0b7285", "#b4236b")
# The variable of templates/report.css for each.
CSS_VARIABLES = {
    **{INK: "--ink", MUTED: "--muted", GRID: "--grid", ERROR: "--error", PAGE: "--page"},
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}

# Of a heatmap, from fewest to most: a series' colour, and how opaque it is.
SHADES = (
    *(f"{SERIES[0]}{alpha}" for alpha in ("80", "54", "29")),
    *(f"{SERIES[1]}{alpha}" for alpha in ("29", "54", "80")),
)

Row = dict[str, Any]
Style = dict[str, Any]  # keywords of matplotlib

# A run has the same colour and the same mark in every figure, so that neither is needed alone. More
# runs than there are marks share them. Beside each mark the character that looks like it.
MARKS = {
    **{"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚"},
    **{"X": "✖", "*": "★", "<": "◀", ">": "▶", "p": "⬟", "h": "⬢"},
}
STYLES = [
    {"color": colour, "marker": marker}
    for colour, marker in zip(cycle(SERIES), MARKS, strict=False)
]

# Classes whose names have room along an axis, and whose confusions make a table of a page's width.
MAX_NAMED = 20

_TICK_WIDTH = 14

# Characters, of which a line of a legend has room for so many, and a figure beside its lines.
_LEGEND_WIDTH = 52
_MAX_AT_END = 12

# Names that have room beside the ends of lines; and inches from one to the next, in a figure whose
# axes are three quarters as high as it is.
_MAX_AT_ENDS = 6
_LINE_HEIGHT = 0.17 / 0.75

# An inch has 72 units. The page shows a figure at least as many pixels wide as it has units
# (.figures in templates/report.css), so that no text in it is smaller than its font size in pixels.
_WIDTH = 4.4  # inches

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "path.simplify": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "mnist",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollar signs is no formula
    "xtick.bottom": False,  # grid lines say where a number belongs
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.left": False,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}

# What matplotlib writes and an inline figure does not need.
_SVG_CLEANUP = (
    (r"^.*?(?=<svg)", ""),  # XML declaration and document type
    (r"<defs>\s*<style.*?</style>\s*</defs>", ""),  # would apply to the whole page
    (r"font-family: [^;\"]*;? ?", ""),  # the page's font is used
    (r" transform=\"rotate\(-0 [^)]*\)\"", ""),
    (r"<path d=\"[^\"]*\"( clip-path=\"[^\"]*\")? style=\"fill: none\"/>|<g/>", ""),  # invisible
    (r"(\d+\.\d\d)\d+", r"\1"),  # hundredths of a point
    (r"\s*\n\s*", "\n"),
)


@contextmanager
def new_axes(height: float) -> Iterator[Axes]:
    """Give the axes of a new figure, ``height`` inches high, in the report's style."""
    # Without pyplot: its figures outlive an error, and its backend is the notebook's own matter.
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield Figure(figsize=(_WIDTH, height), layout="constrained").subplots()


def with_styles(values: dict[str, Any]) -> Iterator[tuple[str, Any, Style]]:
    """Yield each name and value with its colour and mark, as keywords of matplotlib."""
    for (name, value), style in zip(values.items(), cycle(STYLES), strict=False):
        yield name, value, style


def label_text(text: str) -> str:
    """Return ``text`` for a label: escaped, and "(blank)" if nothing of it could be seen."""
    return terminal_safe(text) if text.strip() else "(blank)"


def short(name: str) -> str:
    """Return a folder's name in a length that leaves room for the figure."""
    text = _shorten(label_text(name), 24)
    # matplotlib leaves out of a legend what begins like this.
    return f" {text}" if text.startswith("_") else text


def _shorten(text: str, limit: int) -> str:
    """Return ``text`` cut in the middle, where names differ least, which becomes an ellipsis."""
    head = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[:head]}…{text[head + 1 - limit :]}"


def with_intervals(
    axes: Axes,
    places: Sequence[float],
    rows: Sequence[Row],
    sideways: bool = False,
    **style: object,
) -> None:
    """Draw each row's accuracy above its place, or sideways beside it, with its 95 % interval."""
    accuracy = np.array([row["accuracy"] for row in rows])
    whiskers = np.abs(np.array([row["accuracy_ci95"] for row in rows]).T - accuracy)
    if sideways:
        axes.errorbar(accuracy, places, xerr=whiskers, **cast(Style, style))
    else:
        axes.errorbar(places, accuracy, yerr=whiskers, **cast(Style, style))


def legend_above(axes: Axes, left: float = -0.1) -> None:
    """Put the legend above the axes, in as many columns as the longest name has room for.

    It begins at ``left``, in widths of the axes: above the names of the ticks, if these are long.
    """
    labels = axes.get_legend_handles_labels()[1]
    columns = max(1, _LEGEND_WIDTH // (7 + max(map(len, labels), default=0)))
    axes.legend(loc="lower left", bbox_to_anchor=(left, 1), ncols=min(columns, len(labels) or 1))


def label_ends(axes: Axes, ends: dict[str, float]) -> None:
    """Write each line's name beside its end, in its colour; without the room, add a legend above.

    ``ends`` has the value at which the line of each run ends. Names whose lines end close together
    are moved apart. The limits and the scale of the axis have to be set before.
    """
    names = [short(name) for name in ends]
    if len(names) > _MAX_AT_ENDS or max(map(len, names)) > _MAX_AT_END:
        legend_above(axes)
        return
    axes.autoscale_view()  # matplotlib would do it only when it draws
    to_height = axes.transData + axes.transAxes.inverted()
    heights = [to_height.transform((0, value))[1] for value in ends.values()]
    places = _moved_apart(heights, _LINE_HEIGHT / cast(Figure, axes.figure).get_figheight())
    for name, height, (_, _, style) in zip(names, places, with_styles(ends), strict=True):
        axes.text(1.03, height, name, color=style["color"], va="center", transform=axes.transAxes)


def _moved_apart(heights: list[float], gap: float) -> list[float]:
    """Return the heights, in their order, at least ``gap`` apart and moved as little as need be."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = list(heights)
    for lower, upper in pairwise(order):
        moved[upper] = max(moved[upper], moved[lower] + gap)
    too_high = max(0, moved[order[-1]] - 1)
    moved[order[-1]] -= too_high
    for upper, lower in pairwise(reversed(order)):
        moved[lower] = min(moved[lower], moved[upper] - gap)
    return moved


def tick_name(label: str) -> str:
    """Return a class's name in a length that leaves room for the figure."""
    return _shorten(label_text(label), _TICK_WIDTH)


def name_ticks(axes: Axes, labels: Sequence[str], offset: float = 0) -> None:
    """Write the classes' names along the x axis, or every n-th if there are many.

    The first stands at ``offset``.
    """
    every = -(-len(labels) // MAX_NAMED)
    names = [tick_name(label) for label in labels[::every]]
    axes.set_xticks(np.arange(0, len(labels), every) + offset, names)
    if max(map(len, names)) > 3:
        axes.tick_params("x", rotation=40)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")


def count_axis(axis: Axis) -> None:
    """Put ticks of an axis at whole numbers."""
    axis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1)
    )


# Stands for a text while the tags around it are changed; no SVG holds this character.
_TEXT = "\ue000"


def render(axes: Axes, description: str) -> Markup:
    """Return the figure as an SVG element for a page, named by ``description``."""
    buffer = io.StringIO()
    cast(Figure, axes.figure).savefig(
        buffer,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    # Texts hold names, which no pattern may change.
    text = re.compile(r"(?<=>)[^<>]+(?=</text>)")
    texts = [escape(label_text(description)), *text.findall(buffer.getvalue())]
    svg = text.sub(_TEXT, buffer.getvalue())
    for pattern, replacement in _SVG_CLEANUP:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    svg = re.sub(
        r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>",
        # No width and height: the page's style sheet decides.
        rf'<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="\1" '
        rf'role="img" aria-label="{_TEXT}">',
        svg,
        count=1,
    )
    svg = re.sub(r' style="([^"]*)"', _with_colours_as_attributes, svg)
    # Ids that nothing refers to go, and the others differ from those of other figures.
    referred = "|".join(set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)))
    svg = re.sub(rf' id="(?!(?:{referred})")[^"]+"', "", svg)
    prefix = hashlib.sha256(description.encode("utf-8", "replace")).hexdigest()[:6]
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg).replace("xlink:href", "href")
    return Markup(re.sub(_TEXT, lambda _: texts.pop(0), svg.strip()))


def _with_colours_as_attributes(style: re.Match[str]) -> str:
    colours = re.findall(r"(fill|stroke): (#[0-9a-f]{6})", style[1])
    others = re.sub(r"(?:fill|stroke): #[0-9a-f]{6}(?:; )?", "", style[1]).removesuffix("; ")
    attributes = "".join(f' {name}="{colour}"' for name, colour in colours)
    return attributes + (f' style="{others}"' if others else "")
