"""Code in every part of a file."""

import os
import pickle
import socket
import zipfile

import torch

from common.models import MNISTClassifier
from tests.grading.corpus import saved, with_members


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


def fill(folder, canary, port):
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
    for protocol in (0, 1):  # they begin like text
        expected[f"raw{protocol}.pth"] = ("error", "not a PyTorch checkpoint")
    expected["module.pth"] = ("error", "could load (first: 'common.layers.Dropout' and ")
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
