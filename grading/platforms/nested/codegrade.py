"""CodeGrade's file system: <name> - <time>/<files>, and its own .cg- files.

Source: CodeGra-de/CodeGra.fs, cgfs.py.
"""

import re
from collections.abc import Sequence

from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, iso_time, most

_FOLDER = re.compile(r"(.+) - (\d{4}-\d\d-\d\d[T _]?[\d:._+Z-]*)", re.S | re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if any(part.startswith(".cg-") for part in path):
            uploads[path] = OWN
        elif len(path) > 1 and (found := _FOLDER.fullmatch(path[0])):
            inner, time = "/".join(path[1:]), iso_time(found[2])
            uploads[path] = Upload(found[1], inner, found[1], (found[2],), False, time)
    return most(uploads, paths)


CODEGRADE = Platform("codegrade", "CodeGrade", _read)
