"""The name of a model with its version, so that another version is another writer."""

import hashlib
from pathlib import Path

from components.errors import UserError
from components.pool.snapshot import snapshot_model

_DIGEST_CHARACTERS = 16


class UnpinnedModelError(UserError, ValueError):
    """Nothing says which version of a model would write."""


def pinned_model(model: str, revision: str | None) -> str:
    """Name a model so that two that may write differently have different names.

    Args:
        model: folder or Hugging Face id.
        revision: git revision of a Hub model; a folder has none.

    Returns:
        `FOLDER@sha256:DIGEST` of all files in the folder, or `ID@REVISION`.

    Raises:
        UnpinnedModelError: it is no folder here, and there is no revision.
    """
    if Path(model).is_dir():
        digest = hashlib.sha256(snapshot_model(model, None).encode("utf-8")).hexdigest()
        return f"{model}@sha256:{digest[:_DIGEST_CHARACTERS]}"
    if revision is None:
        raise UnpinnedModelError(
            f"instructions.model {model!r} is no folder here; correct the path, or, for a Hugging Face id, set "
            "instructions.revision to the git revision (a commit hash) to use, without which the model may change "
            "between runs"
        )
    return f"{model}@{revision}"
