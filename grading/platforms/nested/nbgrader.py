"""nbgrader: submitted/<student>/<assignment>/<files>, timestamp.txt.

Sources: jupyter/nbgrader, plugins/zipcollect.py, plugins/export.py.
"""

from collections.abc import Sequence

from grading.platforms.back import Back
from grading.platforms.upload import (
    Parts,
    Platform,
    TextOf,
    Upload,
    Uploads,
    commonest,
    iso_time,
    most,
)

_STAMP = "timestamp.txt"


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    stamped = [path[1] for path in paths if len(path) == 3 and path[2] == _STAMP]
    assignment = commonest(stamped)
    uploads: Uploads = {}
    for path in paths:
        if len(path) > 2 and path[1] == assignment:
            is_own = path[2:] == (_STAMP,)
            time = iso_time(text_of((*path[:2], _STAMP)))
            uploads[path] = Upload(path[0], "/".join(path[2:]), path[0], (), is_own, time)
    return most(uploads, paths)


# Its own export, which it cannot import, has these columns, and quotes nothing.
_BACK = Back(
    keys=("student_id",), grade="score", fill=(("max_score", "100", "100"),), is_quoted=False
)
NBGRADER = Platform("nbgrader", "nbgrader", _read, (_BACK,))
