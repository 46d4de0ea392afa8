"""What students and course platforms put into folders and zip files, by name."""

import io
import struct
import zipfile

import torch

from tests.grading.corpus import saved

NOTEBOOK = b'{"cells": [], "nbformat": 4}'
LOG = b"epoch,loss,accuracy\n1,0.5,91.0\n2,0.4,93.1\n"
METADATA = """---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '1815'
    :email: ada@example.edu
  :created_at: 2026-11-01
submission_12:
  :submitters:
  - :name: Bob
    :sid: '2'
    :email: bob@example.edu
"""


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def encrypted(archive):
    """The same with the flag of encryption in each header, as a password would leave it."""
    content = bytearray(archive)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + at] |= 1
            start = content.find(signature, start + 4)
    return bytes(content)


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# By name: the status, and the parts of the reason or of the notes.
ZIPS = {
    "deep.zip": ("pass", "model.pth"),
    "dotted.zip": ("pass", "model.pth"),
    "mac.zip": ("pass", ""),
    "bomb.zip": ("error", "expands to more than 256 MiB"),
    "liar.zip": ("error", "damaged"),
    "climbs.zip": ("pass", "m.pth"),
    "absolute.zip": ("pass", ""),
    "matryoshka.zip": ("error", "within a zip"),
    "secret.zip": ("error", "encrypted"),
    "pair.zip": ("error", "a.pth|b/b.pth"),
    "twice.zip": ("error", "a/m.pth|b/m.pth"),
    "empty.zip": ("error", "no file in it can be graded"),
    "cut.zip": ("error", "damaged"),
    "cnn.zip": ("error", "conv1|.onnx"),
}


def zips(good, bad):
    bomb = zipped({"a/model.pth": bytes(300 * 2**20)})
    cell = saved({"conv1.weight": torch.zeros(2, 1, 3, 3), "conv1.bias": torch.zeros(2)})
    return {
        "deep.zip": zipped({"hw1/src/out/model.pth": good, "hw1/a.py": b"1"}),
        "dotted.zip": zipped({"./hw1/model.pth": good}),
        "mac.zip": zipped({"m.pth": good, "__MACOSX/._m.pth": b"x"}),
        "bomb.zip": bomb,
        "liar.zip": bomb.replace(struct.pack("<I", 300 * 2**20), struct.pack("<I", 1000)),
        "climbs.zip": zipped({"../../evil": b"x", "../../m.pth": good}),
        "absolute.zip": zipped({"/evil-of-a-zip.pth": good}),
        "matryoshka.zip": zipped({"in.zip": zipped({"m.pth": good})}),
        "secret.zip": encrypted(zipped({"m.pth": good})),
        "pair.zip": zipped({"a.pth": good, "b/b.pth": bad}),
        "twice.zip": zipped({"a/m.pth": good, "b/m.pth": bad}),
        "empty.zip": zipped({}),
        "cut.zip": zipped({"m.pth": good})[:-40],
        "cnn.zip": zipped({"README.md": b"mine", "model.pth": cell}),
    }


def students(good, bad):
    """Folders by name: what lies in them beside the one model that counts."""
    venv = {f"venv/lib/python3/site-packages/torch/{n}.pth": bad for n in "abc"}
    return {
        "ada": {"model.pth": good, "hw.ipynb": NOTEBOOK, "report.pdf": b"%PDF-1.7"},
        "bea": {"model.pth": good, "log.csv": LOG, "notes.txt": b"91 % at last\n"},
        "cid": {"model.pth": good, **venv, "lib/site-packages/x.pth": bad},
        "dan": {"model.pth": good, ".ipynb_checkpoints/model.pth": bad},
        "eve": {"best.pth": good, "metrics.json": b'{"accuracy": 99.99}'},
        "fay": {"a/b/c/model.pth": good, "__MACOSX/a/._model.pth": b"x"},
        "gus": {"model.pth": good, "locked.zip": encrypted(zipped({"data.csv": LOG}))},
        "hal": {"hal.zip": zipped({"hw/model.pth": good}), "report.pdf": b"%PDF"},
        "ian": {"model.pth": good, **{f"logs/{n}.txt": b"loss 0.1\n" for n in range(70)}},
    }


def canvas(good, bad):
    return {
        "adalovelace_101_9001_model.pth": good,
        "adalovelace_101_9002_report.pdf": b"%PDF",
        "bobbuilder_LATE_102_9003_model.pth": bad,
        "bobbuilder_LATE_102_9004_model-1.pth": bad,
        "bobbuilder_LATE_102_9005_model-2.pth": good,
        "bobbuilder_LATE_102_9006_hw.ipynb": NOTEBOOK,
        "cyd_103_9010_model-10.pth": good,
        "cyd_103_9011_model-9.pth": bad,
        "dee_104_9012_a.pth": good,
        "dee_104_9013_b.pth": bad,
    }


MOODLE = "{} {}_{}_assignsubmission_{}_{}"


def moodle(good):
    return {
        MOODLE.format("Ada", "Lovelace", 1, "file", "/model.pth"): good,
        MOODLE.format("Ada", "Lovelace", 1, "onlinetext", "/onlinetext.html"): b"<p>hello",
        MOODLE.format("Bob", "Builder", 2, "file", "model.pth"): good,
        MOODLE.format("Bob", "Builder", 2, "file", "hw.ipynb"): NOTEBOOK,
        MOODLE.format("Bob", "Builder", 2, "onlinetext", "onlinetext.html"): b"<p>hello",
    }
