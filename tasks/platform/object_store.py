"""Every version of every artifact: the DVC cache, and behind it the remote."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.lineage.content_hash import FOLDER_SUFFIX, file_hash
from components.lineage.lock_file import LineageError
from components.lineage.objects import FindObject
from tasks.platform.versioning import open_repository

logger = logging.getLogger(__name__)


@contextmanager
def open_objects(*, fetch: bool = True, check: bool = True) -> Iterator[FindObject]:
    """Look objects up by their hash while the block lasts.

    Args:
        fetch: bring what the cache lacks from the remote.
        check: hash an object when it is first found; one that the cache holds damaged is removed and fetched once.
            False is for who hashes what is found, and has to see the damage.

    Yields:
        Finds an object; raises LineageError for one that is damaged and that the remote does not have whole.
    """
    with open_repository() as repository:
        whole: set[str] = set()

        def find(md5: str) -> Path | None:
            path = Path(repository.cache.local.oid_to_path(md5))
            removed = check and md5 not in whole and _remove_if_damaged(path, md5)
            if not path.is_file() and fetch:
                _fetch(repository, md5)
                removed = (check and _remove_if_damaged(path, md5)) or (removed and not path.is_file())
            if removed:
                raise LineageError(
                    f"object {md5} was damaged in the DVC cache, and the remote has no whole one; restore the remote "
                    "from a backup, or run the stage that made it again"
                )
            if not path.is_file():
                return None
            whole.add(md5)
            return path

        yield find


def _remove_if_damaged(path: Path, md5: str) -> bool:
    if not path.is_file() or file_hash(path) == md5.removesuffix(FOLDER_SUFFIX):
        return False
    logger.warning("%s in the DVC cache is damaged and is removed", path)
    path.unlink()
    return True


def _fetch(repository: Any, md5: str) -> None:
    from dvc.config import NoRemoteError
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        repository.cloud.pull([HashInfo("md5", md5)])
    except (NoRemoteError, DvcException, FileNotFoundError) as error:
        logger.warning("%s is not in the DVC cache and could not be fetched: %s", md5, error)
