"""What a GPU gives, each figure against what it replaces, meant for ten minutes (`python -m bench.gpu`).

The product's own functions on models of published shapes with random weights; without a GPU, or with `--toy`, the same
code at toy size. Rates are those between the first and the last report of progress, so starting up is left out.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from bench.drawn_photographs import draw_photographs
from bench.instruction_relevance_score import in_batches as scores_in_batches
from bench.k_means import draw_vectors
from bench.per_sample_gradients import in_batches as gradients_in_batches
from bench.photographs import PIXEL_LIMIT, embed, instructed
from bench.random_models import (
    DINOV2_BASE,
    LLAVA_7B,
    TOY_ENCODER,
    TOY_LLAVA,
    EncoderShape,
    LlavaShape,
    save_encoder,
    save_llava,
)
from bench.results import FAISS, Row, out_option, publish
from components.models.device import resolve_device, resolve_dtype
from components.models.embedding.encoder import load_encoder
from components.models.training.lora import add_lora
from components.models.training.tune import tune
from components.models.vlm.labels import EncodedSample, encode
from components.models.vlm.load import LoadedVlm, load_vlm
from components.parameters.parameters import Parameters
from components.parameters.reading import merge_overlays, parse_parameters
from components.pool.images import load_image
from components.pool.samples import InstructedImage, Turn
from components.selection import flat_index
from components.selection.clustering import k_means
from components.selection.flat_index import nearest
from components.strategies.tive.parameters import TiveParameters

# About as long as LLaVA-665K's, where a token is a byte.
_TURN = Turn(
    "What stands on the left of the house, and which colour has it?",
    "On the left of the house stands an old tree with yellow leaves; a bench of dark wood is in its shade, and behind "
    "both a path leads up the hill to the church.",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    encoder: EncoderShape
    llava: LlavaShape
    embedded: tuple[tuple[int, int], ...]  # pixels of a side, and images
    scored: int
    differentiated: int
    tuned: int
    matrix: int  # rows and columns of the matrices whose product tells the card's rate
    passed: tuple[int, int, int]  # vectors, their width, centroids: one pass of k-means
    clustered: tuple[int, int, int]  # vectors, their width, clusters: a whole k-means
    settings: tuple[str, ...]


FULL = Size(
    encoder=DINOV2_BASE,
    llava=LLAVA_7B,
    embedded=((224, 6_000), (518, 2_000)),
    scored=128,
    differentiated=32,
    tuned=192,
    matrix=8192,
    passed=(1_000_000, 768, 10_000),
    clustered=(100_000, 768, 1_000),
    settings=(),
)
TOY = Size(
    encoder=TOY_ENCODER,
    llava=TOY_LLAVA,
    embedded=((56, 48), (126, 24)),
    scored=12,
    differentiated=8,
    tuned=16,
    matrix=512,
    passed=(4_000, 64, 200),
    clustered=(4_000, 64, 150),
    settings=("tuning.lora_rank=4", "tuning.batch_size=4", "tive.projection=64", "encoder.batch_size=8"),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs."""

    size: Size
    folder: Path
    photographs: Sequence[Path]
    parameters: Parameters  # with the drawn models in the place of the published ones
    device: torch.device


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one after the other; what has been measured is published although a later one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="toy size on the CPU")
    parser.add_argument("--measure", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    out_option(parser)
    options = parser.parse_args(arguments)
    device = torch.device("cpu") if options.toy else resolve_device("auto", parameter="--toy")
    size = FULL if device.type == "cuda" else TOY
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        bench = _prepare(size, Path(temporary), device)
        try:
            for name in options.measure:
                started = time.monotonic()
                rows += MEASUREMENTS[name](bench)
                sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} seconds\n")
        finally:
            if rows:
                sys.stdout.write(f"{_name(device)}\n")
                publish(rows, packages=("torch", "transformers", "peft", *FAISS), out=options.out)


def _prepare(size: Size, folder: Path, device: torch.device) -> Bench:
    overlay = Path("conf/llava-1.5-7b.yaml")
    settings = [
        "tuning.processes=1",
        "tuning.gradient_accumulation=1",
        "tuning.log_every=1",
        "tuning.checkpoint_every=100000",
        *size.settings,
    ]
    parameters = parse_parameters(merge_overlays(Path("params.yaml"), [overlay], settings), origin=str(overlay))
    own = {"revision": None, "device": str(device), "dtype": "auto"}
    parameters = parameters.model_copy(
        update={
            "vlm": parameters.vlm.model_copy(update=own | {"model": str(folder / "llava")}),
            "encoder": parameters.encoder.model_copy(update=own),
        }
    )
    photographs = draw_photographs(folder / "photographs", max(images for _, images in size.embedded), seed=0)
    save_llava(size.llava, folder / "llava", device=device, dtype=resolve_dtype("auto", device), seed=0)
    return Bench(size, folder, photographs, parameters, device)


def embedding(bench: Bench) -> list[Row]:
    """Images per second against the forward pass alone."""
    rows = []
    for side, count in bench.size.embedded:
        model = bench.folder / f"encoder-{side}"
        save_encoder(bench.size.encoder, model, side=side, seed=0)
        parameters = bench.parameters.encoder.model_copy(update={"model": str(model)})
        embed(bench.photographs[:2], bench.folder / f"warm-{side}", parameters)  # the first pays for what is imported
        clock = _Clock()
        with _peak_memory(bench.device) as peak:
            embed(bench.photographs[:count], bench.folder / f"vectors-{side}", parameters, progress=clock.note)
        loaded = load_encoder(parameters)
        pixels = torch.rand(parameters.batch_size, 3, side, side, device=bench.device, dtype=loaded.model.dtype)
        with torch.inference_mode():
            seconds = _seconds(bench.device, partial(loaded.model, pixel_values=pixels))
        pure = parameters.batch_size / seconds
        rates = (clock.rate(), pure)
        rows.append(_row(f"embed at {side} pixels", "forward pass alone", "images/s", rates, peak))
    return rows


def scoring(bench: Bench) -> list[Row]:
    """The Instruction Relevance Score in one pass with a shared prefix against two passes."""
    vlm = load_vlm(bench.parameters.vlm)
    apart = replace(vlm, architecture=replace(vlm.architecture, shares_prefix=False))
    samples, batch = _samples(bench, bench.size.scored), bench.parameters.score.batch_size
    scores_in_batches(vlm, samples[:2], batch_size=batch)  # the first pays for what is set up once
    with _peak_memory(bench.device) as peak:
        seconds = _once(bench.device, lambda: scores_in_batches(vlm, samples, batch_size=batch))
    two = _once(bench.device, lambda: scores_in_batches(apart, samples, batch_size=batch))
    rates = (len(samples) / seconds, len(samples) / two)
    return [_row("score with the shared prefix", "two passes", "samples/s", rates, peak)]


def differentiating(bench: Bench) -> list[Row]:
    """Per-sample gradients in batches against one sample at a time."""
    base = load_vlm(bench.parameters.vlm)
    vlm = replace(base, model=add_lora(base, bench.parameters.tuning, bench.parameters.vlm).eval())
    encoded = [_encoded(vlm, sample) for sample in _samples(bench, bench.size.differentiated)]
    tive = bench.parameters.section(TiveParameters)
    width, batch = tive.projection, tive.batch_size
    gradients_in_batches(vlm, encoded[:2], width, 1)
    with _peak_memory(bench.device) as peak:
        seconds = _once(bench.device, lambda: gradients_in_batches(vlm, encoded, width, batch))
    singly = _once(bench.device, lambda: gradients_in_batches(vlm, encoded, width, 1))
    rates = (len(encoded) / seconds, len(encoded) / singly)
    return [_row(f"gradients in batches of {batch}", "one by one", "samples/s", rates, peak)]


def tuning(bench: Bench) -> list[Row]:
    """Tokens per second of a LoRA tune, and its arithmetic against the card's measured rate of bfloat16 products.

    Counted are the products of the frozen layers: two operations per weight and token forwards, two backwards (to the
    inputs; frozen weights have no gradient), two per weight and patch of the vision tower. What gradient checkpointing
    computes again is not counted.
    """
    samples, clock = _samples(bench, bench.size.tuned), _Clock()
    vlm = load_vlm(bench.parameters.vlm)
    tokens = float(np.mean([len(_encoded(vlm, sample).input_ids) for sample in samples[:16]]))
    language, vision = _weights(vlm, "language_model.layers"), _weights(vlm, "vision_tower")
    patches = (bench.size.llava.side // 14) ** 2 + 1
    del vlm
    with _peak_memory(bench.device) as peak:
        tune(
            samples,
            bench.folder / "adapter",
            vlm=bench.parameters.vlm,
            tuning=bench.parameters.tuning,
            epochs=1,
            seed=0,
            pixel_limit=PIXEL_LIMIT,
            checkpoint_directory=bench.folder / "checkpoints",
            on_log=lambda row: clock.note(row.step * bench.parameters.tuning.batch_size, 0),
        )
    rate = clock.rate()
    operations = rate * (4 * language * tokens + 2 * vision * patches)
    square = torch.rand(bench.size.matrix, bench.size.matrix, device=bench.device, dtype=torch.bfloat16)
    measured = 2 * bench.size.matrix**3 / _seconds(bench.device, lambda: square @ square)
    rates = (operations / 1e12, measured / 1e12)
    name = f"tune, {rate * tokens:,.0f} tokens/s"
    return [_row(name, "a product of matrices, bfloat16", "TFLOPS", rates, peak)]


def clustering(bench: Bench) -> list[Row]:
    """A pass of k-means, and a whole one, against the CPU; of the pass the CPU does a tenth."""
    count, width, clusters = bench.size.passed
    points = draw_vectors(count, width, 0, spread=1.0, seed=0)
    on_cpu = patch.object(flat_index, "WORTH_A_GPU", sys.maxsize)

    def assign(some: NDArray[np.float32]) -> float:
        return _once(bench.device, lambda: nearest(some, points[:clusters], 2, metric="squared distance"))

    with _peak_memory(bench.device) as peak:
        rate = count / assign(points)
    with on_cpu:
        slow = count // 10 / assign(points[: count // 10])
    name = f"k-means, a pass, {count:,} x {width}, k = {clusters:,}"
    rows = [_row(name, "on the CPU", "vectors/s", (rate, slow), peak)]
    count, width, clusters = bench.size.clustered
    points = draw_vectors(count, width, 2 * clusters, spread=1.0, seed=1)
    with _peak_memory(bench.device) as peak:
        rate = count / _once(bench.device, lambda: k_means(points, clusters, seed=0))
    with on_cpu:
        slow = count / _once(bench.device, lambda: k_means(points, clusters, seed=0))
    name = f"k-means, whole, {count:,} x {width}, k = {clusters:,}"
    return [*rows, _row(name, "on the CPU", "vectors/s", (rate, slow), peak)]


MEASUREMENTS: dict[str, Callable[[Bench], list[Row]]] = {
    "embedding": embedding,
    "scoring": scoring,
    "differentiating": differentiating,
    "tuning": tuning,
    "clustering": clustering,
}


class _Clock:
    """When how much was done."""

    def __init__(self) -> None:
        self._noted: list[tuple[float, int]] = []

    def note(self, done: int, total: int) -> None:  # noqa: ARG002 - as a progress is told
        self._noted.append((time.monotonic(), done))

    def rate(self) -> float:
        (start, before), (end, done) = self._noted[0], self._noted[-1]
        return (done - before) / (end - start)


@contextmanager
def _peak_memory(device: torch.device) -> Iterator[list[float]]:
    """The most GiB in use at any time: of the GPU, by whichever library; without one, of this process."""
    peak, done = [0.0], threading.Event()

    def used() -> float:
        if device.type == "cpu":
            return float(psutil.Process().memory_info().rss)
        free, total = torch.cuda.mem_get_info(device)
        return float(total - free)

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], used() / 2**30)

    if device.type == "cuda":
        torch.cuda.empty_cache()
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak[0] = max(peak[0], used() / 2**30)


def _samples(bench: Bench, count: int) -> list[InstructedImage]:
    return instructed(bench.photographs[:count], _TURN)


def _encoded(vlm: LoadedVlm, sample: InstructedImage) -> EncodedSample:
    return encode(vlm, sample, load_image(sample.uri, image_sha="", pixel_limit=PIXEL_LIMIT))


def _weights(vlm: LoadedVlm, part: str) -> int:
    return sum(weight.numel() for name, weight in vlm.bare_model.named_parameters() if part in name)


def _once(device: torch.device, work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - start


def _seconds(device: torch.device, work: Callable[[], object], *, repeats: int = 10) -> float:
    """Of one call, after one that pays for what is set up once."""
    _once(device, work)
    return _once(device, lambda: [work() for _ in range(repeats)]) / repeats


def _row(measured: str, against: str, unit: str, rates: tuple[float, float], peak: list[float]) -> Row:
    ours, other = rates
    return {
        "measured": measured,
        "against": against,
        "unit": unit,
        "ours": ours,
        "other": other,
        "ratio": ours / other,
        "peak GiB": peak[0],
    }


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, toy size"


if __name__ == "__main__":
    main()
