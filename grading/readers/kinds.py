"""Reads one file of a submission, as what its content says it is."""

from pathlib import PurePosixPath

import numpy as np
import torch
from torch import Tensor

from common.data.catalog import Sizes
from common.models import count_parameters
from common.support.errors import SubmissionError
from common.support.files import is_undamaged_zip
from evaluations.rows import ClassAnswers, FileInfo, LogitAnswers
from grading.readers.archives import NamedFile
from grading.readers.keras.model import is_keras, parse_keras
from grading.readers.onnx.model import open_onnx
from grading.readers.predictions import Predictions, looks_like_predictions, parse_predictions
from grading.readers.saved import are_predictions, predictions_in
from grading.readers.weights.checkpoint import (
    is_checkpoint,
    is_safetensors,
    parse_loaded,
    parse_safetensors,
)
from grading.readers.weights.safe_load import load_checkpoint
from grading.readers.weights.shards import is_index, is_shard, parse_shards
from grading.readers.weights.state_dicts import Checkpoint
from grading.sandbox.members import DATA, TABLES
from grading.sandbox.reading import Network, Reading, Table

INSTEAD = {
    ".pt2": "a .pt2 file is a program that can run code when it is opened",
    ".pkl": "a pickle can run code when it is opened",
    ".pickle": "a pickle can run code when it is opened",
    ".joblib": "a joblib file can run code when it is opened",
    ".distcp": "one part of a folder of torch.distributed.checkpoint, which is no file to grade",
    ".ocdbt": "one part of a folder of Orbax (JAX), which is no file to grade",
    ".msgpack": "a .msgpack file of Flax (JAX) is not read",
    ".pdparams": "a pickle of Paddle can run code when it is opened",
    ".pb": "one part of a SavedModel folder (TensorFlow), which is no file to grade",
    ".tflite": "a .tflite file (TensorFlow Lite) is not read",
    ".rar": "a .rar archive is not opened",
    ".7z": "a .7z archive is not opened",
}
# What to do instead, where that is more than to hand in another kind of file.
_COMMANDS = {
    ".distcp": (
        "join the parts, python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER "
        "model.pth, and hand in model.pth"
    ),
    **dict.fromkeys(
        (".ocdbt", ".msgpack", ".pdparams"),
        "hand in predictions, np.savetxt('predictions.csv', np.asarray(logits).argmax(1), "
        "fmt='%d') with the logits [N, 10] of the test images in order",
    ),
    **dict.fromkeys(
        (".pb", ".tflite"), "hand in model.keras, which model.save('model.keras') writes"
    ),
}
_AS_CSV = "pd.read_{}('predictions{}').to_csv('predictions.csv', index=False)"
_IN_R = "save the predictions as text, with write.csv(predictions, 'predictions.csv')"
# Tables that other tools open, and write as text.
_REASONS = {
    **{
        suffix: f"a {suffix} file: save the table as CSV, with {_AS_CSV.format(reader, suffix)}"
        for suffix, reader in (
            *((".xlsx", "excel"), (".xls", "excel"), (".ods", "excel")),
            *((".parquet", "parquet"), (".feather", "feather")),
        )
    },
    ".mat": "a .mat file: save the labels with writematrix(predictions, 'predictions.csv')",
    ".rds": f"an .rds file: {_IN_R}",
    ".rdata": f"an .RData file: {_IN_R}",
}
# Their pickles are read, to say what is in the way.
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".tar")
_KERAS = (".keras", ".h5", ".hdf5")
_BATCH_SIZE = 1000
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
ADVICE = (
    "hand in the weights (.pth, .safetensors), an .onnx or .keras model, or predictions (.csv with "
    "ImageId,Label)"
)


def suffix_of(name: str) -> str:
    """Return the suffix in small letters, with its dot; empty without one."""
    return PurePosixPath(name).suffix.lower()


def is_spreadsheet(name: str, content: bytes) -> bool:
    """Tell a workbook of Excel or LibreOffice, by its name or its content."""
    if suffix_of(name) in _SPREADSHEETS:
        return True
    return b"xl/workbook" in content[: 2**16] or b"opendocument.spreadsheet" in content[:200]


def may_count(name: str, content: bytes) -> bool:
    """Tell whether a file of an archive can be meant to be graded, as one of a folder can."""
    known = (*_CHECKPOINTS, *_KERAS, *TABLES, *DATA, *_REASONS, *INSTEAD)
    if suffix_of(name) in (*known, ".onnx", ".safetensors", ".zip") or is_index(name):
        return True
    beginnings = (b"PK\x03\x04", b"\x80", b"\x93NUMPY", b"\x89HDF")
    is_known = content.startswith(beginnings) or is_safetensors(content)
    return not suffix_of(name) and is_known


def read_file(
    file: NamedFile, files: list[NamedFile], sizes: Sizes, num_images: int
) -> Reading | None:
    """Return what a file is, which is one of ``files``; None if it is not meant to be graded.

    Raises SubmissionError if it cannot be read. The only file has to be what counts.
    """
    name, content = file
    suffix, is_alone = suffix_of(name), len(files) == 1
    expected = (num_images, sizes.num_classes)
    if suffix == ".onnx":
        return _read_onnx(file, files, sizes)
    if is_index(name):
        return _network("checkpoint", parse_shards(file, files, sizes), sizes.num_classes)
    if is_keras(content):
        return _read_keras(content, sizes)
    is_weights = suffix == ".safetensors" and not is_checkpoint(content)
    if is_weights or (suffix in ("", *_CHECKPOINTS) and is_safetensors(content)):
        if is_shard(name, files):
            return None
        return _network("safetensors", parse_safetensors(content, sizes), sizes.num_classes)
    if suffix in (".pt2", *_COMMANDS):  # some are archives as torch.save writes them
        raise SubmissionError(f"{INSTEAD[suffix]}: {_COMMANDS.get(suffix, ADVICE)}")
    if suffix == ".zip" and content.startswith(b"PK") and not is_undamaged_zip(content):
        raise SubmissionError("the zip file is damaged or cut short: upload it again")
    if is_checkpoint(content) or (suffix in _CHECKPOINTS and content.startswith(b"\x80")):
        if is_shard(name, files):
            return None
        loaded = load_checkpoint(content)
        if are_predictions(loaded, *expected):
            return _table(predictions_in(loaded, *expected))
        return _network("checkpoint", parse_loaded(loaded, sizes), sizes.num_classes)
    if suffix in _KERAS:  # by its name alone
        return _read_keras(content, sizes)
    if suffix in _REASONS or is_spreadsheet(name, content):
        raise SubmissionError(_REASONS.get(suffix, _REASONS[".xlsx"]))
    if suffix in INSTEAD:
        raise SubmissionError(f"{INSTEAD[suffix]}: {ADVICE}")
    if suffix in TABLES or content.startswith(b"\x93NUMPY"):
        is_meant = is_alone or looks_like_predictions(content)
        return _table(parse_predictions(content, *expected)) if is_meant else None
    if suffix in DATA and not is_alone:
        return None
    if suffix == ".zip":
        raise SubmissionError("a zip file within a zip file: hand in the files themselves")
    raise SubmissionError(
        "not a PyTorch checkpoint, or a damaged one: save it with torch.save and upload it again"
    )


def _table(found: Predictions) -> Table:
    info = FileInfo(kind="predictions", notes="; ".join(found.notes))
    if found.values.ndim == 1:
        return Table(ClassAnswers(found.values, info))
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(found.values), -100).astype(np.float32)
    return Table(LogitAnswers(logits, info))


def _read_onnx(file: NamedFile, files: list[NamedFile], sizes: Sizes) -> Network:
    name, content = file
    others = [(PurePosixPath(other), data) for other, data in files]
    beside = {path.name: data for path, data in others if path.parent == PurePosixPath(name).parent}
    model = open_onnx(content, beside, sizes.side, sizes.num_classes)
    return Network(
        FileInfo(kind="onnx", notes="; ".join(model.notes)),
        lambda inputs: model.predict(inputs.numpy()),
        model.normalization,
        model.takes_pixels,
    )


def _read_keras(content: bytes, sizes: Sizes) -> Network:
    checkpoint, takes_pixels = parse_keras(content, sizes)
    network = _network("keras", checkpoint, sizes.num_classes)
    return network._replace(takes_pixels=takes_pixels)


def _network(kind: str, checkpoint: Checkpoint, num_classes: int) -> Network:
    model = checkpoint.model

    @torch.inference_mode()
    def predict(inputs: Tensor) -> np.ndarray:
        return np.concatenate([ask(batch) for batch in inputs.split(_BATCH_SIZE)])

    def ask(inputs: Tensor) -> np.ndarray:
        try:
            logits = model(inputs)
        except (RuntimeError, ValueError):
            logits = model(inputs.flatten(start_dim=1))  # the same numbers, for who wants them flat
        if not isinstance(logits, Tensor) or logits.shape != (len(inputs), num_classes):
            answer = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise SubmissionError(
                f"the network answers {len(inputs)} images with {answer}, expected "
                f"[{len(inputs)}, {num_classes}]: give it an output for each class"
            )
        return logits.float().numpy()

    info = FileInfo(
        kind=kind,
        architecture=checkpoint.architecture,
        parameters=count_parameters(model),
        epoch=checkpoint.epoch,
        claimed_accuracy=checkpoint.claimed_accuracy,
        claimed_total=checkpoint.claimed_total,
        notes="; ".join(checkpoint.notes),
        is_guess=checkpoint.is_guess,
    )
    return Network(info, predict, checkpoint.normalization)
