"""A made-up pool: clustered images of several tasks, drawn from their names."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

COLOURS = ("#d1495b", "#edae49", "#00798c", "#30638e", "#6a994e", "#7b2cbf", "#444444", "#f4a261")


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of the pool as parallel arrays."""

    sample_ids: list[str]
    tasks: list[str]
    shas: list[str]
    uris: list[str]
    clusters: np.ndarray
    points: np.ndarray


def draw_image(uri: str, image_sha: str) -> Image.Image:
    """A drawing that depends on the name alone; images of one cluster look alike."""
    if "broken" in uri:
        raise OSError(f"{uri}: truncated")
    seed = int.from_bytes(hashlib.blake2b(uri.encode(), digest_size=8).digest(), "big")
    rng = np.random.default_rng(seed)
    folder, name = uri.rsplit("/", 1)
    look = len(folder) * 3 + int(name.split("-")[0]) if name[0].isdigit() else seed % 9
    image = Image.new("RGB", (96, 96 if look % 3 else 72), ("#faf6ee", "#e9eef2", "#20242c")[look % 3])
    pen = ImageDraw.Draw(image)
    for index in range(1 + look % 4):
        x, y = (rng.normal(24 + 30 * (index % 2), 5), rng.normal(22 + 22 * (index // 2), 5))
        size = 18 + 3 * (look % 5) + rng.normal(0, 1.5)
        colour = COLOURS[(look + index) % len(COLOURS)]
        box = (x, y, x + size, y + size)
        if look % 2:
            pen.ellipse(box, fill=colour)
        else:
            pen.rectangle(box, fill=colour)
    return image


def make_pool(tasks: dict[str, int], images_per_cluster: int, rng: np.random.Generator) -> Pool:
    ids, names, shas, uris, clusters, points = [], [], [], [], [], []
    for number, (task, size) in enumerate(tasks.items()):
        angle = 2 * math.pi * number / len(tasks)
        centre = 9 * np.array([math.cos(angle), math.sin(angle)])
        wanted = max(1, size // images_per_cluster)
        share = rng.dirichlet(np.full(wanted, 1.6))
        members = np.sort(rng.choice(wanted, size, p=share))
        order = np.argsort(-np.bincount(members, minlength=wanted), kind="stable")
        renamed = np.argsort(order)[members]
        middle = centre + rng.normal(0, 2.6, (wanted, 2))
        for index, cluster in enumerate(renamed):
            sha = hashlib.sha256(f"{task}/{index}".encode()).hexdigest()
            ids.append(f"{task}/{sha[:20]}")
            names.append(task)
            shas.append(sha)
            uris.append(f"data/images/{task}/{cluster}-{index:05d}.png")
            clusters.append(int(cluster))
            points.append(middle[cluster] + rng.normal(0, 0.55, 2))
    return Pool(ids, names, shas, uris, np.array(clusters), np.array(points))
