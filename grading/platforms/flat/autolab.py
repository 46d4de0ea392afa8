"""Autolab: <email>_<version>_<file that the instructor named>.

Sources: autolab/Autolab, submissions_controller.rb, download_filename; _bulkGrade_initial.html.erb.
"""

import re
from collections.abc import Sequence

from grading.platforms.back import Back
from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads, most

_FILE = re.compile(r"([^@]+@[^@_]+)_(\d{1,9})_(.+)", re.S | re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    found = {path: match for path in paths if (match := _FILE.fullmatch(path[0]))}
    uploads: Uploads = {
        path: Upload(match[1], "/".join((match[3], *path[1:])), match[1], (int(match[2]),))
        for path, match in found.items()
    }
    return most(uploads, paths)


# No header: address, the score of the only problem, and a type. One bad row stops all.
_BACK = Back(
    keys=("Email",),
    grade="Score",
    fill=(("Grade Type", "normal", "normal"),),
    has_header=False,
)
AUTOLAB = Platform("autolab", "Autolab", _read, (_BACK,))
