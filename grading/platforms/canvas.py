"""Canvas: <name>[_LATE]_<user>_<file>_<title>, and [LATE_]anon_<id>_<file>_<title>.

Sources: instructure/canvas-lms, lib/content_zipper.rb, gradebook_importer.rb. Only the newest
attempt is in it, so that numbered names such as x.csv and x-1.csv are files of one attempt.
"""

import re
from collections.abc import Sequence

from grading.platforms.back import Back, Pairs
from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads, most

_TITLE = r"(?:\d+_(?P<title>.+)|text\.html|link\.html)"
_FILE = re.compile(rf"(?P<who>[^_]+)(?P<late>_LATE)?_(?P<user>\d+)_{_TITLE}", re.S | re.A)
# The same for a student, who chooses only the title.
_OWNER = re.compile(r"([^_]*?)(?:_LATE)?_(\d+)_(?:\d+_.|(?:text|link)\.html$)", re.A)
_ANONYMOUS = re.compile(rf"(?P<late>LATE_)?anon_(?P<user>[^_]+)_{_TITLE}", re.S | re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if found := _ANONYMOUS.fullmatch(path[0]) or _FILE.fullmatch(path[0]):
            who = found.groupdict().get("who") or "anon"
            owner = f"{who}_{found['user']}"
            title, is_late = found["title"] or path[0], bool(found["late"])
            uploads[path] = Upload(owner, title, found["user"], is_late=is_late)
    return most(uploads, paths) if len(paths) > 1 else {}


def pairs_of(name: str) -> Pairs:
    """Return whom a name that Canvas gave can mean: a person's name, and the user's number."""
    found = _OWNER.match(name)
    return [(found[1], found[2])] if found else []


# An empty cell changes nothing. Canvas takes percentages of the points possible, and needs the row
# that has these.
_BACK = Back(
    keys=("ID", "SIS User ID", "SIS Login ID", "Integration ID"),
    grade=r"(?P<title>.+) \(\d+\)",
    example="MNIST (1234)",
    needs="export of Canvas's gradebook: choose Export in the course's Grades, and give that file",
    names=("Student",),
    until="Section",
    keeps=True,
    always="Points Possible",
    unit="%",
    pairs=pairs_of,
    is_numbered=True,
)
CANVAS = Platform("canvas", "Canvas", _read, (_BACK,))
