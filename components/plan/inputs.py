"""What a run reads besides the pool, looked at before it begins: benchmark sets and annotation files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from components.benchmark.sets import load_benchmark_set
from components.instructions.existing.annotation_index import AnnotationFileError
from components.instructions.existing.provider import ExistingInstructions
from components.instructions.open_provider import PROVIDERS
from components.instructions.request import requests_for_samples
from components.parameters.parameters import BenchmarkSet, Parameters


def describe_inputs(parameters: Parameters) -> tuple[str, ...]:
    """Read benchmark sets and annotation files to their ends; conversations of annotations stay unread.

    Returns:
        A sentence for each, with how much of it can be used.

    Raises:
        BenchmarkSetError: a set cannot be used as a whole.
        AnnotationFileError: a file cannot be used as a whole, or there is none.
    """
    own = parameters.instructions
    said = list(_sets(parameters.benchmark.sets, pixel_limit=parameters.ingest.pixel_limit))
    if PROVIDERS[own.provider].writes:
        return tuple(said)
    provider = ExistingInstructions(own.annotations, parameters.sources, price_per_instruction_usd=0.0)
    counts = provider.counts()
    said += [f"Annotations {one.path}: {one.usable:,} of {one.records:,} records are usable." for one in counts]
    if not any(one.usable for one in counts):
        raise AnnotationFileError(
            "instructions.annotations names no usable record (one that names an image and has conversations): "
            f"{' '.join(said[-len(counts) :]) if counts else 'no file is listed'}"
        )
    return tuple(said)


def describe_annotated(samples: pa.Table, parameters: Parameters) -> tuple[str, ...]:
    """Count the samples that have an instruction at hand, where the provider cannot write one.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        parameters: of the run.

    Returns:
        A sentence, or none where the provider can write.

    Raises:
        AnnotationFileError: no sample has one.
    """
    own = parameters.instructions
    if PROVIDERS[own.provider].writes:
        return ()
    provider = ExistingInstructions(own.annotations, parameters.sources, price_per_instruction_usd=0.0)
    requests = requests_for_samples(samples, samples["sample_id"].to_pylist())
    reasons = [
        provider.why_missing(request)
        for request, there in zip(requests, provider.at_hand(requests), strict=True)
        if not there
    ]
    if not reasons:
        return ("Every sample has a record in the annotation files.",)
    example = f"({_counted(reason for reason, _ in reasons)}); e.g. {reasons[0][1]}"
    if len(reasons) == len(requests):
        raise AnnotationFileError(f"none of {len(requests):,} samples has a record in the annotation files {example}")
    return (f"{len(reasons):,} of {len(requests):,} samples have no record in the annotation files {example}.",)


def _sets(sets: Sequence[BenchmarkSet], *, pixel_limit: int) -> Iterator[str]:
    for one in sets:
        loaded = load_benchmark_set(one, pixel_limit=pixel_limit)
        counted = _counted(dropped.reason for dropped in loaded.dropped)
        left_out = f", {len(loaded.dropped):,} records left out ({counted})" if counted else ""
        yield f"Benchmark set {one.name}: {len(loaded.questions):,} questions{left_out}."


def _counted(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in Counter(reasons).most_common())
