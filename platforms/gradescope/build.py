"""Write autograder.zip, with which Gradescope grades each submission as it comes in.

In it are the code that grades, the training images (they tell how pixels become inputs), the test
images, and settings.json with what is on the command line here.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import numpy as np

import common
from common.data.arrays import load_split
from common.data.catalog import DATASET_HELP, DATASETS, DatasetSpec
from common.data.idx import encode_idx, read_content
from common.data.search import find_files
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, UserError, require_positive
from common.support.files import atomic_write, require_target
from grading.preprocessing import CHOICES, parse_preprocessing
from grading.test_sets import load_private_test_set, threshold_of

REPOSITORY = Path(common.__path__[0]).resolve().parent
HERE = Path(__file__).resolve().parent

# Seconds. Gradescope ends an autograder after ten minutes, and then shows the student nothing.
TIME_LIMIT = 540
MAX_LIMIT = 2400  # seconds: Gradescope allows 40 minutes at most
MAX_MEMORY = 500  # GiB, as for evaluate.py

# The folders whose code grades.
CODE = ("common", "evaluations", "own_runs", "grading", "reporting")

# What setup.sh installs.
LOCKS = ("platforms/requirements.lock", "requirements.lock", "requirements-grading.lock")

# The files of Gradescope's layout: these two have to lie at the top of the zip file.
EXECUTABLE = ("setup.sh", "run_autograder")


def main() -> int:
    """Write the zip file."""
    args = parse_arguments()
    require_positive(MAX_LIMIT, time_limit=args.time_limit, timeout=args.timeout)
    require_positive(MAX_MEMORY, memory=args.memory)
    if args.timeout >= args.time_limit:
        raise UserError(
            f"--timeout {args.timeout:g} leaves no time to write the results: it must be below "
            f"--time-limit {args.time_limit:g}"
        )
    spec = DATASETS[args.dataset]
    threshold_of(spec, args.threshold)
    recipe = load_split(spec, args.data_dir, "train").dataset.normalization
    parse_preprocessing(args.preprocessing, recipe)
    if args.models and not args.models.is_file():
        raise UserError(f"--models {args.models}: no such file")
    require_target(args.output)
    settings = {
        "dataset": spec.key,
        "threshold": args.threshold,
        "memory": args.memory,
        "timeout": args.timeout,
        "time_limit": args.time_limit,
        "preprocessing": args.preprocessing,
        "models": "models.py" if args.models else None,
        "test_set": "test_set" if args.test_set else None,
    }
    members = {
        **code(),
        **data_files(spec, args.data_dir, "train"),
        **(
            private_files(spec, args.data_dir, args.test_set)
            if args.test_set
            else data_files(spec, args.data_dir, "test")
        ),
        **({"models.py": args.models.read_bytes()} if args.models else {}),
        "settings.json": json.dumps(settings, indent=2).encode() + b"\n",
    }
    atomic_write(args.output, zipped(members))
    size = args.output.stat().st_size / 1e6
    print(f"Wrote {args.output} ({size:.1f} MB): upload it as docs/platforms.md says")
    return ALL_PASSED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.split("\n\n")[0])
    flag = parser.add_argument
    flag("--output", metavar="FILE", type=Path, default=Path("autograder.zip"))
    flag("--dataset", metavar="NAME", choices=DATASETS, default="mnist", help=DATASET_HELP)
    flag("--data-dir", type=Path, default=Path("data"), help="folder of the data set")
    what = "grade on the IDX pair or the pictures in this folder, or on this .npz file"
    flag("--test-set", metavar="PATH", type=Path, help=what)
    flag("--threshold", metavar="PERCENT", help="accuracy that passes (default: the data set's)")
    flag("--models", metavar="FILE.py", type=Path, help="Python file with the assignment's classes")
    flag("--preprocessing", metavar="HOW", default="auto", help=CHOICES)
    what = "memory of a submission, beyond the grader's own"
    flag("--memory", metavar="GIB", type=float, default=0.25, help=what)
    flag("--timeout", metavar="SECONDS", type=float, default=120.0, help="time of a submission")
    what = "time of the whole grading: less than Gradescope's own limit"
    flag("--time-limit", metavar="SECONDS", type=float, default=TIME_LIMIT, help=what)
    return parser.parse_args()


def code() -> dict[str, bytes]:
    """Return the files of this repository that grade, by their names in the zip file."""
    files = [path for folder in CODE for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    files += [REPOSITORY / name for name in (*LOCKS, "platforms/__init__.py")]
    files += [HERE / "__init__.py", HERE / "grade.py"]
    named = {path.relative_to(REPOSITORY).as_posix(): path for path in files}
    named |= {name: HERE / name for name in (*EXECUTABLE, "README.md")}
    return {name: path.read_bytes() for name, path in named.items()}


def data_files(spec: DatasetSpec, data_dir: Path, split: str) -> dict[str, bytes]:
    """Return the files of a split of the data set, uncompressed, fetched first if need be."""
    images = load_split(spec, data_dir, split)  # checks them
    if spec.known is None:  # in whatever form they are
        arrays = (images.images, images.targets.astype(np.uint8))
        contents = dict(zip(spec.files[split], map(encode_idx, arrays), strict=True))
    else:
        found = find_files(spec, data_dir, spec.files[split])
        contents = {name: read_content(file) for name, file in found.items()}
    return {f"data/{spec.folder}/{name}": content for name, content in contents.items()}


def private_files(spec: DatasetSpec, data_dir: Path, path: Path) -> dict[str, bytes]:
    """Return a private test set as a pair of IDX files, in whatever form it was given."""
    test_set = load_private_test_set(spec, data_dir, path)
    return {
        "test_set/images-idx3-ubyte": encode_idx(test_set.images),
        "test_set/labels-idx1-ubyte": encode_idx(test_set.targets.astype(np.uint8)),
    }


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip file of these members; the same members are the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(members.items()):
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o755 if name in EXECUTABLE else 0o644) << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


if __name__ == "__main__":
    run_script(main)
