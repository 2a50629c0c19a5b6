"""What a file is whose bytes are not what its name promises: compressed, in another encoding, a pointer, a page."""

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zX": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
LONGEST_START = 64  # bytes that are looked at


def foreign_bytes(start: bytes) -> str:
    """Say what the first bytes of a file show it to be.

    Args:
        start: the first `LONGEST_START` bytes.

    Returns:
        A clause with what to do, which follows "the file"; "" when they show nothing.
    """
    for mark, name in _COMPRESSED.items():
        if start.startswith(mark):
            return f"is compressed ({name}); decompress it: records and members are read at random"
    # Text in UTF-16 or UTF-32 begins with a mark, or has a zero byte in every character of ASCII.
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in start[:4]:
        return "is text in UTF-16 or UTF-32; save it as UTF-8"
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the file; fetch it with git lfs pull"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "is a web page, not the file; download it again"
    return ""
