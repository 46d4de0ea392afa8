"""Submissions of every kind, honest and hostile, and the row that each must get.

Each function fills a folder and returns, by the row's name, the status and a part of the reason.
"""

import io
import math
import os
import pickle
import shutil
import socket
import struct
import zipfile

import numpy as np
import safetensors.torch
import torch

from common.models import ImprovedMNISTClassifier, MNISTClassifier

SEED = 7


class Payload:
    """Code that a careless load would run: it makes a folder, which is the canary."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


class Caller(Payload):
    """The same by network: a connection to the canary's port."""

    def __reduce__(self):
        return socket.create_connection, (("127.0.0.1", self.canary),)


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def with_members(archive, changes):
    """Return a zip file with members replaced or added, by their name in the archive's folder."""
    changes = dict(changes)
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(result, "w") as new:
        prefix = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            new.writestr(name, changes.pop(name.partition("/")[2], None) or old.read(name))
        for name, content in changes.items():
            new.writestr(f"{prefix}/{name}", content)
    return result.getvalue()


def honest(folder, good):
    """One trained network in each form that is accepted."""
    weights = good["model_state_dict"]

    def cast(dtype):
        return {key: tensor.to(dtype) for key, tensor in weights.items()}

    forms = {
        "design.pth": good,
        "upper.PTH": good,
        "design.pt": good,
        "bare.pth": weights,
        "nested.pth": {"state_dict": weights},
        "nested2.pth": {"model_state_dict": weights, "optimizer": {"state": [1, 2]}},
        "parallel.pth": {f"module.{k}": v for k, v in weights.items()},
        "compiled.pth": {"state_dict": {f"_orig_mod.{k}": v for k, v in weights.items()}},
        "both.pth": {f"module._orig_mod.{k}": v for k, v in weights.items()},
        "double.pth": cast(torch.float64),
        "half.pth": cast(torch.float16),
        "bfloat16.pth": cast(torch.bfloat16),
        "args.pth": {**good, "model_args": {"x\n<script>": 1, "hidden_sizes": [2**40]}},
        "silent.pth": {**good, "accuracy": None, "epoch": "x"},
        "wordy.pth": {**good, "accuracy": "100 %"},
        "boaster.pth": {**good, "accuracy": 99.99},
        "braggart.pth": {**good, "accuracy": 1e308},
        "beyond.pth": {**good, "accuracy": 10**400},
    }
    for name, content in forms.items():
        (folder / name).write_bytes(saved(content))
    legacy = saved(good, _use_new_zipfile_serialization=False)
    (folder / "legacy.pth").write_bytes(legacy)
    safetensors.torch.save_file(weights, folder / "plain.safetensors")
    safetensors.torch.save_file(cast(torch.float16), folder / "half.safetensors")
    names = [*forms, "legacy.pth", "plain.safetensors", "half.safetensors"]
    return dict.fromkeys(names, ("pass", None))


def untrained(folder):
    """Networks of other sizes and of the other class: graded, and bad."""
    torch.manual_seed(SEED)
    networks = {
        "narrow.pth": MNISTClassifier(hidden_sizes=(16,)).state_dict(),
        "linear.pth": MNISTClassifier(hidden_sizes=()).state_dict(),
        "deep.pth": MNISTClassifier(hidden_sizes=(8,) * 16).state_dict(),
        "improved.pth": ImprovedMNISTClassifier(hidden_sizes=(32, 16)).state_dict(),
        "four-keys.pth": {
            "model_state_dict": ImprovedMNISTClassifier(hidden_sizes=(32,)).state_dict(),
            "model_architecture": "ImprovedMNISTClassifier",
            "accuracy": 10.0,
            "epoch": 1,
        },
    }
    for name, content in networks.items():
        (folder / name).write_bytes(saved(content))
    return dict.fromkeys(networks, ("fail", None))


def pickles(folder, canary, port):
    """Code in every part of a file and in every protocol; and objects that only code could load."""
    small = MNISTClassifier(hidden_sizes=(8,)).state_dict()
    archive = saved(small)
    files = {}
    for protocol in range(6):
        files[f"protocol{protocol}.pth"] = saved(
            {"model_state_dict": small, "accuracy": Payload(canary)}, pickle_protocol=protocol
        )
        files[f"raw{protocol}.pth"] = pickle.dumps(Payload(canary), protocol=protocol)
        files[f"member{protocol}.pth"] = with_members(
            archive, {"data.pkl": pickle.dumps(Payload(canary), protocol=protocol)}
        )
    files["call.pth"] = saved({"model_state_dict": small, "epoch": Caller(port)})
    files["value.pth"] = saved({**small, "fc1.bias": Payload(canary)})
    payload = pickle.dumps(Payload(canary), protocol=2)
    head = [
        pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, small, [])
    ]
    for part in range(len(head)):  # magic number, protocol, system, object, storages
        legacy = [*head[:part], payload, *head[part + 1 :]]
        files[f"legacy{part}.pth"] = b"".join(legacy)
    files["module.pth"] = saved(MNISTClassifier(hidden_sizes=(8,)))
    files["optimizer.pth"] = saved({"state_dict": small, "args": zipfile.ZipInfo("x")})
    for name, content in files.items():
        (folder / name).write_bytes(content)
    expected = dict.fromkeys(files, ("error", "loads safely|only code could load"))
    expected["module.pth"] = ("error", "could load (first: 'common.models.Dropout' and ")
    expected["optimizer.pth"] = ("error", "could load (first: 'builtins.bytes' and 1 more)")
    expected |= {f"legacy{part}.pth": ("error", "") for part in range(len(head))}
    script = torch.jit.script if hasattr(torch.jit, "script") else None
    assert script, "TorchScript is still there to be refused"
    content = with_members(archive, {"code/x.py": b"pass", "constants.pkl": payload})
    (folder / "script.pt").write_bytes(content)
    (folder / "exported.pt").write_bytes(with_members(archive, {"archive_format": b"pt2"}))
    (folder / "exported.pt2").write_bytes(content)
    return expected | {
        "script.pt": ("error", "TorchScript"),
        "exported.pt": ("error", "torch.export program"),
        "exported.pt2": ("error", "can run code when it is opened"),
    }


def archives(folder):
    """Bombs, cuts, flips and what is no archive at all."""
    torch.manual_seed(SEED)
    archive = saved(MNISTClassifier(hidden_sizes=(8,)).state_dict())
    expected = {}

    def add(name, content, reason, status="error"):
        (folder / name).write_bytes(content)
        expected[name] = (status, reason)

    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        file.writestr("archive/data/0", bytes(2**20 * 300))
    add("bomb.pth", bomb.getvalue(), "expands to 300 MiB; at most 256 MiB")
    small_claim = bomb.getvalue().replace(struct.pack("<I", 2**20 * 300), struct.pack("<I", 1000))
    add("lying-bomb.pth", small_claim, "")
    crowd = io.BytesIO()
    with zipfile.ZipFile(crowd, "w") as file:
        for number in range(5000):
            file.writestr(f"archive/{number}", b"")
    add("crowd.pth", crowd.getvalue(), "5,000 members; at most 4,096 are")
    nested = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    add("nested-lists.pth", with_members(archive, {"data.pkl": nested}), "")
    add("nested-raw.pth", nested, "")
    laughs = b"\x80\x02]q\x00" + b"".join(
        b"]q" + bytes([n + 1]) + b"(" + (b"h" + bytes([n])) * 10 + b"e" for n in range(100)
    )
    add("laughs.pth", with_members(archive, {"data.pkl": laughs + b"."}), "of type list")
    add("escape.pth", with_members(archive, {"../../evil": b"x"}), None, "fail")
    for tenth in range(10):
        add(f"cut{tenth}.pth", archive[: len(archive) * tenth // 10], "")
    for position, name in (
        (archive.rindex(b"PK\x05\x06"), "end"),
        (archive.index(b"PK\x01\x02"), "directory"),
        (1, "start"),
    ):
        flipped = bytearray(archive)
        flipped[position] ^= 0xFF
        add(f"flip-{name}.pth", bytes(flipped), "")
    # The highest bits of a weight's exponent: a huge number, which is still a number.
    content = bytearray(archive)
    content[archive.index(struct.pack("<f", 0.0) * 8) - 4096 + 3] ^= 0x40
    add("flip-weight.pth", bytes(content), None, ("fail", "error"))
    add("page.pth", b"<!doctype html><title>403</title>", "")
    add("text.pth", b"accuracy: 99 %\n", "")
    add("dictionary.pth", pickle.dumps({"a": 1}), "")
    add("tensors.safetensors", archive, "not a safetensors file")
    header = b'{"fc1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,99999999]}}'
    add("lie.safetensors", struct.pack("<Q", len(header)) + header, "not a safetensors file")
    add("endless.safetensors", struct.pack("<Q", 2**63) + b"{", "not a safetensors file")
    with (folder / "sparse.pth").open("wb") as file:
        file.truncate(300 * 2**20)
    expected["sparse.pth"] = ("error", "the file has 300 MiB; at most 256 MiB")
    return expected


def weights(folder, good):
    """Dictionaries whose tensors are not those of a network."""
    base = good["model_state_dict"]
    bias = base["fc1.bias"]
    expected = {}

    def add(name, content, reason):
        (folder / name).write_bytes(saved(content))
        expected[name] = ("error", reason)

    odd = bias.clone()
    odd.isfinite = "an attribute survives a safe load"
    for name, tensor, reason in (
        ("meta", bias.to("meta"), "fc1.bias is no ordinary tensor"),
        ("nan", bias * math.nan, "fc1.bias holds values that are NaN"),
        ("infinite", bias / 0, "fc1.bias holds values that are NaN or infinite"),
        ("shape", bias[:-1], "fc1.bias has shape [511], expected [512]"),
        ("int8", bias.to(torch.int8), "fc1.bias has dtype int8"),
        ("bool", bias > 0, "fc1.bias has dtype bool"),
        ("complex", bias.to(torch.complex64), "fc1.bias has dtype complex64"),
        ("sparse-tensor", bias.to_sparse(), "fc1.bias is no ordinary tensor"),
        ("number", 3, "fc1.bias is no ordinary tensor"),
        ("stride0", torch.zeros(1).expand(10**12), "has shape [1000000000000], expected [512]"),
    ):
        add(f"{name}.pth", {**good, "model_state_dict": {**base, "fc1.bias": tensor}}, reason)
    huge = torch.zeros(1, 1).expand(10**7, 784)
    add("stride0-layer.pth", {**base, "fc1.weight": huge}, "with 1 to 8192 units")
    add("odd.pth", {**base, "fc1.bias": odd}, "")
    add("scalar.pth", {**base, "fc2.weight": torch.tensor(1.0)}, "fc2.weight has shape []")
    many = MNISTClassifier(hidden_sizes=(8,) * 17).state_dict()
    add("too-deep.pth", many, "more than 16 hidden layers")
    add("missing.pth", {k: v for k, v in base.items() if k != "fc2.bias"}, "1 missing name (first")
    add("extra.pth", {**base, "conv1.weight": bias, "x": bias}, "2 unexpected names (first: 'conv1")
    add("keys.pth", {**base, 7: bias}, "names of the weights must be text, but one is of type int")
    hostile = "x\n::error::pwned\x1b[31m<script>" + "y" * 5000
    add("names.pth", {**base, hostile: bias}, r"'x\n::error::pwned\x1b[31m<script>")
    add("other.pth", {"conv.weight": bias}, "1 unexpected name (first: 'conv.weight'")
    add("stranger.pth", {**good, "model_architecture": "ResNet"}, "is 'ResNet', but must be one")
    add(
        "unhashable.pth",
        {**good, "model_architecture": ["x"]},
        "is of type list, but must be one of",
    )
    add("mismatch.pth", {**good, "model_architecture": "ImprovedMNISTClassifier"}, "missing names")
    add("two.pth", {"state_dict": base, "model_state_dict": base}, "has both")
    add("list.pth", [1, 2], "is of type list, not a state_dict")
    add("tensor.pth", bias, "is of type Tensor")
    add("none.pth", None, "is of type NoneType")
    add("empty-dict.pth", {}, "no weights")
    add("empty-nested.pth", {"state_dict": {}}, "no weights")
    add("wrong-nested.pth", {"state_dict": [bias]}, "state_dict is of type list")
    zero = {key: torch.zeros_like(tensor) for key, tensor in base.items()}
    add("zero.pth", zero, "ten values of the answer are equal for every image")
    overflow = {key: tensor * 1e30 for key, tensor in base.items()}
    add("overflow.pth", overflow, "images are NaN or infinite (first: image 1)")
    (folder / "empty.pth").write_bytes(b"")
    integers = {key: tensor.to(torch.int32) for key, tensor in base.items()}
    safetensors.torch.save_file(integers, folder / "integers.safetensors")
    return expected | {
        "empty.pth": ("error", "the file is empty"),
        "integers.safetensors": ("error", "has dtype int32"),
    }


def predictions(folder, targets):
    """Prediction files: each accepted form, each fault, and the two sides of the threshold."""
    size = len(targets)
    rows = [f"{number},{label}" for number, label in enumerate(targets, start=1)]
    wrong = [f"{number},{(label + 1) % 10}" for number, label in enumerate(targets, start=1)]
    expected = {}

    def add(name, lines, status, reason=None, newline="\n", head="ImageId,Label", start=""):
        text = start + newline.join([head, *lines] if head else lines) + newline
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        expected[name] = (status, reason)

    def changed(number, line):
        return [*rows[: number - 1], line, *rows[number:]]

    add("perfect.csv", rows, "pass")
    add("windows.csv", rows, "pass", newline="\r\n", start="\ufeff")
    add("headless.csv", rows, "pass", head="")
    shuffled = np.random.default_rng(SEED).permutation(rows).tolist()
    add("shuffled.csv", shuffled, "pass", head="imageid, label")
    add("quoted.csv", [f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in rows], "pass")
    at = size * 8 // 10  # the corpus is graded against a threshold of 80 %
    add("at.csv", [*rows[:at], *wrong[at:]], "pass")
    add("below.csv", [*rows[: at - 1], *wrong[at - 1 :]], "fail")
    add("constant.csv", [f"{number},1" for number in range(1, size + 1)], "fail")
    add(
        "short.csv",
        rows[:-3],
        "error",
        f"9,997 rows of predictions, expected 10,000; id {size - 2}",
    )
    add("long.csv", [*rows, f"{size + 1},3"], "error", "10,001 rows")
    add("twice.csv", changed(5, "4,1"), "error", "line 6: id 4 was on line 5 already; id 5 is miss")
    add("zero-id.csv", changed(1, "0,1"), "error", "line 2: id '0' is not 1 to 10000")
    add("label10.csv", changed(2, "2,10"), "error", "line 3: label '10' is not 0 to 9")
    add("float.csv", changed(2, "2,3.0"), "error", "label '3.0' is not 0 to 9")
    add("unicode.csv", changed(2, "2,\u0663"), "error", "is not 0 to 9")
    add("blank.csv", changed(2, "2,"), "error", "label '' is not 0 to 9")
    add("extra.csv", [f"{row},1" for row in rows], "error", "has 3 cells, expected 2")
    add(
        "semicolon.csv",
        [r.replace(",", ";") for r in rows],
        "error",
        "'1;7', expected ImageId,Label",
        head="",
    )
    add("formula.csv", changed(2, "2,=1+1"), "error", "label '=1+1' is not 0 to 9")
    add("swapped.csv", rows, "error", "the first line is 'Label,ImageId'", head="Label,ImageId")
    add("many.csv", [f"{n},x" for n in range(1, size + 1)], "error", "; and 9,995 more")
    add("latin.csv", changed(2, "2,\udce9"), "error", "not a text file in UTF-8")
    add("quote.csv", changed(2, '2,"3'), "error", "is not CSV")
    add("cell.csv", changed(2, "2," + "9" * 200_000), "error", "is not CSV")
    add("header.csv", [], "error", "0 rows of predictions, expected 10,000")
    return expected


def entries(folder, good, outside):
    """Names and kinds of entries that a folder of uploads should not hold, and does."""
    content = saved(good)
    copy = folder / "twin-a.pth"
    copy.write_bytes(content)
    names = [
        "a\nb\x1b[31m.pth",
        "\u202egnp.pth",
        "\udcff.pth",
        "=HYPERLINK(1).pth",
        "n" * 251 + ".pth",
    ]
    names += [
        "<img src=x onerror=alert(1)>.pth",
        "::error::x|`x`.pth",
        "+1.pth",
        "twin-b.pth",
        "ä 中.pth",
    ]
    for name in names:
        os.link(copy, folder / name)
    os.mkfifo(folder / "fifo.pth")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(folder / "socket.pth"))
    listener.close()
    (folder / "outside.pth").symlink_to(outside)
    (folder / "device.pth").symlink_to("/dev/zero")
    (folder / "dangling.pth").symlink_to(folder / "nowhere")
    (folder / "inside.pth").symlink_to("twin-a.pth")
    (folder / "loop.pth").symlink_to("loop.pth")
    (folder / "notes.txt").write_text("hello")
    (folder / "no-suffix").write_bytes(content)
    shown = [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]
    return dict.fromkeys([*shown, "twin-a.pth", "inside.pth"], ("pass", None)) | {
        "fifo.pth": ("error", "not a regular file but a FIFO"),
        "socket.pth": ("error", "not a regular file but a socket"),
        "outside.pth": ("error", "leads outside"),
        "device.pth": ("error", "leads outside"),
        "dangling.pth": ("error", "leads nowhere"),
        "loop.pth": ("error", ""),
        "notes.txt": ("error", "unknown kind of file"),
        "no-suffix": ("error", "unknown kind of file"),
    }


def folders(folder, good, run):
    """Students' folders, with none, one or several files that could count."""
    content = saved(good)
    layout = {
        "one": ["model.pth", "report.pdf", "train.py", ".DS_Store"],
        "deep": ["submission/v2/final.pth", "__MACOSX/._final.pth", ".git/old.pth"],
        "several": ["a.pth", "b/c.pt"],
        "named.pth": ["readme.md"],
        "nothing": [],
    }
    for student, files in layout.items():
        (folder / student).mkdir()
        for name in files:
            path = folder / student / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    shutil.copytree(run, folder / "run")
    (folder / "run/other.pth").write_bytes(content)
    (folder / "half-run").mkdir()
    (folder / "half-run/metrics.json").write_text("{}")
    (folder / "linker").mkdir()
    (folder / "linker/model.pth").symlink_to("../one/model.pth")
    (folder / "linked").symlink_to(folder.parent)
    return {
        "one": ("pass", None),
        "deep": ("pass", None),
        "run": ("pass", None),
        "several": (
            "error",
            "ambiguous: the folder has 2 files that could be graded ('a.pth', 'b/c",
        ),
        "named.pth": ("error", "no file to grade"),
        "nothing": ("error", "no file to grade"),
        "half-run": ("error", "no checkpoint.pth"),
        "linker": ("error", "leads outside"),
        "linked": ("error", "leads outside"),
    }
