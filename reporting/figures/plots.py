"""Figures of confidence, and images as PNG. Data in, SVG text out."""

import io
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import image as matplotlib_image

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


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    metadata: Any = {"Software": None}  # the page should not depend on matplotlib's version
    style: Any = {"cmap": "gray_r", "vmin": 0, "vmax": 255}
    matplotlib_image.imsave(buffer, image, format="png", metadata=metadata, **style)
    return buffer.getvalue()
