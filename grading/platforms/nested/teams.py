"""Microsoft Teams: <student>/<assignment>/Version <n>/<file>, in words of any language.

Source: lwchkg/teams_assignment_explorer, DirAndFileScanner.cs.
"""

import re
from collections.abc import Sequence

from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads, most

_VERSION = re.compile(r"[^\W\d_]{3,20}\.? (\d{1,9})")


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    # What lies one folder less deep was being worked on, and never turned in.
    top = {path[0] for path in paths if len(path) == 5 and _VERSION.fullmatch(path[3])}
    for path in paths:
        _, *inner = path if len(top) == 1 else ("", *path)
        if len(inner) == 4 and (found := _VERSION.fullmatch(inner[2])):
            uploads[path] = Upload(inner[0], inner[3], inner[0], (int(found[1]),))
        elif len(top) == 1 and len(inner) == 3:
            uploads[path] = Upload(inner[0], inner[2], inner[0], (), True)
    return most(uploads, paths)


TEAMS = Platform("teams", "Microsoft Teams", _read)
