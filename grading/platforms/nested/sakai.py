"""Sakai: <Last>, <First>(<eid>)/..., with the files in a folder that is called in any language.

Sources: sakaiproject/sakai, AssignmentServiceImpl.java, zipSubmissions; SpreadsheetExporter.java;
AssignmentAction.java, uploadAll_parseZipFile; AssignmentToolUtils.java, validPointGrade.
"""

import re
from collections.abc import Sequence

from grading.platforms.back import Back, Cells
from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, iso_time, most

_FOLDER = re.compile(r".*\(([^()]+)\)", re.S)
_OF_CLASS = {"grades.csv", "grades.xls"}
_OF_STUDENT = {"timestamp.txt", "comments.txt", "feedbackText.html", "members.txt"}


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    stamped = {path[0]: iso_time(text_of(path)) for path in paths if path[1:] == ("timestamp.txt",)}
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
            title = "/".join(inner[1:] or inner)
            is_own |= len(inner) > 1 and inner[0].startswith("Feedback")
            time = stamped.get(folder, "")
            uploads[path] = Upload(folder, title, key, (), is_own, time)
    return most(uploads, paths)


def _by_place(header: Cells, rows: Sequence[Cells]) -> Cells:
    """Return titles in our words; those of a list that has groups in place of students stay."""
    known = ("display id", "eid", "last name", "first name", "points")
    return (*known, *header[len(known) :]) if len(header) > len(known) + 1 else header


# Three lines above the students, in any language. An empty cell would clear a grade, and one cell
# that is no number in the server's own form stops all.
_BACK = Back(
    keys=("eid",),
    grade="points",
    needs="grades.csv of Sakai, of an assignment for students: choose Download All, grade file",
    names=("first name", "last name"),
    also=("display id",),
    is_whole=True,
    lines_before=2,
    translate=_by_place,
    decimals=2,
    is_local=True,
    encoding="utf-8-sig",
    zipped="grades/grades.csv",
)
SAKAI = Platform("sakai", "Sakai", _read, (_BACK,))
