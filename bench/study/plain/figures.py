"""Draw how well plain networks fit, what they all miss, and what would mend it.

From what ``bench.study.plain.search`` and ``bench.study.plain.misses`` have written.
"""

import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.study.plain.misses import SPLIT
from bench.study.plain.search import load_training_split
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED
from common.support.files import read_json

# Standard deviations of the recipe: up to two, training has shown such images; six is its end.
LIMITS = (2, 3, 6)
COLUMNS = 9

Row = dict[str, Any]


def main() -> int:
    """Read the rows, and write the page."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--search", type=Path, default="bench/results/plain_search.json", help="the runs")
    flag("--misses", type=Path, default="bench/results/plain_misses.json", help="the images' rows")
    flag("--output", type=Path, default="docs/plain_network.png", help="the page")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    runs = read_json(args.search, required=("runs",))["runs"]
    rows = read_json(args.misses, required=("rows",))["rows"]
    val = load_training_split(args.data_dir, SPLIT).val
    draw(runs, rows, val.images[[row["place"] for row in rows]], args.output)
    return ALL_PASSED


def draw(runs: list[Row], rows: list[Row], images: np.ndarray, path: Path) -> None:
    """Write the page as PNG.

    Parameters
    ----------
    runs : list of dict
        Of ``bench.study.plain.search``; those of different widths and epochs are drawn.
    rows : list of dict
        Of ``bench.study.plain.misses``, one for each of the images.
    images : np.ndarray
        uint8 [N, 28, 28].
    path : Path
    """
    lines = -(-len(images) // COLUMNS)
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.grid": True}):
        figure = Figure(figsize=(11, 3.4 + 1.6 * lines), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[3.4, 1.6 * lines])
        on_distorted, as_they_are, mended = above.subplots(1, 3)
        draw_fit(on_distorted, runs, ("train_distorted", "val_distorted"), "Distorted images")
        draw_fit(as_they_are, runs, ("train", "val"), "Images as they are")
        draw_mended(mended, rows)
        draw_gallery(list(below.subplots(lines, COLUMNS, squeeze=False).flat), rows, images)
        below.suptitle(f"The {len(images)} validation images that every network misses")
        figure.savefig(path, dpi=110)


def draw_fit(axes: Axes, runs: list[Row], sets: tuple[str, str], title: str) -> None:
    """Draw the error on training and on validation images by epochs, a colour for each width."""
    fit = [run for run in runs if set(run["recipe"]) <= {"hidden_sizes", "epochs"}]
    fit = [run for run in fit if (run["split"], run["seed"]) == (0, 0)]
    widths = sorted({run["recipe"].get("hidden_sizes", [1024])[0] for run in fit})
    for colour, width in enumerate(widths):
        points = sorted(
            (run["recipe"].get("epochs", 20), *(100 - run["accuracies"][name] for name in sets))
            for run in fit
            if run["recipe"].get("hidden_sizes", [1024])[0] == width
        )
        epochs, train, val = zip(*points, strict=True)
        axes.plot(epochs, train, "--", color=f"C{colour}")
        axes.plot(epochs, val, "o-", color=f"C{colour}", label=f"first layer of {width:,}")
    axes.plot([], [], "k--", label="training images")
    axes.plot([], [], "ko-", label="validation images")
    ticks = sorted({run["recipe"].get("epochs", 20) for run in fit})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set(title=title, xlabel="epochs", ylabel="missed, %")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7)


def draw_mended(axes: Axes, rows: list[Row]) -> None:
    """Draw how many images each way of changing them mends, by how large the change has to be."""
    ways = list(rows[0]["changes"])[::-1]
    for limit, colour in zip(LIMITS[::-1], ("0.85", "0.65", "C0"), strict=True):
        counts = [sum((row["changes"][way] or math.inf) <= limit for row in rows) for way in ways]
        axes.barh(ways, counts, color=colour, label=f"up to {limit}")
    axes.grid(visible=False, axis="y")
    axes.set(title="What mends them", xlabel="images")
    axes.set_xlim(0, len(rows))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=7, title="standard deviations", title_fontsize=7)


def draw_gallery(cells: list[Axes], rows: list[Row], images: np.ndarray) -> None:
    """Draw each image, with its label, the networks' answer and the smallest change that mends."""
    for axes in cells:
        axes.axis("off")
    for axes, row, image in zip(cells, rows, images, strict=False):
        axes.imshow(image, cmap="gray_r")
        amounts = {way: amount for way, amount in row["changes"].items() if amount is not None}
        best = min(amounts, key=amounts.__getitem__, default=None)
        mends = f"{best} {amounts[best]:g}" if best else "nothing mends it"
        axes.set_title(f"{row['target']}, not {row['answer']}\n{mends}", fontsize=8)


if __name__ == "__main__":
    run_script(main)
