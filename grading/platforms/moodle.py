"""Moodle: <full name or team>[_<number>]_assignsubmission_file[_<title>], in all languages.

Source: moodle/moodle, mod/assign/classes/downloader.php. _onlinetext_ is text typed in.
"""

import re
from collections.abc import Sequence

from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads

_NAME = re.compile(r"(?P<owner>.+)_assignsubmission_(?P<kind>file|onlinetext)_?(?P<title>.*)", re.S)
_NUMBER = re.compile(r"_(\d+)$", re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if found := _NAME.fullmatch(path[0]):
            number = _NUMBER.search(found["owner"])
            key = number[1] if number else found["owner"]
            title = found["title"] or path[0]
            uploads[path] = Upload(found["owner"], title, key, (), found["kind"] == "onlinetext")
    return uploads


MOODLE = Platform("moodle", "Moodle", _read)
