"""Stages on photographs: what decoding takes of them, and Pillow's draft mode (`python -m bench.photographs`)."""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import imagehash
import numpy as np
import torch
from PIL import Image

from bench.drawn_photographs import HEIGHT, WIDTH, draw_photographs
from bench.random_models import DINOV2_BASE, save_encoder
from bench.results import Row, out_option, publish
from components.compute.local import LocalEngine
from components.compute.progress import Progress, no_progress
from components.models.embedding.embed import embed_images
from components.models.embedding.encoder import encode, load_encoder, load_image_processor, preprocess
from components.models.training.tune import tune
from components.parameters.parameters import EncoderParameters, Parameters, SourceParameters, TaskRule
from components.parameters.reading import load_parameters
from components.pool.images import load_image
from components.pool.ingest import ingest
from components.pool.samples import InstructedImage, Turn
from demo.tiny_models import ENCODER_FOLDER

_TURN = Turn("What is in the picture?", "A hill with some trees, and a cloudy sky over it.")
_SIDE = 224
PIXEL_LIMIT = 100_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the stages and their parts in processor seconds, on one thread, without what is set up once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300, help="a twelfth of them for DINOv2 base")
    out_option(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    parameters = load_parameters(Path("params.yaml"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = draw_photographs(folder / "drawn", options.images, seed=0)
        save_encoder(DINOV2_BASE, folder / "base", side=_SIDE, seed=0)
        rows = [
            *_embedding(paths, folder, parameters.encoder, ENCODER_FOLDER, "embed, the demo's encoder"),
            *_embedding(
                paths[::12], folder, parameters.encoder, folder / "base", f"embed, DINOv2 base, {_SIDE} pixels"
            ),
            *_ingesting(paths, folder, parameters),
            *_tuning(paths[:64], folder, parameters),
            *_draft_mode(paths[:24], folder, parameters.encoder),
        ]
    publish(rows, packages=("pillow", "torch", "transformers", "imagehash"), out=options.out)


def embed(
    paths: Sequence[Path], database: Path, encoder: EncoderParameters, *, progress: Progress = no_progress
) -> None:
    """Embed image files as the stage does."""
    shas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    uris = [str(path) for path in paths]
    embed_images(
        shas, uris, database, encoder=encoder, pixel_limit=PIXEL_LIMIT, progress=progress, engine=LocalEngine()
    )


def instructed(paths: Sequence[Path], turn: Turn = _TURN) -> list[InstructedImage]:
    """Image files with one instruction each."""
    return [InstructedImage(f"task/{path.stem}", "task", str(path), "", (turn,)) for path in paths]


def decode_all(paths: Sequence[Path]) -> None:
    """The pure decode loop: bytes to an upright RGB image, no check of the hash."""
    for path in paths:
        _load(path)


def _embedding(paths: Sequence[Path], folder: Path, encoder: EncoderParameters, model: Path, name: str) -> list[Row]:
    parameters = encoder.model_copy(update={"model": str(model), "device": "cpu", "dtype": "float32"})
    loaded, processor = load_encoder(parameters), load_image_processor(parameters.model, parameters.revision)
    images = [_load(path) for path in paths]
    pixels = np.stack([preprocess(processor, image) for image in images])
    size = parameters.batch_size

    def forward() -> None:
        for start in range(0, len(pixels), size):
            encode(loaded, pixels[start : start + size])

    embed(paths[:1], folder / f"{model.name}-imports", parameters)
    # Opening the model and the database takes as long for one image as for a million.
    once = _seconds(lambda: embed(paths[:1], folder / f"{model.name}-once", parameters))
    parts = {
        "decode alone": _seconds(lambda: decode_all(paths)),
        "sha256 alone": _seconds(lambda: [hashlib.sha256(path.read_bytes()) for path in paths]),
        "resize and crop alone": _seconds(lambda: [preprocess(processor, image) for image in images]),
        "forward alone": _seconds(forward),
    }
    return _rows(name, len(paths), parts, _seconds(lambda: embed(paths, folder / model.name, parameters)) - once)


def _ingesting(paths: Sequence[Path], folder: Path, parameters: Parameters) -> list[Row]:
    drawn = str(paths[0].parent)
    source = SourceParameters(kind="image_folder", path=drawn, image_root=drawn, task=TaskRule(constant="one"))
    options = parameters.ingest.model_copy(update={"pixel_limit": PIXEL_LIMIT})

    def work(bits: int) -> None:
        chosen = options.model_copy(update={"near_duplicate_bits": bits})
        known = folder / f"known-{bits}"
        ingest([source], chosen, known_images=known, progress=no_progress, engine=LocalEngine(), processes=0)

    images = [_load(path) for path in paths[:48]]
    parts = {
        "decode alone": _seconds(lambda: decode_all(paths)),
        "sha256 alone": _seconds(lambda: [hashlib.sha256(path.read_bytes()) for path in paths]),
    }
    hashing = _seconds(lambda: [imagehash.phash(image) for image in images]) * len(paths) / len(images)
    work(-1)
    (folder / "known--1").unlink()
    return [
        *_rows("ingest", len(paths), parts, _seconds(lambda: work(-1))),
        *_rows("ingest, near duplicates", len(paths), parts | {"phash alone": hashing}, _seconds(lambda: work(2))),
    ]


def _tuning(paths: Sequence[Path], folder: Path, parameters: Parameters) -> list[Row]:
    def work(number: int) -> None:
        tune(
            instructed(paths),
            folder / f"adapter-{number}",
            vlm=parameters.vlm.model_copy(update={"device": "cpu"}),
            tuning=parameters.tuning,
            epochs=1,
            seed=0,
            pixel_limit=PIXEL_LIMIT,
            checkpoint_directory=folder / f"checkpoints-{number}",
            on_log=lambda _: None,
        )

    work(0)
    parts = {"decode alone": _seconds(lambda: decode_all(paths))}
    # The pure forward and backward passes are what a tune is, so there are no further parts to compare with.
    return _rows("tune, the demo's model, one epoch", len(paths), parts, _seconds(lambda: work(1)))[:-1]


def _draft_mode(paths: Sequence[Path], folder: Path, encoder: EncoderParameters) -> list[Row]:
    """What a decoder saves that is asked for a smaller image, and what becomes of vectors and perceptual hashes."""
    parameters = encoder.model_copy(update={"model": str(ENCODER_FOLDER), "device": "cpu", "dtype": "float32"})
    loaded, processor = load_encoder(parameters), load_image_processor(parameters.model, None)

    def compared(files: Sequence[Path], side: int, name: str) -> list[Row]:
        whole, reduced = [_opened(path, None) for path in files], [_opened(path, side) for path in files]
        vectors = [encode(loaded, np.stack([preprocess(processor, one) for one in kind])) for kind in (whole, reduced)]
        unit = [kind / np.linalg.norm(kind, axis=1, keepdims=True) for kind in vectors]  # (n, d) each
        cosines = (unit[0] * unit[1]).sum(axis=1)  # (n,)
        bits = [imagehash.phash(one) - imagehash.phash(other) for one, other in zip(whole, reduced, strict=True)]
        plain = _seconds(lambda: [_opened(path, None) for path in files])
        drafted = _seconds(lambda: [_opened(path, side) for path in files])
        return [
            _row(f"draft mode, {name}", "decode, processor ms an image", 1000 * plain / len(files)),
            _row(f"draft mode, {name}", "with draft mode, processor ms an image", 1000 * drafted / len(files)),
            _row(f"draft mode, {name}", "least cosine of vectors with and without", float(cosines.min())),
            _row(f"draft mode, {name}", "most bits of 64 of a perceptual hash that differ", float(max(bits))),
        ]

    large = draw_photographs(folder / "large", 6, seed=1, width=4 * WIDTH, height=4 * HEIGHT)
    return [
        *compared(paths, 64, "640 x 480 for 64 pixels"),
        *compared(paths, 256, "640 x 480 for 256 pixels"),
        *compared(large, 256, "2560 x 1920 for 256 pixels"),
    ]


def _opened(path: Path, side: int | None) -> Image.Image:
    image = Image.open(path)
    if side is not None:
        image.draft("RGB", (side, side))
    image.load()
    return image


def _rows(name: str, count: int, parts: dict[str, float], seconds: float) -> list[Row]:
    alone = sum(parts.values())
    rows = [_row(name, part, 1000 * value / count) for part, value in parts.items()]
    return [
        *(row | {"measured": f"{row['measured']}, processor ms an image"} for row in rows),
        _row(name, "the stage, processor ms an image", 1000 * seconds / count),
        _row(name, "share of it that is decoding", parts["decode alone"] / seconds),
        _row(name, "images per second and core", count / seconds),
        _row(name, "of the rate of its parts alone", alone / seconds),
    ]


def _row(name: str, measured: str, value: float) -> Row:
    return {"stage": name, "measured": measured, "value": value}


def _load(path: Path) -> Image.Image:
    return load_image(str(path), image_sha="", pixel_limit=PIXEL_LIMIT)


def _seconds(work: Callable[[], object]) -> float:
    # Processor time of all threads: fair also while the machine does other things.
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
