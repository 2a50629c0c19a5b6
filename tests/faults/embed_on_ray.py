"""A driver: embeds the images of a folder on a Ray cluster and says how far it is, until it is killed or done."""

import hashlib
import logging
import os
import sys
from pathlib import Path

from components.compute.local import LocalEngine
from components.compute.ray_cluster import leave
from components.compute.ray_engine import RayEngine
from components.models.embedding.embed import EmbedResult, embed_images
from components.parameters.parameters import EncoderParameters
from components.parameters.reading import load_parameters
from flows.embedded_server import end_on_termination

ROOT = Path(__file__).resolve().parents[2]


def embed_folder(folder: Path, *, address: str | None) -> EmbedResult:
    """Embed `folder/images` into `folder/ray`, or without an address on this machine into `folder/local`."""
    paths = sorted((folder / "images").iterdir())
    shas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    compute = load_parameters(ROOT / "params.yaml").compute
    model = compute.model.model_copy(update={"workers": 1})
    compute = compute.model_copy(
        # Long enough for workers to start on a busy machine, which counts.
        update={"engine": "ray", "address": address, "model": model, "stalled_after_seconds": 240.0}
    )

    def say(done: int, total: int) -> None:
        sys.stdout.write(f"{done} of {total}\n")
        sys.stdout.flush()

    return embed_images(
        shas,
        [str(path) for path in paths],
        folder / ("ray" if address else "local"),
        encoder=EncoderParameters(
            model=str(folder / "encoder"), revision=None, batch_size=4, device="cpu", dtype="auto"
        ),
        pixel_limit=10**6,
        progress=say,
        engine=RayEngine(compute) if address else LocalEngine(),
        processes=0,
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    end_on_termination()
    logging.basicConfig(level=logging.INFO)
    try:
        result = embed_folder(Path(sys.argv[1]), address=sys.argv[2])
    finally:
        leave()
    sys.stdout.write(f"embedded {result.embedded}, reused {result.reused}, dropped {len(result.dropped)}\n")
