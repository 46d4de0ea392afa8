"""A data set's files: where each of them is, and whether it is what it should be."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.idx import decode_idx, md5_of
from common.image_sets import ImageSet


def folder_of(image_set: ImageSet, data_dir: Path) -> Path:
    """Return the folder of the files under ``data_dir``, in torchvision's layout."""
    return Path(data_dir) / image_set.folder


def find_file(image_set: ImageSet, data_dir: Path, name: str) -> Path | None:
    """Return where a file is: as it is, or compressed, or where a Debian package has put it."""
    folder = folder_of(image_set, data_dir)
    places = [folder / name, folder / f"{name}.gz"]
    if image_set.packaged:
        places.append(Path(image_set.packaged, f"{name}.gz"))
    return next((path for path in places if path.exists()), None)


def missing_files(image_set: ImageSet, data_dir: Path) -> list[str]:
    """Return the names of those of the four files that are nowhere."""
    return [name for name in image_set.all_files if find_file(image_set, data_dir, name) is None]


def read_verified(image_set: ImageSet, path: Path) -> tuple[np.ndarray, str]:
    """Read a file that ``find_file`` has found.

    Returns
    -------
    array, md5
        The values, and the MD5 sum of the content, which is the known one where one is known.

    Raises
    ------
    UserError
        If it is not what it should be.
    """
    name, content = path.name.removesuffix(".gz"), path.read_bytes()
    if path.suffix == ".gz":
        found = md5_of(content)
        if found != image_set.archive_md5.get(name, found):
            raise _damaged(image_set, path, found, image_set.archive_md5[name])
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path} is damaged: {_mend(image_set)}") from error
    found = md5_of(content)
    if found != image_set.md5.get(name, found):
        raise _damaged(image_set, path, found, image_set.md5[name])
    try:
        return decode_idx(content), found
    except ValueError as error:
        raise UserError(f"{path}: {error}; {_mend(image_set)}") from error


def _damaged(image_set: ImageSet, path: Path, found: str, expected: str) -> UserError:
    return UserError(
        f"{path} is damaged or not {image_set.title}'s (MD5 {found}, expected {expected}): "
        f"{_mend(image_set)}"
    )


def _mend(image_set: ImageSet) -> str:
    if image_set.torchvision:
        return "delete it and run again to fetch it anew"
    return "write it anew, as IDX"
