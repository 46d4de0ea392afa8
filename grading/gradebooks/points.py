"""What a submission gets in a gradebook: the one place where points are computed."""

import math

from evaluations.rows import Row
from evaluations.words import accuracy_text


def points(row: Row, threshold: float, maximum: float = 100.0, decimals: int = 9) -> str:
    """Return the points of a graded row, of ``maximum``, with a point and at least two decimals.

    They are on the threshold's side on which the accuracy is (both in percent), if ``decimals``,
    of which there are at most so many, allow it.
    """
    share = maximum / 100
    text = accuracy_text(row["accuracy"] * share, threshold * share)
    if len(text.partition(".")[2]) <= decimals:
        return text
    to_its_side = math.ceil if row["accuracy"] >= threshold else math.floor
    return f"{to_its_side(row['accuracy'] * share * 10**decimals) / 10**decimals:.{decimals}f}"
