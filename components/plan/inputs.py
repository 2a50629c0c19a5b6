"""What a run reads besides the pool, looked at before it begins: benchmark sets and annotation files."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from components.benchmark.sets import LoadedBenchmarkSet, load_benchmark_set
from components.instructions.existing.annotation_index import AnnotationCount, AnnotationFileError
from components.instructions.existing.provider import ExistingInstructions
from components.instructions.open_provider import PROVIDERS
from components.instructions.request import requests_for_samples
from components.parameters.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Inputs:
    """Benchmark sets and annotation files as they were found.

    Attributes:
        sets: in the order of the parameters.
        annotations: what each file holds; none where the provider can write.
    """

    sets: tuple[LoadedBenchmarkSet, ...]
    annotations: tuple[AnnotationCount, ...]


def read_inputs(parameters: Parameters) -> Inputs:
    """Read benchmark sets and annotation files to their ends; conversations of annotations stay unread.

    Raises:
        BenchmarkSetError: a set cannot be used as a whole.
        AnnotationFileError: a file cannot be used as a whole, or there is none.
    """
    own, pixel_limit = parameters.instructions, parameters.ingest.pixel_limit
    sets = tuple(load_benchmark_set(one, pixel_limit=pixel_limit) for one in parameters.benchmark.sets)
    if PROVIDERS[own.provider].writes:
        return Inputs(sets, ())
    counts = ExistingInstructions(own.annotations, price_per_instruction_usd=0.0).counts()
    if not any(one.usable for one in counts):
        raise AnnotationFileError(
            "instructions.annotations names no usable record (one that names an image and has conversations): "
            f"{' '.join(map(_counted_file, counts)) or 'no file is listed'}"
        )
    return Inputs(sets, counts)


def describe_inputs(inputs: Inputs, *, pool_image_shas: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Say how much of each set and file can be used, in a sentence each.

    Args:
        inputs: as they were found.
        pool_image_shas: images of the pool, as far as that is known; questions about them are not asked.
    """
    return (
        *(_counted_set(one, pool_image_shas) for one in inputs.sets),
        *(_counted_file(one) for one in inputs.annotations),
    )


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


def _counted_set(loaded: LoadedBenchmarkSet, pool_image_shas: frozenset[str]) -> str:
    counted = _counted(dropped.reason for dropped in loaded.dropped)
    left_out = f", {len(loaded.dropped):,} records left out ({counted})" if counted else ""
    in_pool = sum(one.image_sha in pool_image_shas for one in loaded.questions)
    not_asked = f", {in_pool:,} of them not asked because their image is in the pool" if in_pool else ""
    return f"Benchmark set {loaded.name}: {len(loaded.questions):,} questions{not_asked}{left_out}."


def _counted_file(one: AnnotationCount) -> str:
    unread = f"; {len(one.faults):,} cannot be read, e.g. it {one.faults[-1]}" if one.faults else ""
    return f"Annotations {one.path}: {one.usable:,} of {one.records:,} records are usable{unread}."


def _counted(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in Counter(reasons).most_common())
