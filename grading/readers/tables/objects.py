"""Object arrays that numpy saved, such as labels as text: read without unpickling anything.

The pickle in such a file is only looked at, opcode for opcode: of the list that has the elements,
plain numbers and texts are taken, and any other opcode ends it. Nothing is called or imported.
"""

import pickletools

_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE"),
}
_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE")
_SILENT = {"MARK", "APPEND", "APPENDS", "FRAME"}
_MAX_TEXT = 32  # characters


def read_objects(content: bytes, count: int) -> list[str] | None:
    """Return the elements of the only list in a pickled array as text, in its order.

    None if there is something else in it than numbers and short texts, or more than ``count``.
    """
    elements: list[str] = []
    memo: dict[int, str] = {}
    latest, in_list, memoized = "", False, 0
    try:
        for opcode, value, _ in pickletools.genops(content):
            name = opcode.name
            if name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):  # from MEMOIZE the number is counted
                memo[memoized if name == "MEMOIZE" else int(value or 0)] = latest
                memoized += 1
            elif name == "EMPTY_LIST" and not in_list:
                in_list = True
            elif not in_list:
                continue
            elif name in _VALUES:
                latest = str(value)
                elements.append(latest)
            elif name in ("BINGET", "LONG_BINGET") and value in memo:
                elements.append(memo[value])
            elif name == "TUPLE":
                return elements
            elif name not in _SILENT:
                return None
            if len(elements) > count or len(latest) > _MAX_TEXT:
                return None
    except Exception:  # a damaged pickle has many ways to say so
        return None
    return None
