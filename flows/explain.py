"""`presel explain`: why a sample was or was not picked."""

import functools

from components import schemas
from components.embedding.vector_store import encoder_fingerprint, read_vectors
from components.explain import CurationTables, explain_sample, explanation_text
from components.parameters import ParameterError
from components.storage import read_table
from tasks.workspace import Workspace

FILES = {
    "samples": ("manifest/samples.parquet", schemas.SAMPLES),
    "quarantine": ("manifest/quarantine.parquet", schemas.QUARANTINE),
    "selection": ("selection/selection.parquet", schemas.SELECTION),
    "importance": ("scores/importance.parquet", schemas.IMPORTANCE),
    "allocation": ("allocation/allocation.parquet", schemas.ALLOCATION),
    "vectors_dropped": ("vectors/dropped.parquet", schemas.DROPPED),
}


def explain_in_workspace(workspace: Workspace, name: str) -> str:
    """Explain one sample of a finished run.

    Args:
        workspace: of the run.
        name: a sample id, a record id, an image path or the start of an image's sha256.

    Raises:
        ParameterError: the run has not selected yet.
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    missing = [file for file, _ in FILES.values() if not workspace.artifact(file).exists()]
    if missing:
        raise ParameterError(f"workspace {workspace.root} has no {missing[0]} yet; run `presel run` first")
    encoder = workspace.parameters().encoder
    load = functools.partial(
        read_vectors,
        workspace.artifact("vectors"),
        model=encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype),
    )
    tables = {key: read_table(workspace.artifact(file), schema) for key, (file, schema) in FILES.items()}
    return explanation_text(explain_sample(name, CurationTables(**tables), read_vectors=load))
