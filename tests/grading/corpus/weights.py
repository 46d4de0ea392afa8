"""Dictionaries whose tensors are not those of a network."""

import math

import safetensors.torch
import torch

from common.models import MNISTClassifier
from tests.grading.corpus import NUM_IMAGES, saved


def fill(folder, good):
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
    without = {k: v for k, v in base.items() if k != "fc2.bias"}
    add("missing.pth", {**good, "model_state_dict": without}, "1 missing name (first")
    add(
        "extra.pth",
        {**base, "conv1.weight": bias, "x": bias},
        "another network (it has 'conv1.weight')",
    )
    add("keys.pth", {**base, 7: bias}, "names of the weights must be text, but one is of type int")
    hostile = "x\n::error::pwned\x1b[31m<script>" + "y" * 5000
    add("names.pth", {**base, hostile: bias}, r"'x\n::error::pwned\x1b[31m<script>")
    add("other.pth", {"conv.weight": bias}, "another network (it has 'conv.weight')")
    add("stranger.pth", {**good, "model_architecture": "ResNet"}, "is 'ResNet', but must be one")
    add(
        "unhashable.pth",
        {**good, "model_architecture": ["x"]},
        "is of type list, but must be one of",
    )
    add("mismatch.pth", {**good, "model_architecture": "ImprovedMNISTClassifier"}, "missing names")
    add("two.pth", {"state_dict": base, "model_state_dict": base}, "two sets of weights")
    add("list.pth", [1, 2], f"2 rows of predictions, expected {NUM_IMAGES:,}")
    add("tensor.pth", bias, "an array of the shape")
    add("none.pth", None, "is of type NoneType")
    add("empty-dict.pth", {}, "no weights")
    add("empty-nested.pth", {"state_dict": {}}, "no weights")
    add("wrong-nested.pth", {"state_dict": [bias]}, "state_dict is of type list")
    zero = {key: torch.zeros_like(tensor) for key, tensor in base.items()}
    add("zero.pth", zero, "all values of the answer are equal, for every image")
    overflow = {key: tensor * 1e30 for key, tensor in base.items()}
    add("overflow.pth", overflow, "images are NaN or infinite (first: image 1)")
    (folder / "empty.pth").write_bytes(b"")
    integers = {key: tensor.to(torch.int32) for key, tensor in base.items()}
    safetensors.torch.save_file(integers, folder / "integers.safetensors")
    return expected | {
        "empty.pth": ("error", "the file is empty"),
        "integers.safetensors": ("error", "has dtype int32"),
    }
