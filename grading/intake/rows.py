"""The rows of an evaluation: one a submission or run."""

import functools
from collections import defaultdict

from evaluations.rows import Row

# Two submissions should have neither the same bytes nor the same answer to every image.
_FINGERPRINTS = ("sha256", "predictions_sha256")
_DUPLICATES_NAMED = 5

WALLS = ("none", "process", "bubblewrap")  # isolations, the weakest first


def mark_duplicates(rows: list[Row]) -> None:
    """Mark in each row the others with the same bytes or the same predictions; verdicts stay.

    ``duplicates`` is how many there are, ``duplicate_of`` the names of the first of them: all names
    would fill gigabytes when a whole class hands in one file.
    """
    same: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for key in _FINGERPRINTS:
            if row.get(key):
                same[row[key]].add(row["name"])

    @functools.cache
    def names(*fingerprints: str | None) -> list[str]:
        return sorted({name for value in fingerprints if value for name in same[value]})

    for row in rows:
        twins = names(*(row.get(key) for key in _FINGERPRINTS))
        row["duplicates"] = max(0, len(twins) - 1)
        first = [name for name in twins[: _DUPLICATES_NAMED + 1] if name != row["name"]]
        row["duplicate_of"] = first[:_DUPLICATES_NAMED]


def assign_ranks(rows: list[Row], shown: list[Row]) -> None:
    """Rank graded rows by accuracy; equal rows share a rank, and the next is left out.

    ``shown`` are the same rows as they are shown: on a private test set ranks tell no more.
    """
    scores = sorted(row["accuracy"] for row in shown if row["status"] != "error")
    ranks = {score: rank for rank, score in zip(range(len(scores), 0, -1), scores, strict=True)}
    for row, seen in zip(rows, shown, strict=True):
        row["rank"] = ranks[seen["accuracy"]] if row["status"] != "error" else None


def isolation_of(rows: list[Row]) -> str | None:
    """Return the weakest isolation that a row was measured under; None if no file was read."""
    found = {row["isolation"] for row in rows if "isolation" in row}
    return min(found, key=WALLS.index, default=None)
