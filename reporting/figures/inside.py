"""Pictures of what a network computes with: signed pixels, and images as points on a plane."""

import io
from collections.abc import Sequence
from html import escape

import matplotlib
import numpy as np
from markupsafe import Markup
from PIL import Image

from reporting.figures.svg import CSS_VARIABLES, SERIES, Row, tick_name

_LEVELS = 15
_SIZE = 400  # units of the figure's side
_SCALE = 130  # units from its middle to the circle of the classes


def signed_png(pixels: np.ndarray) -> bytes:
    """Return pixels (uint8 [side, side], 128 is 0) as a PNG: blue below 0, orange above."""
    levels = np.round((pixels.astype(float) - 1) / 254 * (_LEVELS - 1)).astype(np.uint8)
    colours = matplotlib.colormaps["PuOr_r"](np.linspace(0, 1, _LEVELS), bytes=True)[:, :3]
    return _palette_png(Image.fromarray(levels), colours.tobytes())


def overlay_png(image: np.ndarray, signed: np.ndarray) -> bytes:
    """Return a digit (uint8 [side, side]) in grey ink, tinted by signed pixels of its size."""
    ink = 255 - 0.55 * image.astype(float)
    tint = (signed.astype(float) - 128) / 127
    towards = np.where(tint[..., None] > 0, (230, 97, 1), (46, 80, 180))
    strength = np.abs(tint[..., None]) ** 0.7 * 0.8
    rgb = ink[..., None] * (1 - strength) + towards * strength
    picture = Image.fromarray(rgb.round().astype(np.uint8)).quantize(16)
    return _palette_png(picture, bytes(picture.getpalette() or []))


def _palette_png(levels: Image.Image, palette: bytes) -> bytes:
    picture = Image.fromarray(np.asarray(levels), mode="P")
    picture.putpalette(palette)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", bits=4, optimize=True)
    return buffer.getvalue()


def plane(points: Sequence[Row], labels: Sequence[str], name: str) -> Markup:
    """Draw images as points, a colour a class, and those that were taken for another as crosses.

    ``points`` are those of ``common.inspection``: x, y, true and predicted class.
    """
    # An odd number of colours, so that neighbours on the circle differ.
    colours = [f"var({', '.join(CSS_VARIABLES[marker])})" for marker in SERIES[:5]]
    parts, wrong = [], sum(point["true"] != point["predicted"] for point in points)
    for label, title in enumerate(labels):
        own = [point for point in points if point["true"] == label]
        if not own:
            continue
        colour = colours[label % len(colours)]
        right = "".join(f"M{_at(p)}h0" for p in own if p["predicted"] == label)
        missed = "".join(f"M{_at(p)}m-4-4l8 8m0-8l-8 8" for p in own if p["predicted"] != label)
        middle = np.mean([(p["x"], p["y"]) for p in own], axis=0)
        outside = middle / max(0.1, float(np.hypot(*middle))) * 1.43
        x, y = (f"{_SIZE / 2 + _SCALE * value:.0f}" for value in (outside[0], -outside[1]))
        parts.append(
            f'<g stroke="{colour}" fill="none"><path d="{right}" stroke-width="5" '
            f'stroke-linecap="round" stroke-opacity=".6"/><path d="{missed}" stroke-width="2"/></g>'
            f'<text x="{x}" y="{y}" fill="{colour}">{escape(tick_name(title))}</text>'
        )
    told = (
        f"{len(points)} test images by the last hidden layer of {name}, a circle of "
        f"{len(labels)} groups; {wrong} of them taken for another class."
    )
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure plane" viewBox="0 0 {_SIZE} '
        f'{_SIZE}" role="img" aria-label="{escape(told)}" text-anchor="middle" '
        f'dominant-baseline="middle" font-size="15" font-weight="bold">{"".join(parts)}</svg>'
    )


def _at(point: Row) -> str:
    # Far away points stay in the picture.
    x, y = np.clip((point["x"], -point["y"]), -1.35, 1.35) * _SCALE + _SIZE / 2
    return f"{x:.0f} {y:.0f}"
