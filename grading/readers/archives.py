"""A student's zip file, opened in memory: one level deep, within limits, no path ever used."""

import io
import zipfile

from common.support.errors import SubmissionError
from grading.sandbox.members import is_passed_over, parts_of

NamedFile = tuple[str, bytes]

# What an archive may expand to: bytes (the improved network takes 6 MB), and members.
MAX_EXPANDED = 256 * 2**20
MAX_MEMBERS = 4096


def unpack(content: bytes) -> list[NamedFile]:
    """Return the files in a zip file by name; folders, hidden files and the like are left out.

    A name is only ever shown: nothing is written anywhere. Raises SubmissionError if the archive is
    damaged, encrypted or too large, by what its directory says and by what really comes out.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            if len(members) > MAX_MEMBERS:
                raise SubmissionError(
                    f"the zip file has {len(members):,} members; at most {MAX_MEMBERS:,} are "
                    "allowed: hand in the file that counts"
                )
            wanted = [m for m in members if not any(map(is_passed_over, parts_of(m.filename)))]
            if sum(member.file_size for member in wanted) > MAX_EXPANDED:
                raise SubmissionError(
                    f"the zip file expands to more than {MAX_EXPANDED // 2**20} MiB: hand in the "
                    "file that counts"
                )
            if any(member.flag_bits & 1 for member in wanted):
                raise SubmissionError("the zip file is encrypted: hand it in without a password")
            return [(member.filename, _content_of(archive, member)) for member in wanted]
    except SubmissionError:
        raise
    except Exception as error:  # a broken archive raises more than zipfile names
        raise SubmissionError(
            "the zip file is damaged: make it anew and upload it again"
        ) from error


def _content_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        content = file.read(member.file_size + 1)  # no more, whatever is in it
    if len(content) != member.file_size:
        raise zipfile.BadZipFile("another size than it declares")
    return content
