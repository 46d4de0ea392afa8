"""Grade thousands of damaged files, and decode answers of a process out of control.

Honest files of every form are damaged: bytes that are flipped, a part that is missing, cut off or
doubled, and pieces of another form put in between. All are graded by ``evaluate.py``: each must get
its one row, without a traceback, and no process of a submission may bring down the server, or crash
(such a row says so). Then random bytes are taken for the block of answers. Ends with exit status 1
otherwise.
"""

import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np

from bench.checks.small_class import NETWORKS, TABLES, students
from bench.runs import REPOSITORY
from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from common.support.cli import ArgumentParser, run_script
from common.support.errors import (
    ALL_PASSED,
    SOME_FAILED,
    SubmissionError,
    UserError,
    require_positive,
)
from common.support.files import read_json
from evaluations.rows import graded_row, ungraded_row
from evaluations.validation import row_problem
from grading.sandbox import wire

FORMS = (*TABLES, *NETWORKS)
_HONEST = 12  # of each form
_AT_A_TIME = 2500  # files in a grading
_CRASHED = re.compile("crashed the process|brought down|ended the process|ended without an answer")
_SHAPE = wire.Shape(num_images=100, num_sampled=0, num_tried=8, num_classes=10)
_HEADER_SIZE = _SHAPE._replace(num_images=0).sample_start(0)


def damage(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a file with one kind of damage; ``other`` is an honest file of another form."""
    start, stop = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    kind = chance.randrange(6)
    if kind == 0:  # few bytes, anywhere
        return flipped(content, 0, len(content), chance)
    if kind == 1:  # few bytes, where headers are
        at_start = chance.random() < 0.5
        limits = (0, 400) if at_start else (len(content) - 400, len(content))
        return flipped(content, max(0, limits[0]), min(len(content), limits[1]), chance)
    if kind == 2:
        return content[:start]
    if kind == 3:
        return content[:start] + content[stop:]
    if kind == 4:
        return content[:stop] + content[start:]
    place = chance.randrange(len(other))
    return content[:start] + other[place : place + stop - start] + content[stop:]


def flipped(content: bytes, start: int, stop: int, chance: random.Random) -> bytes:
    """Return the bytes with up to eight of those from ``start`` to ``stop`` replaced."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(start, stop)] ^= chance.randint(1, 255)
    return bytes(changed)


def write_damaged(folder: Path, numbers: range, seed: int, honest: dict[str, list[bytes]]) -> None:
    """Write one damaged file for each number."""
    folder.mkdir()
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        form = FORMS[number % len(FORMS)]
        content = damage(
            chance.choice(honest[form]), chance.choice(honest[chance.choice(FORMS)]), chance
        )
        (folder / f"damaged{number:05}.{form}").write_bytes(content)


def grade(folder: Path, data_dir: Path) -> tuple[list[dict[str, object]], str]:
    """Return the rows of a folder, and what was said on standard error."""
    output = folder.with_name(f"{folder.name}-graded") / "evaluation.json"
    command: list[str | Path] = [sys.executable, REPOSITORY / "evaluate.py", folder]
    command += ["--output", output, "--data-dir", data_dir, "--exit-zero"]
    command += ["--jobs", "2", "--memory", "1"]
    completed = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if completed.returncode:
        raise UserError(f"exit status {completed.returncode}: {completed.stderr[-2000:]}")
    rows: list[dict[str, object]] = read_json(output)["results"]
    return rows, completed.stderr


def decode_noise(count: int, seed: int) -> Counter[str]:
    """Decode random answers; return how many became sound rows, and how many were refused."""
    generator = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    pixels, targets = np.zeros((_SHAPE.num_images, 28, 28), np.uint8), np.arange(100) % 10
    images = LabelledImages("", pixels, targets, {}, MNIST, is_public=True)
    for _ in range(count):
        block = bytearray(generator.bytes(_SHAPE.block_size))
        block[0] = generator.choice([0, 1, 2, 3, block[0]])
        if generator.random() < 0.3:  # classes that are known, or small numbers
            body = generator.integers(0, 10, len(block) - _HEADER_SIZE, dtype=np.uint8)
            block[_HEADER_SIZE:] = body.tobytes()
        try:
            answers = wire.decode(bytes(block), _SHAPE)
        except SubmissionError as error:
            str(error).encode("utf-8")
            outcomes["refused"] += 1
        else:
            row = ungraded_row("a", Path("a"), answers.info.kind, own=False)
            row |= {"sha256": "0", "isolation": "process"}
            row = graded_row(row, answers, images, Fraction(90))
            outcomes["taken"] += row_problem(row, 90.0, _SHAPE.num_classes) is None
        wire.decode_sample(bytes(block[-400:]), 10).argmax(axis=1)
    return outcomes


def main() -> int:
    """Damage, grade, count, print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--count", type=int, default=5000, help="damaged files")
    flag("--answers", type=int, default=500, help="random answers")
    flag("--seed", type=int, default=0, help="of the damage")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(count=args.count, answers=args.answers)
    outcomes = decode_noise(args.answers, args.seed)
    refused, taken = outcomes["refused"], outcomes["taken"]
    print(f"{args.answers} random answers: {refused} refused, {taken} sound rows", flush=True)
    data_dir = args.data_dir.resolve()
    make = students(data_dir)
    honest = {form: [make(number).file(form) for number in range(_HONEST)] for form in FORMS}
    statuses, said, wrong = Counter[str](), "", args.answers - refused - taken
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for first in range(0, args.count, _AT_A_TIME):
            numbers = range(first, min(first + _AT_A_TIME, args.count))
            folder = Path(place).resolve() / str(first)
            write_damaged(folder, numbers, args.seed, honest)
            rows, errors = grade(folder, data_dir)
            said += errors
            names = sorted(path.name for path in folder.iterdir())
            wrong += sorted(str(row["name"]) for row in rows) != names
            statuses += Counter(str(row["status"]) for row in rows)
            for row in rows:
                if _CRASHED.search(str(row["reason"])) or row.get("try_again"):
                    wrong += 1
                    print(f"{row['name']}: {row['reason']}")
    seconds = time.monotonic() - started
    shown = ", ".join(f"{statuses[status]:,} {status}" for status in ("pass", "fail", "error"))
    print(
        f"{args.count:,} damaged files in {seconds:.0f} s: {sum(statuses.values()):,} rows, {shown}"
    )
    print(f"wrong: {wrong}; lines on standard error: {len(said.splitlines())}")
    print(said[-2000:], end="")
    return ALL_PASSED if not wrong and not said else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
