"""Blackboard Learn: <title>_<username>_attempt_<time>[_<file>], and a .txt for each attempt.

Sources: kwurst/bb-file-cleanup; jupyter/nbgrader, plugins/zipcollect.py.
"""

import os
import re
from collections.abc import Sequence

from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads, most

_FILE = re.compile(r"(.+?)_attempt_(\d{4}(?:-\d\d){5})(?:_(.+)|\.txt)", re.S | re.A)
_USERNAME = re.compile(r"\(([^()]+)\)\s*$")  # at the end of the line "Name: Ann Adams (aadams)"


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    found = {p: match for p in paths if len(p) == 1 and (match := _FILE.fullmatch(p[0]))}
    stems = {match[1] for match in found.values()}
    users = {match[1]: _said(text_of(p), match[1]) for p, match in found.items() if not match[3]}
    # Without the .txt: behind what all have in common, which is the title.
    title = os.path.commonprefix(sorted(stems)).rpartition("_")[0] if len(stems) > 1 else ""  # noqa: RUF071
    uploads: Uploads = {}
    for path, match in found.items():
        stem = match[1]
        user = users.get(stem) or (stem[len(title) + 1 :] if title else stem.rpartition("_")[2])
        # An attempt without files still is its student's.
        uploads[path] = Upload(stem, match[3] or path[0], user, (match[2],), not match[3])
    return most(uploads, paths)


def _said(text: str, stem: str) -> str:
    """Return the username in the first line of an attempt's .txt, if the file's name has it too."""
    found = _USERNAME.search(text.partition("\n")[0][-300:])
    return found[1] if found and stem.endswith(f"_{found[1]}") else ""


BLACKBOARD = Platform("blackboard", "Blackboard", _read)
