"""The command line that starts a process in a file system of its own, by bubblewrap.

Inside is Python and what it needs, and nothing else: no network, no other process, no other file,
no way to new privileges. Bubblewrap: https://github.com/containers/bubblewrap
"""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

# The system's libraries, and the cache that says where they are.
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")


def find() -> str | None:
    """Return the path of ``bwrap``, if it is installed."""
    return shutil.which("bwrap")


def wrapped(command: list[str], folders: Iterable[Path], working_folder: Path) -> list[str]:
    """Return ``command`` in a sandbox that shows ``folders``, Python and the system, read-only."""
    # Only installed packages: the module path begins with the script's own folder.
    packages = [place for place in sys.path if "-packages" in place]
    python = [Path(place) for place in (sys.prefix, sys.base_prefix, *packages)]
    shown = {*map(Path, _SYSTEM), *python, *(place.resolve() for place in python), *folders}
    # Parents before children: a mount hides what was mounted below it earlier.
    binds = [word for path in sorted(shown) for word in ("--ro-bind-try", str(path), str(path))]
    namespaces = ["--unshare-all"]
    if os.geteuid() == 0:
        # Root needs no user namespace, in which it could not change to another user. Of root's
        # capabilities the server keeps those to change a child's user, and to kill a child.
        others = [f"--unshare-{name}" for name in ("ipc", "pid", "net", "uts", "cgroup-try")]
        kept = [w for name in ("SETUID", "SETGID", "KILL") for w in ("--cap-add", f"CAP_{name}")]
        namespaces = [*others, "--cap-drop", "ALL", *kept]
    return [
        find() or "bwrap",
        *namespaces,
        # Before the folders, which may lie under /tmp themselves.
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
        *binds,
        *("--die-with-parent", "--new-session", "--chdir", str(working_folder), "--"),
        *command,
    ]
