"""The flags of evaluate.py for grading, and which flags go together."""

import argparse
import os
from pathlib import Path

from common.data.catalog import DATASETS
from common.support import distributed
from common.support.errors import UserError, require_positive
from grading.gradebooks.gradebook import FORMATS
from grading.platforms.known import PLATFORMS
from grading.preprocessing import CHOICES

# GiB, seconds or jobs: more than anyone has, and less than any system call accepts.
MAX_LIMIT = 500


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what has a meaning only with a PATH to grade."""
    flag = parser.add_argument_group("grading (with PATH)").add_argument
    choices = ("auto", "bubblewrap", "process", "none")
    how = "what keeps submissions apart; without Linux there is only none, which is no wall"
    flag("--isolation", choices=choices, default="auto", help=how)
    flag("--memory", metavar="GIB", type=float, default=2.0, help="memory of each submission")
    flag("--timeout", metavar="SECONDS", type=float, default=30.0, help="time of each submission")
    jobs = max(1, (os.cpu_count() or 1) // distributed.local_world_size())
    how = f"how pixels become inputs: {CHOICES}; auto infers it on training images"
    flag("--preprocessing", metavar="HOW", default="auto", help=how)
    what = "Python file with the classes of the assignment; it is run"
    flag("--models", metavar="FILE.py", type=Path, help=what)
    flag("--jobs", type=int, default=jobs, help="submissions under way at a time, in each process")
    flag("--fresh", action="store_true", help="grade again what an earlier run graded")
    flag("--leaderboard", action="store_true", help="rank the submissions")
    flag("--format", choices=FORMATS, help="also write grades as this platform imports them")
    flag("--platform", choices=sorted(PLATFORMS), default="", help="whose download PATH is")
    flag("--roster", metavar="CSV", type=Path, help="the platform's own export of its students")
    flag("--assignment", metavar="TITLE", help="the column of the roster that gets the grades")
    flag("--due", metavar="TIME", help="mark what the platform says came later")
    flag("--history", metavar="CSV", type=Path, help="append who changed since the last grading")


def refuse_contradictions(args: argparse.Namespace, are_own: bool) -> None:
    """Refuse flags that do not go together, or are out of range. Raises UserError.

    ``are_own`` says whether one's own runs are measured.
    """
    if not are_own:
        if args.device != "auto":
            raise UserError("--device is for one's own runs: submissions are read on the CPU")
        if args.playground:
            raise UserError("--playground shows the best of one's own runs: leave out PATH")
    for name in ("format", "roster", "leaderboard", "fresh", "due", "history"):
        if are_own and getattr(args, name) not in (None, False):
            why = f", and {args.paths[0]} is a training run of your own" if args.paths else ""
            raise UserError(f"--{name} needs a PATH to grade{why}")
    if args.models and not args.models.is_file():
        raise UserError(f"--models {args.models}: no such file")
    if args.playground and (args.output or Path()).name == "playground.json":
        raise UserError(f"--output {args.output} is where the playground goes: name another file")
    known = DATASETS[args.dataset].known
    if args.playground and not (known and known.noun == "digit"):
        raise UserError(f"--playground is a page to draw digits on, not {args.dataset}")
    require_positive(MAX_LIMIT, memory=args.memory, timeout=args.timeout, jobs=args.jobs)
