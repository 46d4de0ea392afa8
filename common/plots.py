"""The report's figures: data in, SVG text out. Each works from a notebook as well.

The SVG follows the page around it: text takes the page's font, and colours are CSS variables, so
that one figure is right in a light and in a dark page. matplotlib knows no CSS variables; it draws
with marker colours that stand for them and are replaced in its output.
"""

import hashlib
import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure

from common.history import PublishedResult

# Marker colour -> CSS variable of the page. Not black: matplotlib writes no fill for pure black.
_INK, _MUTED, _GRID, _ERROR = "#010203", "#020304", "#030405", "#040506"
_SERIES = ("#050607", "#060708", "#070809", "#08090a")
_CSS_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--grid",
    _ERROR: "--error",
    **{colour: f"--series-{number}" for number, colour in enumerate(_SERIES, start=1)},
}
_MARKERS = ("o", "s", "^", "D")

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": _MUTED,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "path.simplify": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "mnist",
    "text.color": _INK,
    "xtick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.color": _MUTED,
    "ytick.labelcolor": _INK,
}
# Narrow enough that the text stays readable on a telephone, where the page scales the figure.
_WIDTH = 4.6  # inches

History = list[dict[str, Any]]


def learning_curves(histories: dict[str, History], quantity: str, label: str) -> str:
    """Draw loss or accuracy against the epoch, training dashed and validation solid.

    Parameters
    ----------
    histories : dict
        ``history`` of ``metrics.json``, by the run's name.
    quantity : "loss" or "accuracy"
        Rows hold it as ``train_<quantity>`` and ``val_<quantity>``.
    label : str
        Of the vertical axis.
    """
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 3.0), layout="constrained")
        for (name, history), colour in zip(histories.items(), _cycle(_SERIES), strict=False):
            epochs = [row["epoch"] for row in history]
            for part, line in (("train", "--"), ("val", "-")):
                values = [row[f"{part}_{quantity}"] for row in history]
                if None not in values:
                    mark = "." if len(epochs) == 1 else ""
                    word = "training" if part == "train" else "validation"
                    axes.plot(
                        epochs, values, line, marker=mark, color=colour, label=f"{name}, {word}"
                    )
        _epoch_axis(axes, label)
        axes.legend()
        return _svg(figure, f"{label} of {', '.join(histories)} after each epoch")


def learning_rates(histories: dict[str, History]) -> str:
    """Draw the learning rate of each epoch's last step, on a logarithmic axis."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 3.0), layout="constrained")
        for (name, history), colour, marker in zip(
            histories.items(), _cycle(_SERIES), _cycle(_MARKERS), strict=False
        ):
            axes.plot(
                [row["epoch"] for row in history],
                [row["learning_rate"] for row in history],
                marker=marker,
                markersize=3,
                color=colour,
                label=name,
            )
        axes.set_yscale("log")
        _epoch_axis(axes, "learning rate")
        axes.legend()
        return _svg(figure, f"Learning rate of {', '.join(histories)} at the end of each epoch")


def per_class_accuracy(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Draw each digit's accuracy as a dot with its 95 % interval, one colour and mark a run.

    Parameters
    ----------
    rows : dict
        ``per_class`` of the evaluation, by the run's name. Classes without images are left out.
    """
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 3.2), layout="constrained")
        for position, ((name, per_class), colour, marker) in enumerate(
            zip(rows.items(), _cycle(_SERIES), _cycle(_MARKERS), strict=False)
        ):
            known = [row for row in per_class if row["accuracy"] is not None]
            accuracy = np.array([row["accuracy"] for row in known])
            ends = np.array([row["accuracy_ci95"] for row in known])
            axes.errorbar(
                [row["digit"] + 0.26 * (position - (len(rows) - 1) / 2) for row in known],
                accuracy,
                yerr=np.abs(ends.T - accuracy),
                fmt=marker,
                color=colour,
                elinewidth=1,
                label=name,
            )
        axes.set_xticks(range(10))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("digit")
        axes.set_ylabel("accuracy, %")
        axes.legend(ncols=len(rows), loc="lower left")
        return _svg(figure, f"Accuracy of {', '.join(rows)} for each digit, with 95 % intervals")


def confusion_heatmap(matrix: Sequence[Sequence[int]], name: str) -> str:
    """Draw a confusion matrix in which the errors show: only they are coloured.

    The thousands of right answers would leave every error in one pale shade, so the diagonal is a
    neutral grey and the scale belongs to the other cells; empty ones stay without a number.
    """
    counts = np.asarray(matrix)
    diagonal = np.eye(len(counts), dtype=bool)
    errors = np.where(diagonal, 0, counts)
    labels = np.where(counts > 0, counts.astype(str), "")
    with plt.rc_context({**_STYLE, "axes.grid": False}):
        figure, axes = plt.subplots(figsize=(_WIDTH, 4.3), layout="constrained")
        shared = {"ax": axes, "fmt": "", "square": True, "cbar": False, "linewidths": 0}
        sns.heatmap(
            errors,
            mask=diagonal,
            annot=labels,
            annot_kws={"color": _INK, "size": 8},
            cmap=_shades(_ERROR, 0.75),
            vmin=0,
            vmax=max(1, errors.max()),
            **shared,
        )
        sns.heatmap(
            counts,
            mask=~diagonal,
            annot=labels,
            annot_kws={"color": _INK, "size": 7},
            cmap=ListedColormap([(*to_rgb(_MUTED), 0.18)]),
            **shared,
        )
        axes.set_xlabel("answer")
        axes.set_ylabel("truth")
        axes.tick_params(length=0)
        return _svg(figure, f"Confusion matrix of {name}: rows are the truth, columns the answer")


def compare_with_published(
    published: Sequence[PublishedResult], own: dict[str, dict[str, Any]]
) -> str:
    """Draw test errors on a logarithmic axis: published ones, and one's own with 95 % intervals.

    Parameters
    ----------
    published : sequence of PublishedResult
    own : dict
        Rows of the evaluation, by the run's name.
    """
    labels = [f"{result.label}, {result.year}" for result in published] + list(own)
    places = range(len(labels), 0, -1)
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(
            figsize=(_WIDTH, 0.9 + 0.36 * len(labels)), layout="constrained"
        )
        axes.plot(
            [result.error for result in published], places[: len(published)], "D", color=_MUTED
        )
        for row, place, colour, marker in zip(
            own.values(), places[len(published) :], _cycle(_SERIES), _cycle(_MARKERS), strict=False
        ):
            # An error of 0 has no place on a logarithmic axis; its interval still shows.
            low, high = (max(100 - end, 0.01) for end in reversed(row["accuracy_ci95"]))
            error = max(100 - row["accuracy"], 0.01)
            axes.errorbar(
                error, place, xerr=[[error - low], [high - error]], fmt=marker, color=colour
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_yticks(places, labels)
        axes.set_ylim(0.4, len(labels) + 0.6)
        axes.set_xlabel("error on the test images, % (better to the left)")
        return _svg(figure, "Test error of published classifiers and of the runs of this report")


def digit_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [28, 28], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    # Without metadata: matplotlib would write its version, and the page should not depend on it.
    plt.imsave(
        buffer, image, cmap="gray_r", vmin=0, vmax=255, format="png", metadata={"Software": None}
    )
    return buffer.getvalue()


def _cycle(values: Sequence[str]) -> list[str]:
    # More runs than colours is unusual; marks and labels still tell them apart.
    return list(values) * 8


def _epoch_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _shades(colour: str, strongest: float) -> ListedColormap:
    """Return one colour in rising opacity, which works on a light and on a dark page."""
    return ListedColormap([(*to_rgb(colour), strongest * step / 99) for step in range(100)])


def _svg(figure: Figure, description: str) -> str:
    """Render ``figure`` as an SVG element to be put into a page, named by ``description``."""
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    plt.close(figure)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # matplotlib's style element would apply to the whole page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    for colour, variable in _CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"font: (\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \1px", svg)
    svg = _unique_ids(svg, prefix=hashlib.sha256(description.encode()).hexdigest()[:6])
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _svg_tag(description), svg, count=1)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def _svg_tag(description: str) -> str:
    # No width and height: the page's style sheet decides.
    label = escape(description).replace("\\", r"\\")
    return rf'<svg class="figure" viewBox="\1" role="img" aria-label="{label}">'


def _unique_ids(svg: str, prefix: str) -> str:
    """Drop ids that nothing refers to, and make the others differ from other figures' ids."""
    referred = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def rename(match: re.Match[str]) -> str:
        return f' id="{prefix}-{match[1]}"' if match[1] in referred else ""

    svg = re.sub(r' id="([^"]+)"', rename, svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg).replace("xlink:href", "href")


matplotlib.use("svg")
