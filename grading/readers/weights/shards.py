"""A network whose weights are in several files, which an index names (``*.index.json``)."""

import json
import re
from pathlib import PurePosixPath

from common.data.catalog import Sizes
from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.archives import NamedFile
from grading.readers.weights.checkpoint import load_weights
from grading.readers.weights.state_dicts import Checkpoint, rebuild

_MAX_INDEX = 2**20  # bytes; those of a network with 4,096 weights take 300 kB
_PART = re.compile(r"-\d+-of-(?!0*1\.)\d+\.(safetensors|bin|pt|pth)$")
_ONE_FILE = (
    "hand in all of them with their index (.index.json), or one file: "
    "torch.save(model.state_dict(), 'model.pth')"
)


def is_index(name: str) -> bool:
    """Tell by its name whether a file says in which others weights are."""
    return name.lower().endswith(".index.json")


def is_shard(name: str, files: list[NamedFile]) -> bool:
    """Tell whether a file is one of those that an index beside it joins.

    Raises SubmissionError if the file is one of several by its name, and there is no index.
    """
    path = PurePosixPath(name)
    indexes = [f for f in files if is_index(f[0]) and PurePosixPath(f[0]).parent == path.parent]
    if _PART.search(path.name) and not indexes:
        raise SubmissionError(f"only one of the files that the weights are in: {_ONE_FILE}")
    named = {place for index in indexes for place in _places(index[1]).values()}
    return path.name in named or _PART.search(path.name) is not None


def parse_shards(index: NamedFile, files: list[NamedFile], sizes: Sizes) -> Checkpoint:
    """Rebuild the network whose weights are in the files that an index names, right beside it.

    Raises SubmissionError if one of them is not there, or what ``rebuild`` raises.
    """
    folder, places = PurePosixPath(index[0]).parent, _places(index[1])
    if not places:
        raise SubmissionError(f"the index names no file of weights: {_ONE_FILE}")
    beside = {
        PurePosixPath(name).name: content
        for name, content in files
        if PurePosixPath(name).parent == folder
    }
    loaded = {}
    for place in sorted({*places.values()}):
        if place not in beside:
            raise SubmissionError(f"the index names {quoted(place)}, which is missing: {_ONE_FILE}")
        loaded[place] = load_weights(beside[place])
    missing = [name for name, place in places.items() if name not in loaded[place]]
    if missing:
        raise SubmissionError(
            f"{quoted(missing[0])} is not in the file that the index names: {_ONE_FILE}"
        )
    return rebuild({name: loaded[place][name] for name, place in places.items()}, sizes)


def _places(content: bytes) -> dict[str, str]:
    """Return the name of the file that has each weight; empty if it is no such index."""
    try:
        places = json.loads(content)["weight_map"] if len(content) <= _MAX_INDEX else {}
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    is_map = isinstance(places, dict) and all(isinstance(x, str) for x in places.values())
    return places if is_map else {}
