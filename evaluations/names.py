"""Names of students and files: compared, and as names of folders."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import quote

_MAX_FOLDER_NAME = 150  # bytes, of the 255 that file systems have room for


def folder_names(names: Sequence[str]) -> list[str]:
    """Return a folder's name for each of some distinct names, whatever they hold.

    Letters and digits of all scripts stay, and all that is odd in a path is written with percent
    signs. No two are equal, not even where case or Unicode's form does not count.
    """
    safe = [_path_safe(name) for name in names]
    times = Counter(map(name_key, safe))
    return [
        # A checksum keeps apart what is long or alike, behind a sign that no name can have here.
        f"{quote(name, safe='')[:100]}@{sha256(name.encode()).hexdigest()[:16]}"
        if len(short.encode()) > _MAX_FOLDER_NAME or times[name_key(short)] > 1
        else short
        for name, short in zip(names, safe, strict=True)
    ]


def _path_safe(name: str) -> str:
    text = "".join(c if c.isalnum() or c in " ._-" else quote(c, safe="") for c in name)
    # Dots alone lead elsewhere, and no system keeps spaces and dots at the end.
    return re.sub(r"[ .]+$", lambda end: "".join(f"%{ord(c):02X}" for c in end[0]), text)


def name_key(text: str) -> str:
    """Return a person's name or identifier for comparisons: in NFC, without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
