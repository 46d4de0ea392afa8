"""Submitty: submissions/<user>/<version>/<files>; of the active versions alone, without <version>.

Source: Submitty/Submitty, MiscController.php, downloadAssignedZips.
"""

import re
from collections.abc import Sequence

from grading.platforms.back import Back
from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, iso_time, most

_STAMP = ".submit.timestamp"
_OWN = {"user_assignment_settings.json", _STAMP, ".submit.notebook"}
_VERSION = re.compile(r"\d{1,9}", re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    is_marked = any(path[-1] in _OWN for path in paths)
    beside = {"submissions", "results", "checkout"}
    has_top = {path[0] for path in paths} <= beside
    uploads: Uploads = {}
    for path in paths:
        _, *inner = path if has_top else ("", *path)
        has_version = len(inner) > 2 and _VERSION.fullmatch(inner[1]) is not None
        if path[-1] in _OWN or (has_top and path[0] != "submissions"):
            uploads[path] = OWN
        elif has_version or (len(inner) > 1 and is_marked):
            attempt, titles = ((int(inner[1]),), inner[2:]) if has_version else ((), inner[1:])
            time = iso_time(text_of((*path[:-1], _STAMP)))
            uploads[path] = Upload(inner[0], "/".join(titles), inner[0], attempt, False, time)
    return most(uploads, paths)


# No import of its own was found: a table by its user ids.
SUBMITTY = Platform("submitty", "Submitty", _read, (Back(keys=("user_id",), grade="score"),))
