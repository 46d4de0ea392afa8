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


def _match(name: str) -> re.Match[str] | None:
    return _ANONYMOUS.fullmatch(name) or _FILE.fullmatch(name)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if found := _match(path[0]):
            who = found.groupdict().get("who") or "anon"
            owner = f"{who}_{found['user']}"
            uploads[path] = Upload(owner, found["title"] or path[0], found["user"])
    return most(uploads, paths) if len(paths) > 1 else {}


def lateness_on_canvas(names: Sequence[str]) -> dict[str, bool]:
    """Return for the uploads of a class on Canvas whether it marked them late, by name."""
    found = {name: match for name in names if (match := _match(name))}
    late = {name: bool(match["late"]) for name, match in found.items()}
    return late if len(late) > len(names) / 2 else {}


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
