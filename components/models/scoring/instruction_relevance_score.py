"""The Instruction Relevance Score: how much a question tells about its response (arXiv 2503.07591, Eq. 1-3)."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from components.compute.engine import Engine, Work
from components.compute.progress import Progress
from components.models.vlm.labels import SampleError, encode, encode_image, encode_without_question
from components.models.vlm.load import LoadedVlm
from components.models.vlm.shared_prefix import PairLoss, QuestionPair, pair_losses
from components.models.vlm.source import VlmSource
from components.pool.images import ImageError, load_image
from components.pool.reasons import QuarantineReason
from components.pool.samples import Dropped, InstructedImage
from components.schemas import SCORES

_LOG = logging.getLogger(__name__)

IMAGE_UNREADABLE = "image_unreadable"
TRUNCATED = "truncated"
LOSS_NOT_FINITE = "loss_not_finite"


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What scoring gives.

    Attributes:
        scores: columns of `schemas.SCORES`, sorted by sample id.
        dropped: samples without a score, sorted by sample id; reasons are this module's and those of
            `components.models.vlm.labels.SampleError`.
    """

    scores: pa.Table
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class _PreparedBatch:
    samples: tuple[InstructedImage, ...]
    pairs: tuple[QuestionPair, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class _ScoredBatch:
    rows: tuple[dict[str, object], ...]  # of SCORES
    dropped: tuple[Dropped, ...]


def instruction_relevance_score(loss_with_question: float, loss_without_question: float) -> float:
    """Eq. 3: the loss with the question over the loss without it.

    Args:
        loss_with_question: Eq. 1, mean negative log-likelihood per response token, nats.
        loss_without_question: Eq. 2.

    Returns:
        A ratio, 0 or above; lower means that the question matters more. NaN where it is not defined.
    """
    defined = math.isfinite(loss_with_question) and math.isfinite(loss_without_question) and loss_without_question > 0
    return loss_with_question / loss_without_question if defined else math.nan


def score_samples(
    vlm: VlmSource,
    samples: Sequence[InstructedImage],
    *,
    batch_size: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
) -> ScoreResult:
    """Score instructed images with the reference model.

    With several turns, all responses are scored in their conversation; without the question, the prompt is the image
    alone and the responses are joined by one space.

    Args:
        vlm: the reference model, adapter included.
        samples: what to score.
        batch_size: samples per forward pass; batches hold samples of similar length.
        pixel_limit: images with more pixels are not opened.
        progress: told how many samples are done.
        engine: where they are scored.

    Returns:
        Scores and the samples left out: unreadable images, empty responses, samples that the context cuts off,
        losses that are not finite.
    """
    scoring = Work(
        name="score",
        open=vlm.open,
        load=vlm.load,
        prepare=partial(_prepare, pixel_limit=pixel_limit),
        compute=_score,
        describe=_uri,
        advice="lower score.batch_size or vlm.max_pixels",
    )
    by_length = sorted(samples, key=lambda sample: (_characters(sample), sample.sample_id))
    batches = [by_length[start : start + batch_size] for start in range(0, len(by_length), batch_size)]
    rows: list[dict[str, object]] = []
    dropped: list[Dropped] = []
    done = 0
    for answer in engine.compute(batches, scoring):
        rows += answer.result.rows
        dropped += answer.result.dropped
        dropped += [
            Dropped(sample.sample_id, str(QuarantineReason.DECODER_DIED), f"{sample.uri}: {why}")
            for sample, why in answer.lost
        ]
        done += len(answer.items) + len(answer.lost)
        progress(done, len(samples))
    _LOG.info("scored %d samples, left out %d", len(rows), len(dropped))
    scores = pa.Table.from_pylist(rows, schema=SCORES).sort_by("sample_id")
    return ScoreResult(scores=scores, dropped=tuple(sorted(dropped, key=lambda item: item.sample_id)))


def _characters(sample: InstructedImage) -> int:
    # The responses count twice: they stand in both rests.
    return sum(len(turn.question) + 2 * len(turn.response) for turn in sample.turns)


def _uri(sample: InstructedImage) -> str:
    return sample.uri


def _prepare(vlm: LoadedVlm, samples: Sequence[InstructedImage], *, pixel_limit: int) -> _PreparedBatch:
    kept: list[InstructedImage] = []
    pairs: list[QuestionPair] = []
    dropped: list[Dropped] = []
    for sample in samples:
        try:
            pair = _encode_pair(vlm, sample, pixel_limit)
        except SampleError as error:
            dropped.append(Dropped(sample.sample_id, error.reason, error.detail))
        except ImageError as error:
            dropped.append(Dropped(sample.sample_id, IMAGE_UNREADABLE, f"{error.reason}: {error.detail}"))
        else:
            kept.append(sample)
            pairs.append(pair)
    return _PreparedBatch(tuple(kept), tuple(pairs), tuple(dropped))


def _score(vlm: LoadedVlm, batch: _PreparedBatch) -> _ScoredBatch:
    losses = pair_losses(vlm, batch.pairs) if batch.pairs else []
    rows = [_row(sample, loss) for sample, loss in zip(batch.samples, losses, strict=True)]
    return _ScoredBatch(
        rows=tuple(row for row in rows if not isinstance(row, Dropped)),
        dropped=(*batch.dropped, *(row for row in rows if isinstance(row, Dropped))),
    )


def _encode_pair(vlm: LoadedVlm, sample: InstructedImage, pixel_limit: int) -> QuestionPair:
    image = encode_image(vlm, load_image(sample.uri, image_sha=sample.image_sha, pixel_limit=pixel_limit))
    pair = QuestionPair(encode(vlm, sample, image), encode_without_question(vlm, sample, image))
    if pair.with_question.truncated or pair.without_question.truncated:
        raise SampleError(TRUNCATED, f"the sample is longer than vlm.context_length {vlm.context_length}")
    return pair


def _row(sample: InstructedImage, loss: PairLoss) -> dict[str, object] | Dropped:
    score = instruction_relevance_score(loss.with_question.mean, loss.without_question.mean)
    if not math.isfinite(score):
        detail = f"loss {loss.with_question.mean} with the question, {loss.without_question.mean} without"
        return Dropped(sample.sample_id, LOSS_NOT_FINITE, detail)
    return {
        "sample_id": sample.sample_id,
        "task": sample.task,
        "loss_with_question": loss.with_question.mean,
        "loss_without_question": loss.without_question.mean,
        "instruction_relevance_score": score,
        "response_tokens": loss.with_question.tokens,
    }
