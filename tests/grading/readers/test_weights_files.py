"""Weights in other files than torch.save's: joined, told by content, or what makes one of them."""

import io
import json
import pickle
import warnings
import zipfile

import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from common.data.catalog import MNIST
from common.models import MNISTClassifier
from common.support.errors import SubmissionError
from grading.readers.kinds import read_file
from grading.readers.reader import read_submission
from grading.readers.weights.checkpoint import parse_checkpoint
from tests.conftest import read, run
from tests.grading.corpus import saved, with_members
from tests.grading.folders import write, zipped

WEIGHTS = MNISTClassifier(hidden_sizes=(4,)).state_dict()


def index(suffix="safetensors", parts=(1, 2), **options):
    """The index of weights in two files, as transformers and huggingface_hub write it."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    places = {k: f"{stem}-0000{parts[n > 1]}-of-00002.{suffix}" for n, k in enumerate(WEIGHTS)}
    return json.dumps({"metadata": {"total_size": 1}, "weight_map": {**places, **options}}).encode()


def shards(suffix="safetensors"):
    save = safetensors.torch.save if suffix == "safetensors" else saved
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    halves = dict(list(WEIGHTS.items())[:2]), dict(list(WEIGHTS.items())[2:])
    return {
        f"{stem}-0000{n}-of-00002.{suffix}": save(half) for n, half in enumerate(halves, start=1)
    }


def joined(files):
    reading = read_submission(list(files.items()), MNIST.sizes, 10_000)
    return reading.predict(torch.ones(2, 1, 28, 28))


def refusal(files):
    with pytest.raises(SubmissionError) as caught:
        joined(files)
    return str(caught.value)


@pytest.mark.parametrize("folder", ["", "model/"])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_an_index_joins_the_files_that_it_names(folder, suffix):
    files = {**shards(suffix), f"model.{suffix}.index.json": index(suffix)}
    files = {f"{folder}{name}": content for name, content in files.items()}
    expected = joined({"model.pth": saved(WEIGHTS)})
    assert (joined(files) == expected).all()
    assert (joined({"model.zip": zipped(files)}) == expected).all()


ALL = shards()
FIRST, SECOND = ALL
BAD_INDEXES = {
    "no index": (ALL, "only one of the files that the weights are in"),
    "part missing": (
        {FIRST: ALL[FIRST], "m.index.json": index()},
        "names 'model-00002-of-00002.safetensors', which is missing",
    ),
    "in another place": ({**ALL, "m.index.json": index(parts=(2, 1))}, "'fc1.weight' is not in"),
    "no such file": ({**ALL, "m.index.json": index(x="../etc/passwd")}, "'../etc/passwd', which"),
    "number": ({**ALL, "m.index.json": index(x=7)}, "the index names no file of weights"),
    "list": ({"m.index.json": b"[1]"}, "the index names no file of weights"),
    "deep": ({"m.index.json": b"[" * 100_000}, "the index names no file of weights"),
    "large": ({"m.index.json": b" " * 2**20 + index()}, "the index names no file of weights"),
    "bytes": ({"m.index.json": b"\xff"}, "one file: torch.save(model.state_dict(), 'model.pth')"),
}


@pytest.mark.parametrize("name", BAD_INDEXES)
def test_an_index_that_does_not_join_is_refused(name):
    files, part = BAD_INDEXES[name]
    assert part in refusal(files)


def test_the_only_part_of_one_is_a_file_like_any():
    name = "model-00001-of-00001.safetensors"
    assert joined({name: safetensors.torch.save(WEIGHTS)}).shape == (2, 10)


@pytest.mark.parametrize("name", ["m.pt", "m.bin", "m.ckpt", "m", "m.safetensors"])
def test_content_decides_what_a_file_of_weights_is(name):
    contents = {"safetensors": safetensors.torch.save(WEIGHTS), "checkpoint": saved(WEIGHTS)}
    for kind, content in contents.items():
        assert read_file((name, content), [(name, content)], MNIST.sizes, 10_000).info.kind == kind


def holding(name):
    """Return weights, and beside them an object of a class of this name, not installed or not."""
    content, member = saved({"model": WEIGHTS, "opt": "here"}), "data.pkl"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(member)]
        pickled = archive.read(path)
    state = pickle.dumps({"items": [{"lr": 0.1}]}, protocol=2)[2:-1]
    # The class, no arguments, NEWOBJ, the state, BUILD.
    made = "c{}\n{}\n".format(*name.rsplit(".", 1)).encode() + b")\x81" + state + b"b"
    assert b"X\x04\x00\x00\x00here" in pickled
    return with_members(content, {member: pickled.replace(b"X\x04\x00\x00\x00here", made)})


@pytest.mark.parametrize("name", ["fastcore.foundation.L", "omegaconf.listconfig.ListConfig"])
def test_a_list_of_another_library_is_a_list(name):
    assert parse_checkpoint(holding(name)).architecture == "MNISTClassifier"


OTHERS = {
    "torch.distributed._shard.sharded_tensor.api.ShardedTensor": "full_state_dict=True",
    "torchao.quantization.Int8Tensor": "{k: v.dequantize() for k, v in model.state_dict().items()}",
    "fastcore.foundation.X": "only code could load (first: 'fastcore.foundation.X')",
}


@pytest.mark.parametrize("name", OTHERS)
def test_weights_that_only_their_package_can_load_get_its_command(name):
    with pytest.raises(SubmissionError) as caught:
        parse_checkpoint(holding(name))
    assert OTHERS[name] in str(caught.value)


def test_an_average_without_names_gets_the_command_that_names_them():
    with pytest.raises(SubmissionError, match=r"ema\.copy_to\(model\.parameters\(\)\)"):
        parse_checkpoint(saved({"decay": 0.9, "shadow_params": [*WEIGHTS.values()]}))


def test_dequantised_weights_are_graded_as_the_command_says():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchao takes its place
        quantised = torch.quantize_per_tensor(WEIGHTS["fc1.weight"], 0.01, 0, torch.qint8)
    weights = {**WEIGHTS, "fc1.weight": quantised}
    assert "of a quantised network those from before" in refusal({"m.pth": saved(weights)})
    found = parse_checkpoint(saved({k: v.dequantize() for k, v in weights.items()}))
    assert torch.allclose(found.model.state_dict()["fc1.weight"], WEIGHTS["fc1.weight"], atol=0.01)


def test_a_class_hands_in_folders_of_other_tools(tmp_path, data_dir):
    """Shards with an index, a distributed checkpoint, those of JAX, Paddle and TensorFlow."""
    (tmp_path / "data").symlink_to(data_dir)
    students = tmp_path / "students"
    write(students / "shards", {**ALL, "model.safetensors.index.json": index()})
    write(students, {"nosuffix": safetensors.torch.save(WEIGHTS)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it saves in one process
        dcp.save({"model": WEIGHTS}, checkpoint_id=students / "dcp", no_dist=True)
    write(students / "orbax", {"manifest.ocdbt": b"x", "d/0a": b"x", "_METADATA": b"{}"})
    write(students, {"flax.msgpack": b"x", "paddle.pdparams": pickle.dumps({}, protocol=4)})
    write(students / "tf", {"saved_model.pb": b"x", "variables/variables.index": b"x"})
    write(students, {"model.tflite": b"x"})
    dcp_to_torch_save(students / "dcp", students / "joined.pth")
    completed = run("evaluate.py", students, "--threshold", "1", cwd=tmp_path)
    assert completed.returncode == 1, completed.stderr
    rows = {r["name"]: r for r in read(tmp_path / "runs/grading/evaluation.json")["results"]}
    for name in ("shards", "nosuffix", "joined.pth"):
        assert rows[name]["status"] == "pass", rows[name]
        assert rows[name]["correct"] == rows["joined.pth"]["correct"]
    assert "format_utils dcp_to_torch FOLDER model.pth" in rows["dcp"]["reason"]
    for name in ("orbax", "flax.msgpack", "paddle.pdparams"):
        assert "np.savetxt('predictions.csv'" in rows[name]["reason"], rows[name]
    for name in ("tf", "model.tflite"):
        assert "model.save('model.keras')" in rows[name]["reason"], rows[name]
