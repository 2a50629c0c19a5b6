"""Scoring: ours against two passes per sample, one by one (`python -m bench.instruction_relevance_score`)."""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from bench.results import Row, out_option, publish
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.scoring.instruction_relevance_score import instruction_relevance_score, score_samples
from components.models.vlm.labels import encode, encode_without_question
from components.models.vlm.load import LoadedVlm, load_vlm
from components.models.vlm.response_loss import response_losses
from components.parameters.parameters import VlmParameters
from components.pool.images import load_image
from components.pool.samples import InstructedImage, Turn

_PIXEL_LIMIT = 10_000_000
_WORDS = ("how", "many", "red", "circles", "are", "left", "of", "the", "large", "square", "three", "none", "blue")

Scores = dict[str, float]


def draw_samples(folder: Path, count: int, *, side: int, seed: int) -> list[InstructedImage]:
    """Images of noise with one question of 5 to 14 words and a response of 1 to 10.

    Args:
        folder: where the images go.
        count: samples.
        side: pixels of an image's side.
        seed: of the draw.

    Returns:
        The samples.
    """
    generator = np.random.default_rng(seed)

    def text(fewest: int, most: int) -> str:
        return " ".join(generator.choice(_WORDS, size=generator.integers(fewest, most + 1)))

    samples = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
        turns = (Turn(text(5, 14), text(1, 10)),)
        samples.append(InstructedImage(f"task/{index:05d}", "task", str(path), "", turns))
    return samples


def one_by_one(vlm: LoadedVlm, samples: Sequence[InstructedImage]) -> Scores:
    """Two passes per sample, each with its own image: what a plain loop does."""
    scores = {}
    for sample in samples:
        losses = []
        for encoder in (encode, encode_without_question):
            image = load_image(sample.uri, image_sha=sample.image_sha, pixel_limit=_PIXEL_LIMIT)
            losses.append(response_losses(vlm, [encoder(vlm, sample, image)])[0].mean)
        scores[sample.sample_id] = instruction_relevance_score(*losses)
    return scores


def in_batches(vlm: LoadedVlm, samples: Sequence[InstructedImage], *, batch_size: int) -> Scores:
    """The component."""
    table = score_samples(
        vlm, samples, batch_size=batch_size, pixel_limit=_PIXEL_LIMIT, progress=no_progress, engine=LocalEngine()
    ).scores
    rows = table.to_pylist()
    return {row["sample_id"]: row["instruction_relevance_score"] for row in rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every way of scoring on the same samples; print time, speed-up and distance from the loop's scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo/models/tiny-llava", help="folder of the model")
    parser.add_argument("--context-length", type=int, default=1024)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--samples", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--side", type=int, default=128, help="pixels of an image's side")
    out_option(parser)
    options = parser.parse_args(arguments)
    parameters = VlmParameters(
        model=options.model,
        revision=None,
        context_length=options.context_length,
        max_pixels=None,
        template_arguments={},
        device=options.device,
        dtype="auto",
    )
    vlm = load_vlm(parameters)
    apart = replace(vlm, architecture=replace(vlm.architecture, shares_prefix=False))
    methods: dict[str, Callable[[Sequence[InstructedImage]], Scores]] = {
        "two passes, one by one": lambda samples: one_by_one(vlm, samples),
        "two passes, in batches": lambda samples: in_batches(apart, samples, batch_size=options.batch_size),
        "ours, one pass in batches": lambda samples: in_batches(vlm, samples, batch_size=options.batch_size),
    }
    with tempfile.TemporaryDirectory() as folder:
        samples = draw_samples(Path(folder), options.samples, side=options.side, seed=0)
        for method in methods.values():
            method(samples[:2])  # the first call pays for what is set up once
        rows = _time(methods, samples)
    publish(rows, packages=("torch", "transformers", "pillow"), out=options.out)


def _time(
    methods: dict[str, Callable[[Sequence[InstructedImage]], Scores]], samples: Sequence[InstructedImage]
) -> list[Row]:
    rows: list[Row] = []
    reference: Scores = {}
    slowest = 0.0
    for name, method in methods.items():
        start, start_cpu = time.perf_counter(), time.process_time()
        scores = method(samples)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
        reference, slowest = reference or scores, slowest or seconds
        rows.append(
            {
                "method": name,
                "seconds": seconds,
                "CPU seconds": cpu_seconds,
                "samples per second": len(samples) / seconds,
                "speed-up": slowest / seconds,
                "largest difference in score": max(abs(scores[key] - value) for key, value in reference.items()),
            }
        )
    return rows


if __name__ == "__main__":
    main()
