"""A driver: embeds or scores the images of a folder on a Ray cluster and says how far it is, until it ends."""

import hashlib
import logging
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq

from components.compute.engine import Engine
from components.compute.local import LocalEngine
from components.compute.ray_cluster import leave
from components.compute.ray_engine import RayEngine
from components.models.embedding.embed import EmbedResult, embed_images
from components.models.scoring.instruction_relevance_score import ScoreResult, score_samples
from components.models.vlm.source import VlmFiles
from components.parameters.parameters import EncoderParameters
from components.parameters.reading import load_parameters
from components.pool.samples import InstructedImage, Turn
from flows.embedded_server import end_on_termination

ROOT = Path(__file__).resolve().parents[2]


def embed_folder(folder: Path, *, address: str | None) -> EmbedResult:
    """Embed `folder/images` into `folder/ray`, or without an address on this machine into `folder/local`."""
    images = _images(folder)
    return embed_images(
        list(images),
        [str(path) for path in images.values()],
        folder / ("ray" if address else "local"),
        encoder=EncoderParameters(
            model=str(folder / "encoder"), revision=None, batch_size=4, device="cpu", dtype="auto"
        ),
        pixel_limit=10**6,
        progress=_say,
        engine=_engine(address),
        processes=0,
    )


def score_folder(folder: Path, *, address: str | None) -> ScoreResult:
    """Score `folder/images` with the embedded model into `folder/ray.parquet`, or on this machine `local.parquet`."""
    samples = [
        InstructedImage(path.stem, "noise", str(path), sha, (Turn(f"What is in picture {number}?", "noise " * 20),))
        for number, (sha, path) in enumerate(_images(folder).items())
    ]
    result = score_samples(
        VlmFiles(load_parameters(ROOT / "params.yaml").vlm),
        samples,
        batch_size=4,
        pixel_limit=10**6,
        progress=_say,
        engine=_engine(address),
    )
    pq.write_table(result.scores, folder / ("ray.parquet" if address else "local.parquet"))
    return result


def _images(folder: Path) -> dict[str, Path]:
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted((folder / "images").iterdir())}


def _engine(address: str | None) -> Engine:
    if address is None:
        return LocalEngine()
    compute = load_parameters(ROOT / "params.yaml").compute
    model = compute.model.model_copy(update={"workers": 1})
    return RayEngine(
        compute.model_copy(
            # Long enough for workers to start on a busy machine, which counts.
            update={"engine": "ray", "address": address, "model": model, "stalled_after_seconds": 240.0}
        )
    )


def _say(done: int, total: int) -> None:
    sys.stdout.write(f"{done} of {total}\n")
    sys.stdout.flush()


def main(work: str, folder: Path, address: str) -> str:
    """Embed or score; what came of it."""
    if work == "score":
        scored = score_folder(folder, address=address)
        return f"scored {scored.scores.num_rows}, dropped {len(scored.dropped)}"
    result = embed_folder(folder, address=address)
    return f"embedded {result.embedded}, reused {result.reused}, dropped {len(result.dropped)}"


if __name__ == "__main__":
    os.chdir(ROOT)
    end_on_termination()
    logging.basicConfig(level=logging.INFO)
    try:
        said = main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    finally:
        leave()
    sys.stdout.write(f"{said}\n")
