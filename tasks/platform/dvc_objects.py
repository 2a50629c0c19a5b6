"""DVC's objects by their hash: in the cache, in the remote behind it, and copied there. Damaged ones are never used.

DVC takes a read-only file at an object's name for the object, and never reads it again; so it is hashed here.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import UserError
from components.lineage.lock_file import LineageError
from components.lineage.objects import FOLDER_SUFFIX, FindObject, file_hash, read_listing

logger = logging.getLogger(__name__)


class RemoteAwayError(UserError, RuntimeError):
    """The DVC remote cannot be reached, or did not take everything."""


class NoGitRepositoryError(UserError, RuntimeError):
    """The project is in no git repository."""

    def __init__(self) -> None:
        super().__init__(
            f"{Path.cwd()} is not a git repository, and a run has to record which code it ran: clone the project "
            "instead of downloading it, or make it one with `git init`, `git add -A` and `git commit -m start`"
        )


class DvcConfigError(UserError, RuntimeError):
    """DVC's configuration cannot be read."""


def open_repository() -> Any:
    """The project's DVC repository; waits for DVC's lock where DVC by itself would fail at once.

    Raises:
        NoGitRepositoryError: the project came without its git repository, as an archive does.
        DvcConfigError: DVC's configuration cannot be read.
    """
    from dvc.config import ConfigError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    # DVC raises its own logger to INFO when it is imported; a stage reports itself.
    logging.getLogger("dvc").setLevel(logging.WARNING)
    # A line for every file that a remote did not take or give; those who asked for it say it once.
    logging.getLogger("dvc_data").setLevel(logging.CRITICAL)
    try:
        return Repo(str(Path.cwd()), _wait_for_lock=True)
    except SCMError as error:
        raise NoGitRepositoryError from error
    except ConfigError as error:
        raise DvcConfigError(f"DVC's configuration (.dvc/config, .dvc/config.local) cannot be read: {error}") from error


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
            path = cache_path(repository, md5)
            removed = check and md5 not in whole and _remove_if_damaged(path, md5)
            if not path.is_file() and fetch:
                _fetch(repository, {md5})
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


def fetch_artifact(repository: Any, md5: str) -> bool:
    """Bring a folder's listing and its files whole into the cache, as far as cache and remote have them whole.

    Args:
        repository: DVC's.
        md5: of the folder.

    Returns:
        Whether all of it is there now.
    """
    if not _fetch_whole(repository, {md5}):
        return False
    if not md5.endswith(FOLDER_SUFFIX):
        return True
    try:
        listing = read_listing(cache_path(repository, md5))
    except LineageError as error:
        logger.warning("%s", error)
        return False
    return _fetch_whole(repository, {one.md5 for one in listing})


def push_hashes(hashes: Collection[str]) -> int:
    """Copy versions of outputs to the DVC remote; what the cache no longer holds is left out.

    Args:
        hashes: DVC's md5 of folders.

    Returns:
        Files copied.

    Raises:
        RemoteAwayError: the remote cannot be reached, or did not take everything.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    if not hashes:
        return 0
    with open_repository() as repository, _remote_errors():
        paths = {md5: cache_path(repository, md5) for md5 in hashes}
        objects = with_files(hashes, paths)
        there = [HashInfo("md5", md5) for md5 in sorted(objects) if cache_path(repository, md5).is_file()]
        result = repository.cloud.push(there)
        if result.failed:
            raise RemoteAwayError(f"{len(result.failed)} files were not taken")
        return len(result.transferred)


def cache_path(repository: Any, md5: str) -> Path:
    """Where the cache keeps an object."""
    return Path(repository.cache.local.oid_to_path(md5))


def with_files(artifacts: Collection[str], paths: dict[str, Path]) -> set[str]:
    """Hashes of artifacts, and of the files in those whose listing is there.

    Args:
        artifacts: DVC's md5 of folders or files.
        paths: of objects in the cache, by hash.
    """
    found = set(artifacts)
    for md5 in artifacts:
        if md5.endswith(FOLDER_SUFFIX) and md5 in paths and paths[md5].is_file():
            found |= {one.md5 for one in read_listing(paths[md5])}
    return found


def _fetch_whole(repository: Any, hashes: set[str]) -> bool:
    """Whether every object is in the cache with the content that its name says, fetched where it was not."""
    missing = {md5 for md5 in hashes if not _is_whole(repository, md5)}
    if missing:
        _fetch(repository, missing)
    lost = sorted(md5 for md5 in missing if not _is_whole(repository, md5))
    if lost:
        logger.warning("%d objects are whole neither in the DVC cache nor in the remote, %s first", len(lost), lost[0])
    return not lost


def _is_whole(repository: Any, md5: str) -> bool:
    path = cache_path(repository, md5)
    return not _remove_if_damaged(path, md5) and path.is_file()


def _remove_if_damaged(path: Path, md5: str) -> bool:
    if not path.is_file() or file_hash(path) == md5.removesuffix(FOLDER_SUFFIX):
        return False
    logger.warning("%s in the DVC cache is damaged and is removed", path)
    path.unlink()
    return True


def _fetch(repository: Any, hashes: set[str]) -> None:
    from dvc.config import NoRemoteError
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        repository.cloud.pull([HashInfo("md5", md5) for md5 in sorted(hashes)])
    except (NoRemoteError, DvcException, FileNotFoundError) as error:
        logger.warning("%d objects are not in the DVC cache and could not be fetched: %s", len(hashes), error)


@contextmanager
def _remote_errors() -> Iterator[None]:
    """Give every failure of the DVC remote one name.

    Raises:
        RemoteAwayError: from whatever DVC or the store's own library raised.
    """
    try:
        yield
    except RemoteAwayError:
        raise
    except Exception as error:
        raise RemoteAwayError(f"{type(error).__name__}: {error}") from error
