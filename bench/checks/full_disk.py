"""Let the disk be full at the writes of a grading and of a training; go on after room was made.

Each runs on a small file system of its own, of sizes from too small to enough, on which are its
temporary folder and all that it writes. After a failure there must be one line and exit status 2,
every file must be whole, and the command that the line names must end as if nothing had happened.
Ends with exit status 1 otherwise. Linux only, with unshare and a kernel that grants user namespaces
or root.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch

from bench.checks.small_class import students
from bench.runs import REPOSITORY
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, CANNOT_RUN, SOME_FAILED

_SUBMISSIONS = 6
# In KiB. What a grading writes grows by a row; what a training does, by a file of an epoch.
_SIZES = {
    "grading": (4, 40, 96, 128, 160, 192, 224, 256, 288, 320, 352, 400, 480, 640),
    "training": (4, 4096, 7168, 12_288),
}
# And the flag with which a training goes on, which its record has as well.
_TIMES = re.compile(rb'"?seconds"?: [\d.]+|\d{4}-\d\d-\d\d[T ][\d:.+Z-]+|,\s+"--resume"')
# Prints the exit status and keeps what is there; makes room; then runs the second script.
_STEPS = """
mount -t tmpfs -o size="$1"k none small && mkdir small/tmp
sh -c "$2" 2> first; echo $? > status; cp -a small after
mount -o remount,size=64m small
sh -c "$3" 2> second; echo $? >> status; cp -a small end
"""


def commands(kind: str, place: Path, data_dir: Path) -> str:
    """Return the command of a grading or of a training, for a shell."""
    words: list[str | Path] = [sys.executable]
    if kind == "grading":
        words += [REPOSITORY / "evaluate.py", place / "class.zip", "--output"]
        words += ["small/out/evaluation.json", "--format", "gradescope", "--exit-zero"]
        words += ["--history", "small/history.csv", "--jobs", "1", "--memory", "1"]
    else:
        words += [REPOSITORY / "train_base.py", "--epochs", "2", "--val-size", "59000"]
        words += ["--output-dir", "small/out"]
    return shlex.join(map(str, [*words, "--data-dir", data_dir]))


def problems(place: Path, expected: dict[str, bytes]) -> tuple[int, list[str]]:
    """Return the exit status with the small disk, and what was not as it should be."""
    first, second = map(int, (place / "status").read_text().split())
    said = (place / "first").read_text().splitlines()
    found = []
    if first not in (ALL_PASSED, CANNOT_RUN):
        found.append(f"exit status {first}")
    if first == CANNOT_RUN and (len(said) != 1 or "No space left on device" not in said[0]):
        found.append(f"said {said}")
    for path in sorted((place / "after").rglob("*.json")):
        json.loads(path.read_bytes())
    for path in sorted((place / "after").rglob("*.pth")):
        torch.load(path, weights_only=True)
    left = [".writing-*", "mnist-grading-*"]  # torch leaves an empty folder of its own
    if any(list((place / "after").rglob(pattern)) for pattern in left):
        found.append("temporary files are left")
    if second != ALL_PASSED:
        found.append(f"then exit status {second}: {(place / 'second').read_text()[-500:]}")
    elif expected and outcome(place / "end") != expected:
        found.append("ends otherwise than with a large disk")
    return first, found


def outcome(folder: Path) -> dict[str, bytes]:
    """Return the files at the end, without what depends on the time."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in files_in(folder)}
    return {name: _TIMES.sub(b"", content) for name, content in files.items()}


def files_in(folder: Path) -> list[Path]:
    """Return all files but locks and those in the temporary folder."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return [path for path in found if folder / "tmp" not in path.parents]


def run_with(size: int, kind: str, folder: Path, data_dir: Path) -> Path:
    """Run on a disk of so many KiB, then make room and go on; return the folder of the traces."""
    place = folder / f"{kind}-{size}"
    (place / "small").mkdir(parents=True)
    first = commands(kind, folder, data_dir)
    # What a line names is the script without the path of Python, and without that of its folder.
    again = f'case $(cat first) in *--resume) set -- --resume;; esac; {first} "$@"'
    as_root = [] if os.getuid() == 0 else ["--map-root-user"]
    steps = ["sh", "-ec", _STEPS.replace("\nsh", "\nset +e; sh"), "sh", str(size), first, again]
    subprocess.run(
        ["unshare", "--mount", *as_root, *steps],
        cwd=place,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(place / "small/tmp"), "OMP_NUM_THREADS": "1"},
    )
    return place


def make_class(path: Path, data_dir: Path) -> None:
    """Write a class's zip file as Canvas does."""
    make = students(data_dir)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(_SUBMISSIONS):
            name = f"student{number}_{1000 + number}_{2000 + number}_predictions.npy"
            archive.writestr(name, make(number).file("npy"))


def main() -> int:
    """Run with each size; print what was wrong, and a summary."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    data_dir = parser.parse_args().data_dir.resolve()
    is_right = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        make_class(folder / "class.zip", data_dir)
        for kind, sizes in _SIZES.items():
            place = run_with(65_536, kind, folder, data_dir)
            expected = outcome(place / "end")
            is_right &= not problems(place, expected)[1]
            full, where = 0, set()
            for size in sizes:
                place = run_with(size, kind, folder, data_dir)
                status, found = problems(place, expected)
                full += status == CANNOT_RUN
                where.add((place / "first").read_text().strip().partition("No space")[0])
                print("".join(f"{kind}, {size} KiB: {problem}\n" for problem in found), end="")
                is_right &= not found
                shutil.rmtree(place)
            print(f"{kind}: {len(sizes)} sizes of the disk, full at {full}: one line and status 2")
            print("  " + "\n  ".join(sorted(where - {""})), flush=True)
    return ALL_PASSED if is_right else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
