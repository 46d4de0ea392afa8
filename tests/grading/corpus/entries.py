"""Names and kinds of entries, and students' folders."""

import os
import shutil
import socket

from tests.grading.corpus import NUM_IMAGES, saved


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
    (folder / "long-link").symlink_to("n" * 300)
    (folder / "notes.txt").write_text("hello")
    (folder / "no-suffix").write_bytes(content)
    shown = [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]
    return dict.fromkeys([*shown, "twin-a.pth", "no-suffix"], ("pass", None)) | {
        "fifo.pth": ("error", "not a regular file but a FIFO"),
        "socket.pth": ("error", "not a regular file but a socket"),
        "outside.pth": ("error", "a link"),
        "inside.pth": ("error", "a link"),
        "device.pth": ("error", "a link"),
        "dangling.pth": ("error", "a link"),
        "loop.pth": ("error", "a link"),
        "long-link": ("error", "a link"),
        "notes.txt": ("error", f"of predictions, expected {NUM_IMAGES:,}"),
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
    (folder / "loser").mkdir()
    (folder / "loser/model.pth").symlink_to("nowhere")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "bottomless").joinpath(*"a" * 40).mkdir(parents=True)
    return {
        "one": ("pass", None),
        "deep": ("pass", None),
        "run": ("pass", None),
        "several": (
            "error",
            "ambiguous: 2 files could be graded ('a.pth', 'b/c.pt'): keep one",
        ),
        "named.pth": ("error", "no file to grade"),
        "nothing": ("error", "no file to grade"),
        "half-run": ("error", "no predictions in this JSON"),
        "linker": ("error", "leads outside"),
        "loser": ("error", "leads nowhere"),
        "linked": ("error", "a link"),
        "bottomless": ("error", "more than 32 folders deep"),
    }
