"""One instruction that is asked for, and the identity under which it is never bought twice."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

REQUEST_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class InstructionRequest:
    """A chosen sample whose instruction is wanted.

    Attributes:
        sample_id: the sample.
        task: its task.
        image_sha: sha256 of the image's bytes, hex.
        uri: where the image is.
        record_ids: the source records that name the sample.
        source: file or folder that named it first; "" where nobody asks for it.
    """

    sample_id: str
    task: str
    image_sha: str
    uri: str
    record_ids: tuple[str, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class RequestSpecification:
    """What decides the answer besides the image and the task; two equal ones need not be bought twice.

    Attributes:
        model: who is asked. For annotations: the content of the records that answer.
        prompt_template: the text around the image; empty for annotations.
        sampling: the sampling parameters as canonical JSON; empty for annotations.
    """

    model: str
    prompt_template: str = ""
    sampling: str = ""


@dataclass(frozen=True, slots=True)
class IdentifiedRequest:
    """A request with its identity, as a provider gets it."""

    request_id: str
    request: InstructionRequest
    specification: RequestSpecification


def identify_request(request: InstructionRequest, specification: RequestSpecification) -> IdentifiedRequest:
    """Give a request its identity.

    The identity is the sha256 of the image's sha, the task, the specification and the version of this
    rule; neither the file's name nor the run plays a part, so a moved image is not bought again.
    """
    parts = [
        REQUEST_SCHEMA_VERSION,
        request.image_sha,
        request.task,
        specification.prompt_template,
        specification.model,
        specification.sampling,
    ]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return IdentifiedRequest(hashlib.sha256(text.encode("utf-8")).hexdigest(), request, specification)


def requests_for_samples(samples: pa.Table, sample_ids: Iterable[str]) -> tuple[InstructionRequest, ...]:
    """Look chosen samples up in the manifest.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        sample_ids: the chosen ones.

    Returns:
        One request per distinct id, sorted by sample id.

    Raises:
        ValueError: a chosen sample is not in the pool.
    """
    wanted = set(sample_ids)
    found = samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(sorted(wanted), pa.string())))
    requests = sorted(
        (
            InstructionRequest(**{**row, "record_ids": tuple(row["record_ids"])})
            for row in found.select([field.name for field in fields(InstructionRequest)]).to_pylist()
        ),
        key=lambda request: request.sample_id,
    )
    missing = sorted(wanted - {request.sample_id for request in requests})
    if missing:
        raise ValueError(
            f"{len(missing)} chosen samples are not in the manifest, e.g. {missing[0]!r}: "
            "the choice belongs to another manifest; run ingest and the stages after it again"
        )
    return tuple(requests)
