"""What ingest holds and writes per image, however many there are (`python -m bench.ingest_memory`)."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.results import Row, out_option, publish
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.parameters.parameters import SourceParameters, TaskRule
from components.parameters.reading import load_parameters
from components.pool.ingest import ingest
from components.storage import write_table


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one run: bytes of peak memory, and of the tables that ingest gives."""

    peak: int
    written: int


def measure(folder: Path, count: int) -> Measured:
    """Ingest so many images, each an entry of one LLaVA JSON file."""
    images = folder / "images"
    images.mkdir()
    for number in range(count):
        pixels = np.frombuffer(np.int64(number).tobytes() * 24, dtype=np.uint8).reshape(8, 8, 3)
        Image.fromarray(pixels).save(images / f"{number:012d}.png")
    records = [{"id": f"{number:012d}", "image": f"{number:012d}.png"} for number in range(count)]
    (folder / "pool.json").write_text(json.dumps(records), encoding="utf-8")
    source = SourceParameters(
        kind="llava_json", path=str(folder / "pool.json"), image_root=str(images), task=TaskRule(constant="one")
    )
    options = load_parameters(Path("params.yaml")).ingest
    known, here = folder / "known", LocalEngine()
    result = ingest([source], options, known_images=known, progress=no_progress, engine=here, processes=0)
    written = 0
    for name in ("images", "samples", "records"):
        write_table(folder / f"{name}.parquet", getattr(result, name))
        written += (folder / f"{name}.parquet").stat().st_size
    # Of this program alone: the peak that getrusage tells of includes the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return Measured(peak=int(status.split("VmHWM:")[1].split()[0]) * 1024, written=written)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure two numbers of images, each in a process of its own; what is between them is per image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs=2, default=[4_000, 24_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    out_option(parser)
    options = parser.parse_args(arguments)
    if options.one is not None:
        with tempfile.TemporaryDirectory() as temporary:
            sys.stdout.write(json.dumps(asdict(measure(Path(temporary), options.one))))
        return
    few, many = [_measured(count) for count in options.images]
    further = options.images[1] - options.images[0]
    rows: list[Row] = [
        {"measured": "memory, bytes per image", "value": (many.peak - few.peak) / further},
        {"measured": "tables, bytes per image", "value": (many.written - few.written) / further},
    ]
    publish(rows, packages=("pyarrow", "pillow"), out=options.out)


def _measured(count: int) -> Measured:
    command = [sys.executable, "-m", "bench.ingest_memory", "--one", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
