"""A copy of the project in a temporary folder, with a pool small enough to run the whole pipeline in seconds."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageDraw

CHECKOUT = Path(__file__).parents[2]
COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220), "black": (10, 10, 10)}
QUESTIONS = {"color": "What color is it?", "shape": "What shape is it?"}
IMAGES_PER_TASK = 60


def make_project(root: Path, *, baselines: Sequence[str] = ("random",)) -> Path:
    """Copy the code, draw a pool of two tasks, and make it a git repository, as a clone is.

    Args:
        root: the folder to make.
        baselines: controls of its runs.
    """
    for name in ("components", "tasks", "flows"):
        shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    shutil.copytree(CHECKOUT / "conf" / "prompts", root / "conf" / "prompts")
    shutil.copytree(CHECKOUT / "infra" / "work_pools", root / "infra" / "work_pools")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "prefect.yaml"):
        shutil.copy(CHECKOUT / name, root / name)
    draw_pool(root / "pool", seed=3)
    values = small_parameters(yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8")))
    values["baselines"] = list(baselines)
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
        subprocess.run(["git", *identity, *command], cwd=root, check=True)
    return root


def small_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """The shipped parameters, with the small pool and as little training as runs."""
    values["sources"] = [
        {"kind": "llava_json", "path": "pool/pool.json", "image_root": "pool/images", "task": {"field": "task"}}
    ]
    values["encoder"]["model"] = str(CHECKOUT / values["encoder"]["model"])
    values["vlm"]["model"] = str(CHECKOUT / values["vlm"]["model"])
    values["budget"] = "30%"
    values["reference"]["share"] = 0.1
    values["cluster"]["images_per_cluster"] = 20
    values["tive"]["warm_up_share"] = 0.1
    values["tive"]["projection"] = 64
    values["coincide"]["model"] = str(CHECKOUT / values["coincide"]["model"])
    values["coincide"]["clusters"] = 4
    values["tuning"]["checkpoint_every"] = 1
    values["tuning"]["log_every"] = 1
    values["tuning"]["batch_size"] = 8
    values["reference_tune"]["epochs"] = 1
    values["final_tune"]["epochs"] = 1
    values["instructions"]["annotations"] = [{"path": "pool/annotations.json", "image_root": "pool/images"}]
    values["benchmark"]["max_new_tokens"] = 8
    values["benchmark"]["sets"] = [
        {"name": task, "path": f"pool/benchmark_{task}.json", "image_root": "pool/images", "metric": "exact_match"}
        for task in QUESTIONS
    ]
    values["registry"]["model_name"] = "small"
    return values


def draw_pool(root: Path, *, seed: int) -> None:
    """Draw circles and squares; write the pool, the annotations and a benchmark of eight images per task."""
    random = np.random.default_rng(seed)
    pool, annotations = [], []
    for task, question in QUESTIONS.items():
        held_out = []
        for index in range(IMAGES_PER_TASK + 8):
            answer, name = draw_image(root, task, index, random)
            record = {"id": f"{task}-{index}", "image": name, "task": task}
            turns = [
                {"from": "human", "value": f"<image>\n{question}"},
                {"from": "gpt", "value": answer},
            ]
            if index < IMAGES_PER_TASK:
                pool.append(record)
                annotations.append({**record, "conversations": turns})
            else:
                held_out.append({**record, "conversations": turns})
        (root / f"benchmark_{task}.json").write_text(json.dumps(held_out), encoding="utf-8")
    (root / "pool.json").write_text(json.dumps(pool), encoding="utf-8")
    (root / "annotations.json").write_text(json.dumps(annotations), encoding="utf-8")


def draw_image(root: Path, task: str, index: int, random: np.random.Generator) -> tuple[str, str]:
    """Draw one image of a task; its answer, and its file below `images`."""
    colour = list(COLOURS)[int(random.integers(len(COLOURS)))]
    shape = ("circle", "square")[int(random.integers(2))]
    image = Image.new("RGB", (64, 64), tuple(int(value) for value in random.integers(200, 256, size=3)))
    x, y, size = (int(value) for value in random.integers(6, 24, size=3))
    box = (x, y, x + size + 12, y + size + 12)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=COLOURS[colour])
    name = f"{task}/{index}.png"
    path = root / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return (colour if task == "color" else shape), name
