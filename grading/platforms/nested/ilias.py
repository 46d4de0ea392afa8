"""ILIAS: <Last>_<First>_<login>_<user id>/<file>, or Team <id>/...

Sources: ILIAS-eLearning/ILIAS, SubmissionManager.php; ilifau/ExerciseStatusFile,
class.ilPluginExAssignmentStatusFile.php, class.ilExFeedbackUploadHandler.php.
"""

import csv
import re
from collections.abc import Sequence

from grading.platforms.back import Back
from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, most

_FOLDER = re.compile(r"[^_]+_[^_]+_(.+)_(\d+)", re.S | re.A)
_TEAM = re.compile(r"Team_? ?(\d+)", re.A)
_OF_CLASS = {"status.csv", "status.xlsx", "README.md"}


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    logins = _logins(text_of(("status.csv",)))
    uploads: Uploads = {}
    for path in paths:
        team, found = _TEAM.fullmatch(path[0]), _FOLDER.fullmatch(path[0])
        if len(path) == 1 and path[0] in _OF_CLASS:
            uploads[path] = OWN
        elif len(path) > 1 and team:
            uploads[path] = Upload(path[0], "/".join(path[1:]), f"Team {team[1]}")
        elif len(path) > 1 and found:
            # A surname may be of several words, and a login have a "_": the list knows.
            key = logins.get(found[2]) or found[1].rpartition("_")[2]
            uploads[path] = Upload(path[0], "/".join(path[1:]), key)
    return most(uploads, paths)


def _logins(text: str) -> dict[str, str]:
    """Return the login of each user id in the list of the plugin that takes grades back."""
    first = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;", key=first.count))
    try:
        return {r["usr_id"]: r["login"] for r in rows if r.get("usr_id") and r.get("login")}
    except csv.Error:
        return {}


# The plugin knows columns by place and needs all of them. It takes the rows whose update is 1, and
# a zip file in which a folder has a name like that of a student or team. A mark is a text.
_USERS = Back(
    keys=("usr_id",),
    grade="mark",
    needs="status.csv of ILIAS's plugin: take the one in the download, Multi_Feedback_...",
    names=("firstname", "lastname"),
    also=("login",),
    fill=(("update", "1", "1"), ("status", "failed", "passed")),
    is_whole=True,
    keeps=True,
    zipped="Multi_Feedback_grades_1/status.csv",
)
_TEAMS = _USERS._replace(
    keys=("team_id",),
    names=(),
    also=(),
    called="Team {}",
    zipped="Multi_Feedback_Team_1/status.csv",
)
ILIAS = Platform("ilias", "ILIAS", _read, (_USERS, _TEAMS))
