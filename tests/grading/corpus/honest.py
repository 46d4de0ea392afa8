"""Networks in each form that is accepted, good and bad ones."""

import safetensors.torch
import torch

from common.models import ImprovedMNISTClassifier, MNISTClassifier
from tests.grading.corpus import SEED, saved


def forms(folder, good):
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
