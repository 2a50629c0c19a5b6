"""Parameters of earlier versions that are none any more, and those that came later: how an older file is read."""

from collections.abc import Mapping
from typing import Final

ANY: Final = object()  # stands for the value of what never changed a result
# Key -> the value that it had and has, or ANY; what decides it now stands beside the constant in the code.
FIXED: Mapping[str, object] = {
    "cluster.iterations": 100,
    "cluster.restarts": 4,
    "coincide.iterations": 50,
    "encoder.decode_workers": ANY,
    "ingest.processes": ANY,
    "promotion.resamples": 10_000,
    "purchase.approval_timeout_hours": 72.0,
    "purchase.attempts": 6,
    "purchase.backoff_seconds": 1.0,
    "purchase.batch.folder": ".presel/batches",
    "purchase.batch.megabytes_per_file": 100,
    "purchase.batch.requests_per_file": 10_000,
    "purchase.breaker_failures": 50,
    "purchase.longest_backoff_seconds": 60.0,
    "recurate.drift_significance": 0.01,
    "report.grid_clusters": 6,
    "report.map_points": 3000,
}

# Key that files of earlier versions lack -> the value, as YAML, with which a run does what it did before.
ADDED: Mapping[str, str] = {
    "compute": (
        "{engine: local, address: null, decode: {cpus: 1, workers: auto, images: 64}, "
        "model: {cpus: 1, gpus: auto, workers: auto}, task: {cpus: 1}, stalled_after_seconds: 600}"
    ),
    "instructions.template_arguments": "{}",
    "purchase.output_limit": "max_completion_tokens",
    "tuning.processes": "1",
    "tuning.shard": "false",
    "vlm.max_pixels": "null",
    "vlm.template_arguments": "{}",
}


def without_fixed(values: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Leave out what is no parameter any more and names the value that it has.

    Args:
        values: the YAML mapping of a parameter file.

    Returns:
        The mapping without those keys, and a problem for each that asks for another value.
    """
    kept, problems = dict(values), []
    for key, value in FIXED.items():
        *sections, name = key.split(".")
        found: object = kept
        for section in sections:
            found = found.get(section) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or name not in found:
            continue
        if value is not ANY and found[name] != value:
            problems.append(f"  {key}: is {value!r} and no parameter any more (got {found[name]!r}); remove the line")
        _remove(kept, sections, name)
    return kept, tuple(problems)


def _remove(values: dict[str, object], sections: list[str], name: str) -> None:
    """Take a key out, copying the sections on the way to it."""
    inner = values
    for section in sections:
        there = inner[section]
        assert isinstance(there, Mapping)
        copy = dict(there)
        inner[section] = copy
        inner = copy
    del inner[name]
