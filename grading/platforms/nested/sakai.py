"""Sakai: <Last>, <First>(<eid>)/..., with the files in a folder that is called in any language.

Source: sakaiproject/sakai, AssignmentServiceImpl.java, zipSubmissions.
"""

import re
from collections.abc import Sequence

from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, most

_FOLDER = re.compile(r".*\(([^()]+)\)", re.S)
_OF_CLASS = {"grades.csv", "grades.xls"}
_OF_STUDENT = {"timestamp.txt", "comments.txt", "feedbackText.html", "members.txt"}


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    stamped = {path[0] for path in paths if path[1:] == ("timestamp.txt",)}
    uploads: Uploads = {}
    for path in paths:
        folder, inner = path[0], path[1:]
        named = _FOLDER.fullmatch(folder)
        if len(path) == 1 and folder in _OF_CLASS:
            uploads[path] = OWN
        elif inner and (folder in stamped or (named and ", " in folder)):
            # An anonymous folder begins with the submission's number.
            key = named[1].strip() if named else folder.partition(" ")[0]
            is_own = inner[0] in _OF_STUDENT or inner[0] == f"{folder}_submissionText.html"
            is_feedback = len(inner) > 1 and inner[0].startswith("Feedback")
            title = "/".join(inner[1:] or inner)
            uploads[path] = Upload(folder, title, key, (), is_own or is_feedback)
    return most(uploads, paths)


SAKAI = Platform("sakai", "Sakai", _read)
