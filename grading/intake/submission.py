"""What a student handed in."""

import os
from pathlib import Path
from typing import NamedTuple

from grading.platforms.gradescope import Handed


class Submission(NamedTuple):
    """What a student handed in, and gets one row."""

    name: str  # of the row
    source: Path  # as given; of several files side by side, the first; or the class's zip file
    limit: Path | None  # no link may lead outside of this folder; None: the user named the file
    files: tuple[tuple[str, Path], ...] = ()  # those not at source, by what they are called
    handed: Handed = Handed()  # what the platform says of whose it is, and of when it came
    owner: str = ""  # whose it is, by a name that a resubmission has too
    upload: str = ""  # what the platform called the file or folder, or the first of several
    note: str = ""  # what was done to find it
    key: str = ""  # what the platform's gradebook calls the student

    @property
    def is_in_zip(self) -> bool:
        """Whether it was unpacked from a class's zip file, which is the source then."""
        return self.limit is not None and not self.source.is_relative_to(self.limit)

    @property
    def is_run(self) -> bool:
        """Whether the source is a run's folder, in which ``checkpoint.pth`` counts."""
        # Unlike Path's method, this is False for whatever the system refuses to look at.
        names = ("metrics.json", "checkpoint.pth")
        return all(os.path.isfile(self.source / name) for name in names)
