"""OpenOLAT, course element Task: <Last>_<First>_<username>/1_submissions/..., 4_revisions_1/...

Sources: OpenOLAT/OpenOLAT, GTACourseNode.java, archiveNodeData; bulk/DataStepForm.java and
ChooseColumnsStepForm.java. The number of a step shifts: the word counts.
"""

import re
from collections.abc import Sequence

from grading.platforms.back import Back
from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads, most

_STEP = re.compile(
    r"(?:\d+)?_?(?:(submissions)|revisions_(\d{1,9})|task|corrections(?:_\d+)?|assessment)", re.A
)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if (len(path) == 1 and path[0].endswith(".xlsx")) or path[0] == "solutions":
            uploads[path] = OWN
        elif len(path) > 2 and (step := _STEP.fullmatch(path[1])):
            attempt = (int(step[2] or 0),)
            is_own = not (step[1] or step[2])  # what the coach gave or sent back
            key = path[0].rpartition("_")[2]
            uploads[path] = Upload(path[0], "/".join(path[2:]), key, attempt, is_own)
    return most(uploads, paths)


# Text to paste, split at each comma, without header and quotes.
_BACK = Back(
    keys=("username",),
    grade="score",
    fill=(("passed", "n", "y"),),
    is_quoted=False,
    has_header=False,
)
OPENOLAT = Platform("openolat", "OpenOLAT", _read, (_BACK,))
