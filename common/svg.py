"""matplotlib figures as SVG that follows the page around it.

Text takes the page's font, and colours are CSS variables, so that one figure is right in a light
and in a dark page. matplotlib knows no CSS variables: it draws with marker colours, which stand for
them and are replaced in its output.
"""

import hashlib
import io
import re
from html import escape

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

# Marker colours. None is black, for which matplotlib writes no fill.
INK, MUTED, GRID, ERROR = "#010203", "#020304", "#030405", "#040506"
SERIES = ("#050607", "#060708", "#070809", "#08090a")
_CSS_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    ERROR: "--error",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}

# What a figure is drawn with: plt.rc_context(STYLE).
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "path.simplify": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "mnist",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollar signs is no formula
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}

# What matplotlib writes and an inline figure does not need.
_SVG_CLEANUP = (
    (r"^.*?(?=<svg)", ""),  # XML declaration and document type
    (r"<defs>\s*<style.*?</style>\s*</defs>", ""),  # would apply to the whole page
    (r"<metadata>.*?</metadata>|<!--.*?-->", ""),
    (r"font-family: [^;\"]*;? ?", ""),  # the page's font is used
    (r" transform=\"rotate\(-0 [^)]*\)\"", ""),
    (r"<path d=\"[^\"]*\"( clip-path=\"[^\"]*\")? style=\"fill: none\"/>|<g/>", ""),  # invisible
    (r"(\d+\.\d\d)\d+(?=[^<>]*>)", r"\1"),  # hundredths of a point, in tags and not in text
    (r"\s*\n\s*", "\n"),
)


def render(figure: Figure, description: str) -> str:
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
    for pattern, replacement in _SVG_CLEANUP:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    for colour, variable in _CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = _unique_ids(svg, prefix=hashlib.sha256(description.encode()).hexdigest()[:6])
    return re.sub(
        r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>", _svg_tag(description), svg, count=1
    ).strip()


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
