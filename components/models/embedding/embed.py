"""Embed the images that lack a vector: decode ahead, encode in batches, add to LanceDB in bulk."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.compute.engine import Engine
from components.compute.processes import decoding_processes
from components.compute.progress import Progress
from components.models.commits import Batch, gather_commits
from components.models.embedding.vector_store import encoder_fingerprint, image_vectors
from components.parameters.parameters import EncoderParameters
from components.pool.reasons import QuarantineReason
from components.pool.samples import Dropped

_BYTES_PER_NUMBER = 4  # float32

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """What embedding did.

    Attributes:
        embedded: images that got a vector.
        reused: images that had one.
        dropped: images without one; `sample_id` is the image's sha256.
    """

    embedded: int
    reused: int
    dropped: tuple[Dropped, ...]


def embed_images(
    image_shas: Sequence[str],
    uris: Sequence[str],
    directory: Path,
    *,
    encoder: EncoderParameters,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
    processes: int | None = None,
) -> EmbedResult:
    """Give every image a vector of this encoder; images that have one are left alone.

    Vectors are committed as it goes, so a killed run continues where it was. When nothing is missing, neither
    the model is loaded nor the database touched.

    Args:
        image_shas: (n,) sha256 of the images' bytes; repeated ones are embedded once.
        uris: (n,) where they are.
        directory: the LanceDB database.
        encoder: model and how to run it.
        pixel_limit: pixels (width x height) above which an image is refused.
        progress: told how many of the missing images are done.
        engine: where it is computed.
        processes: of this machine that decode ahead; 0 decodes in line, None is as many as it is worth.

    Returns:
        Counts, and the images dropped, by their sha256: unreadable, changed, too large, of a vector that is not finite.

    Raises:
        ValueError: not one image could be embedded.
        RuntimeError: another process writes to the database, or memory runs out.
    """
    uri_of = dict(zip(image_shas, uris, strict=True))
    fingerprint = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
    dropped: list[Dropped] = []
    embedded = 0
    store = image_vectors(directory, model=fingerprint)
    with store.writing():
        missing = _missing(uri_of, store.names())
        logger.info("%d of %d images lack a vector of %s", len(missing), len(uri_of), fingerprint)
        if missing:
            encoded = _encode_missing(missing, encoder, pixel_limit, dropped, progress, engine, processes)
            for shas, (vectors,) in gather_commits(encoded):
                store.append(shas, vectors)
                embedded += len(shas)
            store.names()  # raises if another writer was at work
            store.compact()
    if dropped:
        logger.warning("%d of %d images could not be embedded", len(dropped), len(missing))
    if len(dropped) == len(uri_of) > 0:
        first = dropped[0]
        raise ValueError(
            f"not one of the {len(uri_of)} images could be embedded; the first, {first.sample_id}: "
            f"{first.reason} ({first.detail})"
        )
    dropped.sort(key=lambda item: item.sample_id)  # they come in any order
    return EmbedResult(embedded=embedded, reused=len(uri_of) - len(missing), dropped=tuple(dropped))


def bytes_to_embed(image_shas: Sequence[str], directory: Path, *, encoder: EncoderParameters) -> int:
    """Bytes of the vectors that `embed_images` would add, without what LanceDB writes beside them.

    Args:
        image_shas: (n,) sha256 of the images' bytes, each once.
        directory: the LanceDB database.
        encoder: model and how to run it.

    Returns:
        0 also when the encoder's width is not known on this machine.
    """
    fingerprint = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
    missing = _missing(dict.fromkeys(image_shas, ""), image_vectors(directory, model=fingerprint).names())
    if not missing:
        return 0
    from components.models.hidden_size import hidden_size  # transformers takes seconds to import

    return len(missing) * hidden_size(encoder.model, encoder.revision) * _BYTES_PER_NUMBER


def _missing(uri_of: dict[str, str], stored: pa.Array) -> list[tuple[str, str]]:
    asked = pa.array(uri_of, pa.string())
    lacking = asked.filter(pc.invert(pc.is_in(asked, value_set=stored))).to_pylist()
    # In the order of their addresses: neighbours in a folder or a shard are read one after the other.
    return sorted((uri_of[image_sha], image_sha) for image_sha in lacking)


def _encode_missing(
    missing: Sequence[tuple[str, str]],
    parameters: EncoderParameters,
    pixel_limit: int,
    dropped: list[Dropped],
    progress: Progress,
    engine: Engine,
    processes: int | None,
) -> Iterator[Batch]:
    """Yield vectors batch by batch; images that get none are added to `dropped`."""
    # torch and transformers only where there is something to compute
    from components.models.device import resolve_device
    from components.models.embedding.decode import ImageToDecode
    from components.models.embedding.encode_images import encoding

    if processes is None:
        # On a CPU the encoder uses every core itself.
        on_gpu = resolve_device(parameters.device, parameter="encoder.device").type == "cuda"
        processes = decoding_processes(len(missing)) if on_gpu else 0
    images = [ImageToDecode(image_sha=image_sha, uri=uri) for uri, image_sha in missing]
    size = parameters.batch_size
    lists = [images[start : start + size] for start in range(0, len(images), size)]
    done = 0
    for answer in engine.compute(lists, encoding(parameters, pixel_limit=pixel_limit, processes=processes)):
        dropped.extend(answer.result.dropped)
        dropped.extend(
            Dropped(image.image_sha, str(QuarantineReason.DECODER_DIED), f"{image.uri}: {why}")
            for image, why in answer.lost
        )
        if answer.result.image_shas:
            yield answer.result.image_shas, (answer.result.vectors,)
        done += len(answer.items) + len(answer.lost)
        progress(done, len(missing))
