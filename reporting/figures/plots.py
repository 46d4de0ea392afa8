"""Figures of confidence and of a class, and images as PNG. Data in, SVG text out."""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import image as matplotlib_image
from matplotlib.axes import Axes

from reporting.figures import svg
from reporting.figures.svg import Row

# Answers in a bin of the reliability diagram, for it to be drawn.
MIN_DRAWN = 10


def reliability_diagram(before: Row, after: Row | None, name: str, style: svg.Style) -> Markup:
    """Draw accuracy against confidence: on the diagonal calibration is perfect.

    Bins of fewer than ``MIN_DRAWN`` answers say nothing, and are left out.

    ``before`` and ``after`` temperature scaling are what ``common.metrics.calibration`` returns.
    """
    alt_text = []
    with svg.new_axes(height=3.4) as axes:
        axes.plot([0, 100], [0, 100], ":", color=svg.MUTED, linewidth=1, label="perfect")
        for measured, label, line in ((before, "as trained", "--"), (after, "scaled", "-")):
            if measured is None:
                continue
            bins = [row for row in measured["reliability"] if row["total"] >= MIN_DRAWN]
            svg.with_intervals(
                axes,
                [row["confidence"] for row in bins],
                bins,
                linestyle=line,
                linewidth=1.2,
                elinewidth=0.8,
                markerfacecolor="none" if measured is before else style["color"],
                label=label,
                **style,
            )
            alt_text.append(f"{measured['expected_calibration_error']:.2f} points {label}")
        axes.set(xlabel="confidence, %", ylabel="accuracy, %", ylim=(-3, 103))
        svg.legend_above(axes)
        told = f"Accuracy of {name} against its confidence. Expected calibration error:"
        return svg.render(axes, f"{told} {', '.join(alt_text)}.")


def accuracy_against_coverage(rows: dict[str, list[Row]]) -> Markup:
    """Draw the accuracy on what is still answered if the least certain images are not.

    ``rows`` has what ``common.metrics.accuracy_at_coverage`` returns, by run.
    """
    alt_text = []
    with svg.new_axes(height=3.4) as axes:
        for name, points, style in svg.with_styles(rows):
            # As many as there were: of few images, 0.5 % can be none.
            left_out = [100 - 100 * point["total"] / points[0]["total"] for point in points]
            accuracy = [point["accuracy"] for point in points]
            axes.plot(left_out, accuracy, label=svg.short(name), **style)
            alt_text.append(
                f"{name} from {accuracy[0]:.2f} % on all images to {accuracy[-1]:.2f} % without "
                f"the {left_out[-1]:g} % that it is least certain of"
            )
        axes.set_xlabel("left unanswered, the least certain first, %")
        axes.set_ylabel("accuracy on the others, %")
        svg.label_ends(axes, {name: points[-1]["accuracy"] for name, points in rows.items()})
        return svg.render(axes, f"Accuracy on what is answered: {'; '.join(alt_text)}.")


def accuracy_distribution(
    accuracies: Sequence[float], threshold: float, marked: float | None = None
) -> Markup:
    """Draw how many submissions reached which accuracy, with the threshold.

    All in percent; there is at least one accuracy. The bar that holds the ``marked`` one stands
    out.
    """
    low = min(math.floor(min(accuracies)), math.floor(threshold))
    edges = np.linspace(low, 100, 26).tolist() if low < 100 else [99.0, 100.0]
    with svg.new_axes(height=2.8) as axes:
        axes.hist(accuracies, bins=edges, color=svg.SERIES[0], rwidth=0.9)
        marks = ""
        if marked is not None:
            _mark_bar(axes, accuracies, edges, marked)
            marks = f" This one has {marked:.2f} %."
        axes.axvline(threshold, color=svg.ERROR, linestyle="--")
        axes.set(xlabel="accuracy, %", ylabel="submissions")
        svg.count_axis(axes.yaxis)
        label = f"threshold {threshold:.12g} %"
        axes.text(threshold, 1.02, label, ha="center", transform=axes.get_xaxis_transform())
        return svg.render(
            axes,
            f"Accuracies of {len(accuracies)} submissions, from {min(accuracies):.2f} to "
            f"{max(accuracies):.2f} %; the threshold is {threshold:.12g} %.{marks}",
        )


def _mark_bar(axes: Axes, accuracies: Sequence[float], edges: list[float], marked: float) -> None:
    """Draw the bar that holds an accuracy once more, in another colour and named."""
    place = min(bisect_right(edges, marked), len(edges) - 1) - 1
    low, high = edges[place : place + 2]
    # The last bar includes its upper end.
    inside = [a for a in accuracies if low <= a < high or a == high == edges[-1]]
    axes.hist(inside, bins=[low, high], color=svg.SERIES[1], rwidth=0.9)
    axes.annotate(
        "this one",
        ((low + high) / 2, len(inside)),
        (0, 4),
        textcoords="offset points",
        ha="center",
        color=svg.SERIES[1],
    )


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    metadata: Any = {"Software": None}  # the page should not depend on matplotlib's version
    style: Any = {"cmap": "gray_r", "vmin": 0, "vmax": 255}
    matplotlib_image.imsave(buffer, image, format="png", metadata=metadata, **style)
    return buffer.getvalue()
