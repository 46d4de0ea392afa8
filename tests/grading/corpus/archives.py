"""Bombs, cuts, flips and what is no archive at all."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import torch

from common.models import MNISTClassifier
from tests.grading.corpus import SEED, saved, with_members


def fill(folder):
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
    add("laughs.pth", with_members(archive, {"data.pkl": laughs + b"."}), "no predictions that can")
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
    objects = io.BytesIO()
    np.savez(objects, p=np.array([{}] * 10_000, dtype=object), allow_pickle=True)
    add("objects.npz", objects.getvalue(), "")
    lying = io.BytesIO()
    with zipfile.ZipFile(lying, "w") as file:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000, 1000000), }"
        file.writestr("p.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    add("lying.npz", lying.getvalue(), "")
    add("deep.json", b"[" * 100_000, "")
    add("huge.json", b"[" + b"1" * 4000 + b"]", "")
    shards = io.BytesIO()
    with zipfile.ZipFile(shards, "w") as file:
        index = {"weight_map": {"fc1.weight": "../../etc/passwd"}}
        file.writestr("model.safetensors.index.json", json.dumps(index))
        file.writestr("model-00001-of-00001.safetensors", b"\xff" * 64)
    add("shards.zip", shards.getvalue(), "")
    add("cut.zip", shards.getvalue()[: len(shards.getvalue()) // 2], "damaged or cut short")
    add("page.pth", b"<!doctype html><title>403</title>", "")
    add("text.pth", b"accuracy: 99 %\n", "")
    add("dictionary.pth", pickle.dumps({"a": 1}), "")
    add("tensors.safetensors", archive, None, "fail")
    header = b'{"fc1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,99999999]}}'
    add("lie.safetensors", struct.pack("<Q", len(header)) + header, "not a safetensors file")
    add("endless.safetensors", struct.pack("<Q", 2**63) + b"{", "not a safetensors file")
    with (folder / "sparse.pth").open("wb") as file:
        file.truncate(300 * 2**20)
    expected["sparse.pth"] = ("error", "the file has 300 MiB; at most 256 MiB")
    return expected
