"""`presel explain`: why a sample was or was not picked."""

import functools

import pyarrow as pa

from components import schemas
from components.models.embedding.vector_store import encoder_fingerprint, read_vectors
from components.models.features.feature_store import read_features
from components.parameters.parameters import ParameterError
from components.storage import read_table
from components.strategies.explain import CurationTables, Explanation, explain_sample, explanation_text
from components.strategies.explain_evidence import (
    FactsOf,
    SelectionTables,
    coincide_facts,
    control_facts,
    explain_selected,
    tive_facts,
)
from tasks.platform.workspace import Workspace


def explain_in_workspace(workspace: Workspace, name: str) -> str:
    """Explain one sample of a finished run.

    Args:
        workspace: of the run.
        name: a sample id, a record id, an image path or the start of an image's sha256.

    Raises:
        ParameterError: the run has not selected yet.
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    strategy = workspace.parameters().strategy
    if strategy in ("presel", "size_balanced"):
        return explanation_text(_by_centrality(workspace, name, with_importance=strategy == "presel"))
    tables = SelectionTables(
        samples=_table(workspace, "manifest/samples.parquet", schemas.SAMPLES),
        quarantine=_table(workspace, "manifest/quarantine.parquet", schemas.QUARANTINE),
        selection=_table(workspace, "selection/selection.parquet", schemas.SELECTION),
        dropped=_dropped(workspace, {"tive": "gradients", "coincide": "activations"}.get(strategy)),
    )
    return explanation_text(explain_selected(name, tables, facts_of=_facts_of(workspace, tables.selection)))


def _by_centrality(workspace: Workspace, name: str, *, with_importance: bool) -> Explanation:
    encoder = workspace.parameters().encoder
    load = functools.partial(
        read_vectors,
        workspace.artifact("vectors"),
        model=encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype),
    )
    importance = schemas.IMPORTANCE.empty_table()
    if with_importance:
        importance = _table(workspace, "scores/importance.parquet", schemas.IMPORTANCE)
    tables = CurationTables(
        samples=_table(workspace, "manifest/samples.parquet", schemas.SAMPLES),
        quarantine=_table(workspace, "manifest/quarantine.parquet", schemas.QUARANTINE),
        selection=_table(workspace, "selection/selection.parquet", schemas.SELECTION),
        importance=importance,
        allocation=_table(workspace, "allocation/allocation.parquet", schemas.ALLOCATION),
        vectors_dropped=_table(workspace, "vectors/dropped.parquet", schemas.DROPPED),
    )
    return explain_sample(name, tables, read_vectors=load)


def _facts_of(workspace: Workspace, selection: pa.Table) -> FactsOf:
    strategy = workspace.parameters().strategy
    if strategy == "tive":
        return functools.partial(
            tive_facts,
            influence=_table(workspace, "influence/influence.parquet", schemas.INFLUENCE),
            difficulty=_table(workspace, "influence/difficulty.parquet", schemas.DIFFICULTY),
            warm_up=_table(workspace, "warm_up/warm_up.parquet", schemas.CHOSEN),
        )
    if strategy == "coincide":
        return functools.partial(
            coincide_facts,
            concepts=_table(workspace, "concepts/concepts.parquet", schemas.CONCEPTS),
            shares=_table(workspace, "concept_shares/shares.parquet", schemas.CONCEPT_SHARES),
            selection=selection,
            read_features=functools.partial(read_features, workspace.artifact("activations")),
        )
    return functools.partial(control_facts, selection=selection)


def _dropped(workspace: Workspace, features: str | None) -> pa.Table:
    if features is None:
        return schemas.DROPPED.empty_table()
    files = ("instructions/pool/dropped.parquet", f"{features}/dropped.parquet")
    return pa.concat_tables([_table(workspace, file, schemas.DROPPED) for file in files])


def _table(workspace: Workspace, name: str, schema: pa.Schema) -> pa.Table:
    path = workspace.artifact(name)
    if not path.exists():
        raise ParameterError(f"workspace {workspace.root} has no {name} yet; run `presel run` first")
    return read_table(path, schema)
