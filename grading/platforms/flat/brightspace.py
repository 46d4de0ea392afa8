"""Brightspace: <user>-<folder> - <name> - <date>, a folder or followed by " - <file>".

Sources: squell/bb-scripts, bsunzip.sh and issue 54; OfficeCoffee/GradingFileProject, ToDo.md. Of
grades: community.d2l.com, article 3538; boris.sdbor.edu, importing_grades.
"""

import contextlib
import re
from collections.abc import Sequence
from datetime import datetime

from grading.platforms.back import Back
from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, most

_NAME = re.compile(
    r"(\d+)-\d+ - (.+?) - ([^\W\d_]{3,9}\.? \d\d?, \d{4} \d{3,4} [AP]M)(?: - (.+))?", re.S
)
_ORG_ID = re.compile(r"([A-Za-z]{0,3}\d{4,}) - ")  # at some places before the name


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if path == ("index.html",):
            uploads[path] = OWN
        elif found := _NAME.fullmatch(path[0]):
            number, person, date, title = found.groups()
            org_id = _ORG_ID.match(person)
            key = org_id[1] if org_id else " ".join(person.split())
            inner = "/".join(path[1:]) or title or path[0]
            # In another language than English all attempts are the same.
            time = _time(date)
            uploads[path] = Upload(number, inner, key, (time,), False, time)
    return most(uploads, paths)


def _time(date: str) -> str:
    """Return a date in English as ISO 8601; nothing for any other."""
    day, clock, half = date.rsplit(" ", 2)
    with contextlib.suppress(ValueError):
        return datetime.strptime(f"{day} {clock:0>4} {half}", "%b %d, %Y %I%M %p").isoformat()
    return ""


# Points, and a sign at the end of each row. The list has the sign before keys as well.
_BACK = Back(
    keys=("OrgDefinedId", "Username"),
    grade=r"(?P<title>.+) Points Grade <.*\bMaxPoints:(?P<max>\d+(?:[.,]\d{1,2})?)\b.*>",
    example="MNIST Points Grade <Numeric MaxPoints:10>",
    needs="Brightspace's list of grades with OrgDefinedId or Username: choose Export in Grades, "
    "with points",
    names=("First Name", "Last Name"),
    fill=(("End-of-Line Indicator", "#", "#"),),
    mark="#",
)
BRIGHTSPACE = Platform("brightspace", "Brightspace", _read, (_BACK,))
