"""Blackboard Learn: <title>_<username>_attempt_<time>[_<file>], and a .txt for each attempt.

Sources: kwurst/bb-file-cleanup; jupyter/nbgrader, plugins/zipcollect.py. Of grades:
help.blackboard.com, Work Offline With Grade Data; nbeaver/offline-grades-upload;
george-qiaozhi/grade_merger_for_Blackboard.
"""

import os
import re
from collections.abc import Sequence

from grading.platforms.back import Back
from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads, iso_time, most

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
        time = iso_time(f"{match[2][:10]}T{match[2][11:].replace('-', ':')}")
        uploads[path] = Upload(stem, match[3] or path[0], user, (match[2],), not match[3], time)
    return most(uploads, paths)


def _said(text: str, stem: str) -> str:
    """Return the username in the first line of an attempt's .txt, if the file's name has it too."""
    found = _USERNAME.search(text.partition("\n")[0][-300:])
    return found[1] if found and stem.endswith(f"_{found[1]}") else ""


# A column is known by the id in its title; others may be left out. Every cell is in quotes.
_BACK = Back(
    keys=("Username",),
    grade=r"(?P<title>.+) \[Total Pts: (?P<max>\d+(?:[.,]\d{1,2})?)(?: \w+)?\] \|\d+",
    example="MNIST [Total Pts: 10 Score] |1234",
    needs="Blackboard's list of grades: choose Work Offline, Download in the Grade Center",
    names=("First Name", "Last Name"),
    also=("Student ID",),
)
BLACKBOARD = Platform("blackboard", "Blackboard", _read, (_BACK,))
