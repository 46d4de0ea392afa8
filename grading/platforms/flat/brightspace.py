"""Brightspace: <user>-<folder> - <name> - <date>, a folder or followed by " - <file>".

Sources: squell/bb-scripts, bsunzip.sh and issue 54; OfficeCoffee/GradingFileProject, ToDo.md.
"""

import contextlib
import re
from collections.abc import Sequence
from datetime import datetime

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
            uploads[path] = Upload(number, inner, key, _time(date))
    return most(uploads, paths)


def _time(date: str) -> tuple[int, ...]:
    """Return what sorts dates; in another language than English all are the same."""
    day, clock, half = date.rsplit(" ", 2)
    with contextlib.suppress(ValueError):
        time = datetime.strptime(f"{day} {clock:0>4} {half}", "%b %d, %Y %I%M %p")
        return (time.year, time.month, time.day, time.hour, time.minute)
    return ()


BRIGHTSPACE = Platform("brightspace", "Brightspace", _read)
