"""Images as points on a plane, by what a network makes of them. Data in, SVG text out."""

from collections.abc import Sequence
from html import escape

import numpy as np
from markupsafe import Markup

from reporting.figures.svg import SERIES, Row, tick_name

_SIZE = 200  # units of the figure's side
_SCALE = 65  # units from its middle to the circle of the classes


def plane(points: Sequence[Row], labels: Sequence[str], name: str) -> Markup:
    """Draw images as points, a colour a class, and those that were taken for another as crosses.

    ``points`` are those of ``own_runs.inspection``: x, y, true and predicted class.
    """
    # An odd number of colours, so that neighbours on the circle differ.
    colours = SERIES[:5]
    parts, wrong = [], sum(point["true"] != point["predicted"] for point in points)
    for label, title in enumerate(labels):
        own = [point for point in points if point["true"] == label]
        if not own:
            continue
        colour = colours[label % len(colours)]
        right = "".join(f"M{_at(p)}h0" for p in own if p["predicted"] == label)
        missed = "".join(f"M{_at(p)}m-2-2l4 4m0-4l-4 4" for p in own if p["predicted"] != label)
        middle = np.mean([(p["x"], p["y"]) for p in own], axis=0)
        outside = middle / max(0.1, float(np.hypot(*middle))) * 1.43
        x, y = (f"{_SIZE / 2 + _SCALE * value:.0f}" for value in (outside[0], -outside[1]))
        parts.append(
            f'<g stroke="{colour}" fill="none"><path d="{right}" stroke-width="2.5" '
            f'stroke-linecap="round" stroke-opacity=".6"/><path d="{missed}" stroke-width="1"/></g>'
            f'<text x="{x}" y="{y}" fill="{colour}">{escape(tick_name(title))}</text>'
        )
    told = (
        f"{len(points)} test images by the last hidden layer of {name}, a circle of "
        f"{len(labels)} groups; {wrong} of them taken for another class."
    )
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure plane" viewBox="0 0 {_SIZE} '
        f'{_SIZE}" role="img" aria-label="{escape(told)}" text-anchor="middle" '
        f'dominant-baseline="middle" font-size="14">{"".join(parts)}</svg>'
    )


def _at(point: Row) -> str:
    # Far away points stay in the picture.
    x, y = np.clip((point["x"], -point["y"]), -1.35, 1.35) * _SCALE + _SIZE / 2
    return f"{x:.1f} {y:.1f}"
