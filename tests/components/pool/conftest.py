"""Small pools made in a temporary folder: a good one, and one with everything that goes wrong."""

import json
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from components.parameters.parameters import IngestParameters, SourceParameters, TaskRule


def textured(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture whose perceptual hash differs from that of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, size=(6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb_png(width: int, height: int) -> bytes:
    """A PNG of black pixels, a few kB that would unpack to width x height bits."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20), 9)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def options(
    *,
    pixel_limit: int = 10_000_000,
    near_duplicate_bits: int = 4,
    keep_near_duplicates: bool = True,
) -> IngestParameters:
    return IngestParameters(
        pixel_limit=pixel_limit,
        near_duplicate_bits=near_duplicate_bits,
        keep_near_duplicates=keep_near_duplicates,
    )


def source(kind: str, path: object, image_root: object, **rule: object) -> SourceParameters:
    task = TaskRule.model_validate(rule or {"field": "task"})
    return SourceParameters.model_validate(
        {"kind": kind, "path": str(path), "image_root": str(image_root), "task": task}
    )


def write_records(folder: Path, records: object, name: str = "pool.json", **rule: object) -> SourceParameters:
    """Write records to a LLaVA JSON beside a folder `images`."""
    (folder / "images").mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(records), encoding="utf-8")
    return source("llava_json", folder / name, folder / "images", **rule)


@pytest.fixture
def write_pool(tmp_path: Path) -> Callable[..., SourceParameters]:
    return partial(write_records, tmp_path)


GOOD = (
    *("plain.jpg", "cmyk.jpg", "gray16.png", "palette.gif", "rgba.png", "la.png", "one_pixel.png", "wide.png"),
    *("exif_rotated.jpg", "webp.webp", "UPPER.JPG", "progressive.jpg", "wrong_ext_is_png.jpg"),
    *("near_copy_of_plain.jpg", "link_inside.jpg", "имя файла 图像.jpg", "quote'\"&<b>.jpg"),
)

BAD = {
    "exact_copy_of_plain.jpg": "duplicate",
    "zero_bytes.jpg": "corrupt",
    "truncated.jpg": "corrupt",
    "truncated.png": "corrupt",
    "garbage.jpg": "corrupt",
    "text.jpg": "corrupt",
    "header_only.png": "corrupt",
    "svg.svg": "unsupported",
    "pickle.pt": "unsupported",
    "document.pdf": "unsupported",
    "bomb.png": "too_large",
    "link_outside.jpg": "outside_root",
    "linked_folder/plain.jpg": "outside_root",
    "folder.jpg": "not_a_file",
    "pipe.jpg": "not_a_file",
    "not_there.jpg": "missing",
    "plain.jpg/below_a_file.jpg": "missing",
    f"{'long' * 100}.jpg": "missing",
    "../../../../etc/passwd": "outside_root",
    "/etc/passwd": "outside_root",
    "x/../../images_beside/plain.jpg": "outside_root",
}

ODD_RECORDS: list[tuple[object, str]] = [
    ({"id": "d0", "image": "rgba.png", "task": "photos"}, "duplicate_id"),
    ({"id": "no_image", "task": "photos"}, "invalid_record"),
    ({"id": "no_task", "image": "rgba.png"}, "invalid_record"),
    ({"id": "null", "image": None, "task": "photos"}, "invalid_record"),
    ({"id": 5, "image": "rgba.png", "task": ["x"]}, "invalid_record"),
    ({"id": "blank_task", "image": "rgba.png", "task": " "}, "invalid_record"),
    ({"id": ["list"], "image": "rgba.png", "task": "photos"}, "invalid_record"),
    ({"id": "two", "image": ["rgba.png", "la.png"], "task": "photos"}, "invalid_record"),
    ({"id": "embedded", "image": {"bytes": ""}, "task": "photos"}, "invalid_record"),
    ({"id": "zero byte", "image": "a\0.png", "task": "photos"}, "invalid_record"),
    ({"id": "surrogate", "image": "\ud800.png", "task": "photos"}, "invalid_record"),
    ({"id": "\udfff", "image": "rgba.png", "task": "photos"}, "invalid_record"),
    ({"id": "surrogate task", "image": "rgba.png", "task": "\ud800"}, "invalid_record"),
    ("not an object", "invalid_record"),
    (None, "invalid_record"),
    ({"id": "talk", "conversations": [{"from": "human", "value": "hi"}]}, "text_only"),
    ({"id": "film", "video": "a.mp4", "conversations": [{"from": "human", "value": "hi"}]}, "invalid_record"),
]


@pytest.fixture
def dirty_pool(tmp_path: Path) -> SourceParameters:
    return write_dirty_pool(tmp_path)


def write_dirty_pool(folder: Path) -> SourceParameters:
    """Everything that goes wrong: the good files, then the bad ones, a record without id, the odd records."""
    images = folder / "images"
    images.mkdir()
    _draw_good(images)
    _draw_bad(images, folder / "images_beside")
    records: list[object] = [
        {"id": f"d{number}", "image": name, "task": "photos"} for number, name in enumerate([*GOOD, *BAD])
    ]
    records.append({"image": "plain.jpg", "task": "photos"})
    records.extend(record for record, _ in ODD_RECORDS)
    return write_records(folder, records)


def _draw_good(images: Path) -> None:
    textured(0).save(images / "plain.jpg", quality=95)
    Image.open(images / "plain.jpg").save(images / "near_copy_of_plain.jpg", quality=60)
    textured(1).convert("CMYK").save(images / "cmyk.jpg")
    levels = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    Image.fromarray(levels).save(images / "gray16.png")
    textured(2).quantize(64).save(images / "palette.gif", transparency=3)
    rgba = textured(3).convert("RGBA")
    rgba.putalpha(textured(4).convert("L"))
    rgba.save(images / "rgba.png")
    rgba.convert("LA").rotate(180).save(images / "la.png")
    Image.new("RGB", (1, 1), "red").save(images / "one_pixel.png")
    Image.new("RGB", (4000, 3), "blue").save(images / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    textured(5).save(images / "exif_rotated.jpg", exif=exif)
    textured(6).save(images / "webp.webp")
    textured(7).save(images / "UPPER.JPG", format="JPEG")
    textured(8).save(images / "progressive.jpg", progressive=True)
    textured(9).save(images / "wrong_ext_is_png.jpg", format="PNG")
    textured(10).save(images / "имя файла 图像.jpg")
    textured(11).save(images / "quote'\"&<b>.jpg")
    (images / "below").mkdir()
    textured(12).save(images / "below" / "target.jpg")
    (images / "link_inside.jpg").symlink_to("below/target.jpg")


def _draw_bad(images: Path, beside: Path) -> None:
    beside.mkdir()
    textured(13).save(beside / "plain.jpg")
    plain = (images / "plain.jpg").read_bytes()
    (images / "exact_copy_of_plain.jpg").write_bytes(plain)
    (images / "zero_bytes.jpg").touch()
    (images / "truncated.jpg").write_bytes(plain[: len(plain) // 2])
    whole = (images / "rgba.png").read_bytes()
    (images / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (images / "header_only.png").write_bytes(whole[:33])
    (images / "garbage.jpg").write_bytes(np.random.default_rng(0).bytes(4096))
    (images / "text.jpg").write_text("this is not an image")
    (images / "svg.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>')
    (images / "pickle.pt").write_bytes(pickle.dumps({"weights": [1, 2]}))
    (images / "document.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n")
    (images / "bomb.png").write_bytes(bomb_png(60_000, 60_000))
    (images / "link_outside.jpg").symlink_to(beside / "plain.jpg")
    (images / "linked_folder").symlink_to(beside)
    (images / "folder.jpg").mkdir()
    os.mkfifo(images / "pipe.jpg")


@pytest.fixture
def memory_url() -> Iterator[str]:
    """A folder on fsspec's in-memory file system, removed afterwards."""
    filesystem = fsspec.filesystem("memory")
    filesystem.makedirs("/pool_of_test")
    yield "memory://pool_of_test"
    filesystem.rm("/pool_of_test", recursive=True)
