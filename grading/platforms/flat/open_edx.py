"""Open edX, open response assessment: [k]<unit>/[n] - <username> - <file>.

Source: openedx/edx-ora2, openassessment/data.py.
"""

import re
from collections.abc import Sequence

from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, most

_FILE = re.compile(r"\[\d+\] - (.+?) - (.+)", re.S | re.A)
_TYPED = re.compile(r"prompt_\d+\.txt", re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if path == ("submissions.csv",):
            uploads[path] = OWN
        elif len(path) <= 2 and (found := _FILE.fullmatch(path[-1])):
            is_typed = _TYPED.fullmatch(found[2]) is not None
            uploads[path] = Upload(found[1], found[2], found[1], is_own=is_typed)
    return most(uploads, paths)


OPEN_EDX = Platform("openedx", "Open edX", _read)
