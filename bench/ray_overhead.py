"""What Ray costs on one machine, and what a second worker brings (`python -m bench.ray_overhead`).

Images are embedded by this machine alone, then on a Ray cluster of it with one worker that holds the model, then two.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.results import Row, out_option, publish
from components.compute.engine import Engine
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.compute.ray_cluster import join, leave
from components.compute.ray_engine import RayEngine
from components.models.embedding.embed import embed_images
from components.parameters.reading import load_parameters


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed drawn photographs with each engine, and print the time beside the first one's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="With the model, on Ray.")
    out_option(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        shas, uris = _draw(Path(folder), options.images)
        measured = {"local": _seconds(shas, uris, Path(folder) / "local", LocalEngine())}
        compute = load_parameters(Path("params.yaml")).compute
        for workers in options.workers:
            model = compute.model.model_copy(update={"workers": workers, "cpus": 0.4, "gpus": 0.0})
            engine = RayEngine(compute.model_copy(update={"engine": "ray", "model": model}))
            started = time.perf_counter()
            join(engine.parameters)  # beside the stage: once per run
            name = f"Ray, {workers} with the model (start of the cluster: {time.perf_counter() - started:.1f} s)"
            measured[name] = _seconds(shas, uris, Path(folder) / str(workers), engine)
            leave()
    local = measured["local"]
    rows: list[Row] = [
        {"engine": name, "wall seconds": seconds, "images a second": options.images / seconds, "ratio": seconds / local}
        for name, seconds in measured.items()
    ]
    publish(rows, packages=("ray", "torch", "pillow"), out=options.out)


def _draw(folder: Path, count: int) -> tuple[list[str], list[str]]:
    """JPEG files of 640 x 480 pixels with structure at several scales."""
    rng = np.random.default_rng(0)
    shas, uris = [], []
    for index in range(count):
        coarse = rng.integers(0, 256, size=(30, 40, 3), dtype=np.uint8)
        file = folder / f"{index:06}.jpg"
        Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(file, quality=90)
        shas.append(hashlib.sha256(file.read_bytes()).hexdigest())
        uris.append(str(file))
    return shas, uris


def _seconds(shas: Sequence[str], uris: Sequence[str], directory: Path, engine: Engine) -> float:
    parameters = load_parameters(Path("params.yaml"))
    started = time.perf_counter()
    embed_images(
        shas,
        uris,
        directory,
        encoder=parameters.encoder,
        pixel_limit=parameters.ingest.pixel_limit,
        progress=no_progress,
        engine=engine,
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
