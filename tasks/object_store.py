"""Every version of every artifact: the DVC cache, and behind it the remote."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.lineage.objects import FindObject
from tasks.versioning import open_repository

logger = logging.getLogger(__name__)


@contextmanager
def open_objects(*, fetch: bool = True) -> Iterator[FindObject]:
    """Look objects up by their hash while the block lasts.

    Args:
        fetch: bring what the cache lacks from the remote.
    """
    with open_repository() as repository:

        def find(md5: str) -> Path | None:
            path = Path(repository.cache.local.oid_to_path(md5))
            if not path.is_file() and fetch:
                _fetch(repository, md5)
            return path if path.is_file() else None

        yield find


def _fetch(repository: Any, md5: str) -> None:
    from dvc.config import NoRemoteError
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        repository.cloud.pull([HashInfo("md5", md5)])
    except (NoRemoteError, DvcException, FileNotFoundError) as error:
        logger.warning("%s is not in the DVC cache and could not be fetched: %s", md5, error)
