"""Submissions of every kind, honest and hostile, and the row that each must get.

Each module fills a folder and returns, by the row's name, the status (or several) and a part of
the reason (or several, separated by bars).
"""

import io
import zipfile

import torch

SEED = 7

# Test images, of those that there are: enough for several batches, and few, since rows are many.
NUM_IMAGES = 2_000


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def with_members(archive, changes):
    """Return a zip file with members replaced or added, by their name in the archive's folder."""
    changes = dict(changes)
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(result, "w") as new:
        prefix = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            new.writestr(name, changes.pop(name.partition("/")[2], None) or old.read(name))
        for name, content in changes.items():
            new.writestr(f"{prefix}/{name}", content)
    return result.getvalue()
