"""An object store in a folder, laid out as simply as can be."""

from pathlib import Path

from components.lineage.lock_file import LockedPath
from components.lineage.objects import folder_listing, listing_hash


class FolderStore:
    """Objects by hash; `paths` may be tampered with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def __call__(self, md5: str) -> Path | None:
        path = self.root / md5
        return path if path.exists() else None

    def add(self, folder: Path, path: str) -> LockedPath:
        """Store a folder as DVC would."""
        listing = folder_listing(folder)
        for one in listing:
            (self.root / one.md5).write_bytes((folder / one.path).read_bytes())
        name = listing_hash(listing)
        rows = ", ".join(f'{{"md5": "{one.md5}", "relpath": "{one.path}"}}' for one in listing)
        (self.root / name).write_text(f"[{rows}]", encoding="utf-8")
        return LockedPath(path, name, 0)
