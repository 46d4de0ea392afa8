"""What comes out of a zip file, on its way to the parent, and which of it nobody means."""

import struct

PACKET = struct.Struct("<cI")  # kind and length; so many bytes follow
NAME, PIECE, END, REFUSED = b"n", b"p", b".", b"r"
MAX_PIECE = 2**20  # bytes of a packet

# Suffixes of tables, and of files that hold the weights of an .onnx file beside them.
TABLES = (".csv", ".tsv", ".tab", ".txt", ".npy", ".npz", ".json", ".jsonl")
DATA = (".data", ".onnx_data", ".weights")

# What a Mac or an editor puts into folders and archives, and folders of programs.
_PASSED_OVER = {"__MACOSX", "site-packages", "node_modules", "venv", "env", "__pycache__"}


def parts_of(name: str) -> list[str]:
    """Return the names of the folders and of the file in a member's name."""
    parts = name.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..")]


def is_passed_over(part: str) -> bool:
    """Tell whether nobody means a file or folder of this name, or what is in it, to be graded."""
    return part in _PASSED_OVER or part.startswith((".", "~$"))
