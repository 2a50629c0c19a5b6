"""Writes the demo pool: images without instructions, the instructions apart from them, and benchmark sets.

`python -m demo.write_pool FOLDER --seed 0`
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demo.captions import Turn
from demo.drawing import Scene, draw
from demo.questions import DEMO_TASKS, OPPOSITES, DemoTask
from demo.scenes import jitter, spoil

# Part of the marker: raise it whenever the same seed would give another pool.
POOL_VERSION = 4
MARKER = "demo_pool.json"
BENCHMARK_SIZE = 70


@dataclass(frozen=True, slots=True)
class Composition:
    """What a task of the pool is made of.

    Attributes:
        size: Images of the task.
        heads: Share of the task held by each big cluster of near-identical images.
        spoiled: Share of bad photographs, in which other things hide the scene.
        near_duplicates: Share of second takes of a diverse image (other noise, nothing else).
        exact_duplicates: Share of copies, byte for byte, under another name.
        skew: Exponent of the Zipf law of the answers among the diverse images; 0 is uniform.
    """

    size: int
    heads: tuple[float, ...]
    spoiled: float = 0.25
    near_duplicates: float = 0.03
    exact_duplicates: float = 0.02
    skew: float = 0.8


COMPOSITIONS: dict[str, Composition] = {
    "color": Composition(640, (0.18, 0.12)),
    "shape": Composition(520, (0.18, 0.12)),
    "counting": Composition(460, (0.22,)),
    "reading": Composition(400, (0.20,)),
    "relation": Composition(380, (0.22,)),
    "chart": Composition(340, (0.22,)),
    "existence": Composition(320, (0.22,)),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One image with what is asked about it."""

    png: bytes
    turns: tuple[Turn, ...]


def write_demo_pool(root: Path, *, seed: int) -> None:
    """Write the demo pool, unless the same pool is already there.

    `root` receives `pool.json` (LLaVA records without conversations), `annotations.json` (the same records with
    them), `images/<task>/*.png`, `benchmark/<task>.json` (LLaVA records with conversations) and
    `benchmark/images/<task>/*.png`. Image paths are relative to `images` in the first two files and to
    `benchmark/images` in the benchmark files. The folder appears complete or not at all.

    Args:
        root: Folder of the pool; created, or replaced when it holds a demo pool of another seed or version.
        seed: Seed of everything drawn.

    Raises:
        FileExistsError: `root` holds something that is not a demo pool.
    """
    root = root.absolute()
    marker = json.dumps({"pool_version": POOL_VERSION, "seed": seed})
    if (root / MARKER).is_file():
        if (root / MARKER).read_text(encoding="utf-8") == marker:
            return
    elif root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty and holds no demo pool ({MARKER} is missing); name another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        _write(partial, seed)
        _write_text(partial / MARKER, marker)
        partial.chmod(0o755)
        if root.exists():
            shutil.rmtree(root)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, seed: int) -> None:
    pool_stream, benchmark_stream = np.random.SeedSequence(seed).spawn(2)
    bare: list[Mapping[str, object]] = []
    annotated: list[Mapping[str, object]] = []
    seen: set[bytes] = set()
    for task, stream in zip(DEMO_TASKS, pool_stream.spawn(len(DEMO_TASKS)), strict=True):
        entries = pool_entries(task, np.random.default_rng(stream))
        seen.update(hashlib.sha256(entry.png).digest() for entry in entries)
        records = _write_entries(folder / "images", task.name, entries, prefix="")
        annotated += records
        bare += [{key: record[key] for key in ("id", "image", "task")} for record in records]
    _write_text(folder / "pool.json", json.dumps(bare, indent=1))
    _write_text(folder / "annotations.json", json.dumps(annotated, indent=1))
    for task, stream in zip(DEMO_TASKS, benchmark_stream.spawn(len(DEMO_TASKS)), strict=True):
        entries = benchmark_entries(task, np.random.default_rng(stream), seen)
        records = _write_entries(folder / "benchmark" / "images", task.name, entries, prefix="benchmark-")
        _write_text(folder / "benchmark" / f"{task.name}.json", json.dumps(records, indent=1))


def pool_entries(task: DemoTask, rng: np.random.Generator) -> list[Entry]:
    """Draw one task of the pool: big clusters of near-identical images and a long tail of diverse ones.

    Args:
        task: The task.
        rng: Source of randomness.

    Returns:
        The entries in random order.
    """
    composition = COMPOSITIONS[task.name]
    size = composition.size
    entries: list[Entry] = []
    for share in composition.heads:
        answer = _skewed_answer(task, composition, rng)
        head = task.scene(rng, answer)
        entries += [
            _entry(task, jitter(rng, head), _same_scene_answer(task, answer, rng), rng)
            for _ in range(round(share * size))
        ]
    twins = round(composition.near_duplicates * size)
    copies = round(composition.exact_duplicates * size)
    spoiled = round(composition.spoiled * size)
    tail: list[tuple[Scene, str]] = []
    for position in range(size - len(entries) - twins - copies):
        answer = _skewed_answer(task, composition, rng)
        scene = task.scene(rng, answer)
        if position < spoiled:
            scene = spoil(rng, scene)
        else:
            tail.append((scene, answer))
        entries.append(_entry(task, scene, answer, rng))
    for _ in range(twins):
        scene, answer = tail[int(rng.integers(len(tail)))]
        entries.append(_entry(task, jitter(rng, scene, amount=0.0), answer, rng))
    entries += [entries[int(i)] for i in rng.integers(len(entries), size=copies)]
    return [entries[int(i)] for i in rng.permutation(len(entries))]


def benchmark_entries(task: DemoTask, rng: np.random.Generator, seen: set[bytes]) -> list[Entry]:
    """Draw the benchmark of a task: every answer equally often, no image twice or from the pool, one question each.

    Args:
        task: The task.
        rng: Source of randomness.
        seen: sha256 digests of the pool's images.

    Returns:
        `BENCHMARK_SIZE` entries.
    """
    taken = set(seen)
    entries: list[Entry] = []
    while len(entries) < BENCHMARK_SIZE:
        answer = task.answers[len(entries) % len(task.answers)]
        if task.name == "chart" and len(entries) % 3 == 0:
            answer = "tallest"
        entry = _entry(task, task.scene(rng, answer), answer, rng)
        digest = hashlib.sha256(entry.png).digest()
        if digest not in taken:
            taken.add(digest)
            entries.append(Entry(entry.png, entry.turns[:1]))
    return entries


def _skewed_answer(task: DemoTask, composition: Composition, rng: np.random.Generator) -> str:
    if task.name == "chart" and rng.random() < 0.3:
        return "tallest"
    weights = np.arange(1, len(task.answers) + 1, dtype=np.float64) ** -composition.skew
    if task.name in ("relation", "existence"):
        # A pool that mostly says yes, or left, would teach to say it always.
        weights[:] = 1.0
    return task.answers[int(rng.choice(len(task.answers), p=weights / weights.sum()))]


def _same_scene_answer(task: DemoTask, answer: str, rng: np.random.Generator) -> str:
    """An answer that fits the same scene: about one scene one can ask for a yes or a no, and turn a relation around."""
    if task.name == "existence":
        return "yes" if rng.random() < 0.5 else "no"
    if task.name == "relation":
        return answer if rng.random() < 0.5 else OPPOSITES[answer]
    return answer


def _entry(task: DemoTask, scene: Scene, answer: str, rng: np.random.Generator) -> Entry:
    buffer = io.BytesIO()
    draw(scene).save(buffer, format="PNG", compress_level=1)
    return Entry(buffer.getvalue(), tuple(task.ask(rng, scene, answer)))


def _write_entries(folder: Path, task: str, entries: list[Entry], *, prefix: str) -> list[Mapping[str, object]]:
    """Write the images of a task and return their LLaVA records, image paths relative to `folder`."""
    (folder / task).mkdir(parents=True)
    records: list[Mapping[str, object]] = []
    for number, entry in enumerate(entries):
        identity = f"{prefix}{task}-{number:04d}"
        (folder / task / f"{identity}.png").write_bytes(entry.png)
        conversations = []
        for position, turn in enumerate(entry.turns):
            question = f"<image>\n{turn.prompt}" if position == 0 else turn.prompt
            conversations += [{"from": "human", "value": question}, {"from": "gpt", "value": turn.response}]
        records.append(
            {"id": identity, "image": f"{task}/{identity}.png", "task": task, "conversations": conversations}
        )
    return records


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_demo_pool(options.folder, seed=options.seed)


if __name__ == "__main__":
    main()
