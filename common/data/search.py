"""Finds a data set's files by their checksums, whatever they are called and wherever they lie.

People have MNIST under many names: with dots for dashes, compressed, in folders of their own or
named like the file, or as Keras' ``mnist.npz``, whose arrays are the same numbers.
"""

import contextlib
import gzip
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from common.data.catalog import DatasetSpec
from common.data.idx import DataFile, md5_of, read_content

# Of each folder no more entries than this are looked at: data may lie in a full home folder.
_MAX_ENTRIES = 1000
_MAX_BYTES = 2**28

# Keras' names of the arrays, in the order of ``DatasetSpec.all_files``.
KERAS_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def find_files(
    spec: DatasetSpec, data_dir: Path, names: Collection[str] = ()
) -> dict[str, DataFile]:
    """Return where these files of a data set are, or all four, by name; a missing one is left out.

    A file may be as it is or compressed by gzip, under ``data_dir`` or where a Debian package has
    put it. What is not there is looked for by its checksum, if that is known, in ``data_dir``, one
    folder up, one folder down, and in the data set's own folder.
    """
    folders = [data_dir / spec.folder, *([Path(spec.packaged)] if spec.packaged else [])]
    found: dict[str, DataFile] = {}
    names = names or spec.all_files
    for name in names:
        places = [folder / file for folder in folders for file in (name, f"{name}.gz")]
        if path := next((path for path in places if path.is_file()), None):
            found[name] = DataFile(path)
    wanted = {spec.md5[name]: name for name in names if name not in found and name in spec.md5}
    for candidate in _candidates(spec, data_dir) if wanted else ():
        with contextlib.suppress(OSError, EOFError, ValueError, KeyError, zlib.error):
            # A KeyError says that it is none of them.
            found[wanted.pop(md5_of(read_content(candidate)))] = candidate
        if not wanted:
            break
    return found


def _candidates(spec: DatasetSpec, data_dir: Path) -> Iterator[DataFile]:
    """Yield the files nearby that begin as IDX files do, and the arrays of .npz files."""
    for path in _files_nearby(spec, data_dir):
        with contextlib.suppress(OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile):
            if path.stat().st_size > _MAX_BYTES:
                continue
            if path.suffix.lower() == ".npz":
                with np.load(path, allow_pickle=False) as archive:
                    yield from (DataFile(path, key) for key in KERAS_ARRAYS if key in archive)
            elif _begins_as_idx(path):
                yield DataFile(path)


def _begins_as_idx(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(path) as compressed:
            head = compressed.read(4)
    return head[:3] == b"\0\0\x08" and head[3:] in (b"\x01", b"\x03")


def _files_nearby(spec: DatasetSpec, data_dir: Path) -> Iterator[Path]:
    own = data_dir / spec.folder
    inside = [path for folder in (data_dir, own) for path in _entries(folder) if path.is_dir()]
    folders = [data_dir, own, *inside, own.parent, data_dir.resolve().parent]
    for folder in dict.fromkeys(folders):
        yield from (path for path in _entries(folder) if path.is_file())


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())[:_MAX_ENTRIES]
    return []
