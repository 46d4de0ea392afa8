"""The process that unpacks a class's zip file, so that the parent never parses one.

``grading.intake.class_zip`` starts it as ``python -m grading.sandbox.unzip MAX_BYTES SECONDS`` with
the file as standard input. On standard output it answers with packets: the names of all members, an
end, and then for each member its content in pieces and an end.
"""

import codecs
import contextlib
import os
import sys
import zipfile

from grading.sandbox.machine import is_linux
from grading.sandbox.members import END, MAX_PIECE, NAME, PACKET, PIECE, REFUSED

_MEMORY = 2**29


def main(max_bytes: int, seconds: int) -> None:
    """Confine this process, and unpack; of a member that is too large, one byte too many."""
    codecs.lookup("cp437")  # of names in old archives; afterwards nothing can be imported
    if is_linux():
        _confine(seconds)
    try:
        with zipfile.ZipFile(sys.stdin.buffer) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                _send(NAME, _name_of(member))
            _send(END)
            if any(member.flag_bits & 1 for member in members):
                raise ValueError("it is encrypted")
            for member in members:
                _send_content(archive, member, max_bytes)
    except BrokenPipeError:
        os._exit(0)  # the parent has seen enough
    except Exception as error:
        _send(REFUSED, str(error).encode("utf-8", "replace")[:200])


def _confine(seconds: int) -> None:
    from grading.sandbox.confinement import limits  # other systems lack what it needs

    limits.hide_from_debuggers()
    limits.become_nobody(0)
    limits.limit_resources(_MEMORY, seconds)
    limits.forbid_opening()


def _name_of(member: zipfile.ZipInfo) -> bytes:
    """Return a name in UTF-8: many programs write that without the flag that says so."""
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = member.filename.encode("cp437")
            name.decode("utf-8")
            return name
    return member.filename.encode("utf-8", "replace")


def _send_content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> None:
    left = max_bytes + 1
    try:
        with archive.open(member) as file:
            while left and (piece := file.read(min(left, MAX_PIECE))):
                _send(PIECE, piece)
                left -= len(piece)
    except BrokenPipeError:
        raise
    except Exception:  # a damaged member is its student's alone, who hears of it by what came out
        pass
    _send(END)


def _send(kind: bytes, body: bytes = b"") -> None:
    sys.stdout.buffer.write(PACKET.pack(kind, len(body)) + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
