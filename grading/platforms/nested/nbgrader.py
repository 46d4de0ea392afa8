"""nbgrader: submitted/<student>/<assignment>/<files>, timestamp.txt.

Source: jupyter/nbgrader, plugins/zipcollect.py.
"""

from collections.abc import Sequence

from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads, commonest, most


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    stamped = [path[1] for path in paths if len(path) == 3 and path[2] == "timestamp.txt"]
    assignment = commonest(stamped)
    uploads: Uploads = {
        path: Upload(path[0], "/".join(path[2:]), path[0], (), path[2:] == ("timestamp.txt",))
        for path in paths
        if len(path) > 2 and path[1] == assignment
    }
    return most(uploads, paths)


NBGRADER = Platform("nbgrader", "nbgrader", _read)
