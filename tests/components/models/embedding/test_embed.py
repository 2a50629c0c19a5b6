import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models import commits
from components.models.embedding.embed import bytes_to_embed, embed_images
from components.models.embedding.encoder import encode, load_encoder, load_image_processor, preprocess
from components.models.embedding.vector_store import encoder_fingerprint, read_vectors, stored_images
from components.parameters.parameters import EncoderParameters
from components.pool.images import load_image
from tests.components.models.embedding.conftest import noise_image

PIXEL_LIMIT = 10**6
ROOT = Path(__file__).resolve().parents[4]


def fingerprint(folder: object) -> str:
    """Of an encoder with the dtype of these tests' parameters."""
    return encoder_fingerprint(str(folder), None, dtype="auto")


def make_pool(folder: Path, count: int) -> tuple[list[str], list[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    shas, uris = [], []
    for index in range(count):
        path = folder / f"{index:04}.png"
        noise_image(index).save(path)
        shas.append(hashlib.sha256(path.read_bytes()).hexdigest())
        uris.append(str(path))
    return shas, uris


def parameters(folder: Path, *, batch_size: int = 4) -> EncoderParameters:
    return EncoderParameters(
        model=str(folder),
        revision=None,
        batch_size=batch_size,
        device="cpu",
        dtype="auto",
    )


def run(shas, uris, directory: Path, encoder: EncoderParameters, progress=no_progress, processes=None):
    return embed_images(
        shas,
        uris,
        directory,
        encoder=encoder,
        pixel_limit=PIXEL_LIMIT,
        progress=progress,
        engine=LocalEngine(),
        processes=processes,
    )


def files_and_times(directory: Path) -> dict[str, tuple[bytes, int]]:
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def reference_vectors(shas, uris, encoder: EncoderParameters) -> np.ndarray:
    loaded = load_encoder(encoder)
    processor = load_image_processor(encoder.model, None)
    rows = [
        encode(loaded, preprocess(processor, load_image(uri, image_sha=sha, pixel_limit=PIXEL_LIMIT))[None])
        for sha, uri in zip(shas, uris, strict=True)
    ]
    return np.concatenate(rows)


@pytest.mark.soak
def test_worker_processes_give_the_same_vectors(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 11)
    run(shas, uris, tmp_path / "one", parameters(plain_encoder_folder))
    run(shas, uris, tmp_path / "two", parameters(plain_encoder_folder), processes=2)
    model = fingerprint(plain_encoder_folder)
    in_line, in_workers = (read_vectors(tmp_path / name, shas, model=model) for name in ("one", "two"))
    np.testing.assert_array_equal(in_line, in_workers)


def test_every_image_gets_its_own_vector(encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 11)
    encoder = parameters(encoder_folder)
    seen: list[tuple[int, int]] = []
    result = run(shas, uris, tmp_path / "vectors", encoder, lambda done, total: seen.append((done, total)))
    assert (result.embedded, result.reused, result.dropped) == (11, 0, ())
    assert seen == [(4, 11), (8, 11), (11, 11)]
    read = read_vectors(tmp_path / "vectors", shas, model=fingerprint(encoder_folder))
    np.testing.assert_allclose(read, reference_vectors(shas, uris, encoder), atol=1e-5)


def test_only_new_images_are_embedded(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 10)
    encoder = parameters(plain_encoder_folder)
    run(shas[:6], uris[:6], tmp_path / "vectors", encoder)
    totals: list[int] = []
    result = run(shas, uris, tmp_path / "vectors", encoder, lambda done, total: totals.append(total))
    assert (result.embedded, result.reused) == (4, 6)
    assert set(totals) == {4}
    model = fingerprint(plain_encoder_folder)
    np.testing.assert_allclose(
        read_vectors(tmp_path / "vectors", shas, model=model), reference_vectors(shas, uris, encoder), atol=1e-5
    )


def test_how_many_bytes_are_to_come_is_known_before_from_the_configuration(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 10)
    encoder = parameters(plain_encoder_folder)
    all_bytes = bytes_to_embed(shas, tmp_path / "vectors", encoder=encoder)
    assert not (tmp_path / "vectors").exists()
    run(shas[:6], uris[:6], tmp_path / "vectors", encoder)
    stored = read_vectors(tmp_path / "vectors", shas[:6], model=fingerprint(plain_encoder_folder))
    assert all_bytes == stored.nbytes // 6 * 10
    assert bytes_to_embed(shas, tmp_path / "vectors", encoder=encoder) == stored.nbytes // 6 * 4
    assert bytes_to_embed(shas[:6], tmp_path / "vectors", encoder=encoder) == 0
    away = encoder.model_copy(update={"model": "owner/name", "revision": "a1b2c3"})
    assert bytes_to_embed(shas, tmp_path / "vectors", encoder=away) == 0, "what is not known does not count"


def test_nothing_missing_touches_nothing_and_loads_no_model(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 5)
    run(shas, uris, tmp_path / "vectors", parameters(plain_encoder_folder))
    shutil.rmtree(tmp_path / "pool")  # nothing is decoded either
    before = files_and_times(tmp_path / "vectors")
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from components.models.embedding.embed import embed_images\n"
        "from components.parameters.parameters import EncoderParameters\n"
        "from components.compute.local import LocalEngine\n"
        "from components.compute.progress import no_progress\n"
        "shas, uris, directory, encoder = json.loads(sys.argv[1])\n"
        "result = embed_images(shas, uris, Path(directory), encoder=EncoderParameters(**encoder),\n"
        "    pixel_limit=10**6, progress=no_progress, engine=LocalEngine())\n"
        "print(json.dumps([result.embedded, result.reused, 'torch' in sys.modules]))\n"
    )
    argument = [shas, uris, str(tmp_path / "vectors"), parameters(plain_encoder_folder).model_dump()]
    output = subprocess.run(
        [sys.executable, "-c", script, json.dumps(argument)], cwd=ROOT, check=True, capture_output=True
    )
    assert json.loads(output.stdout) == [0, 5, False]
    assert files_and_times(tmp_path / "vectors") == before


def test_another_encoder_embeds_anew_beside_the_first(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 3)
    run(shas, uris, tmp_path / "vectors", parameters(plain_encoder_folder))
    other = shutil.copytree(plain_encoder_folder, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    weights["layernorm.bias"] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert run(shas, uris, tmp_path / "vectors", parameters(other)).embedded == 3
    first = read_vectors(tmp_path / "vectors", shas, model=fingerprint(plain_encoder_folder))
    second = read_vectors(tmp_path / "vectors", shas, model=fingerprint(other))
    np.testing.assert_allclose(second, first + 1, atol=1e-5)


def test_an_image_named_twice_is_embedded_once(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 2)
    result = run(shas * 2, uris * 2, tmp_path / "vectors", parameters(plain_encoder_folder))
    assert (result.embedded, result.reused) == (2, 0)


def test_images_that_cannot_be_used_are_dropped_with_a_reason(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 6)
    Path(uris[1]).write_bytes(Path(uris[1]).read_bytes() + b"x")
    Path(uris[2]).unlink()
    noise_image(9, size=(1200, 900)).save(uris[3])
    shas[3] = hashlib.sha256(Path(uris[3]).read_bytes()).hexdigest()
    result = run(shas, uris, tmp_path / "vectors", parameters(plain_encoder_folder))
    assert (result.embedded, result.reused) == (3, 0)
    assert {item.sample_id for item in result.dropped} == {shas[1], shas[2], shas[3]}
    reasons = {item.sample_id: item.reason for item in result.dropped}
    assert len(set(reasons.values())) == 3
    assert all(type(reason) is str and reason for reason in reasons.values())
    again = run(shas, uris, tmp_path / "vectors", parameters(plain_encoder_folder))
    assert (again.embedded, again.reused, len(again.dropped)) == (0, 3, 3)


def test_an_image_that_would_become_gigabytes_is_dropped(plain_encoder_folder: Path, tmp_path: Path):
    """The processor makes the shorter side 36 pixels, before it crops."""
    shas, uris = make_pool(tmp_path / "pool", 2)
    Image.new("RGB", (1, 60_000)).save(uris[1])
    shas[1] = hashlib.sha256(Path(uris[1]).read_bytes()).hexdigest()
    result = run(shas, uris, tmp_path / "vectors", parameters(plain_encoder_folder))
    (dropped,) = result.dropped
    assert (result.embedded, dropped.sample_id, dropped.reason) == (1, shas[1], "too_large")
    assert "1 x 60000 pixels would become 36 x 2160000" in dropped.detail


@pytest.mark.parametrize("broken", ["nan", "inf"])
def test_a_vector_that_is_not_finite_is_dropped(plain_encoder_folder: Path, tmp_path: Path, broken: str):
    folder = shutil.copytree(plain_encoder_folder, tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    weights["layernorm.bias"][0] = float(broken)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shas, uris = make_pool(tmp_path / "pool", 3)
    with pytest.raises(ValueError, match=r"not one of the 3 images could be embedded; .*not finite"):
        run(shas, uris, tmp_path / "vectors", parameters(folder))
    assert not list((tmp_path / "vectors").iterdir())


def test_only_the_vectors_that_are_not_finite_are_left_out(plain_encoder_folder, tmp_path: Path, monkeypatch):
    shas, uris = make_pool(tmp_path / "pool", 6)
    encoder = parameters(plain_encoder_folder)

    def poison_second_image(module, inputs, output):
        output.last_hidden_state[1, 0, 3] = torch.nan

    real = load_encoder

    def load_with_poison(parameters):
        loaded = real(parameters)
        loaded.model.register_forward_hook(poison_second_image)
        return loaded

    monkeypatch.setattr("components.models.embedding.encode_images.load_encoder", load_with_poison)
    result = run(shas, uris, tmp_path / "vectors", encoder)
    assert {(item.sample_id, item.reason) for item in result.dropped} == {
        (shas[1], "not finite"),
        (shas[5], "not finite"),
    }
    kept = [index for index in range(6) if index not in (1, 5)]
    read = read_vectors(
        tmp_path / "vectors",
        [shas[index] for index in kept],
        model=fingerprint(encoder.model),
    )
    np.testing.assert_allclose(read, reference_vectors(shas, uris, encoder)[kept], atol=1e-5)


def test_no_images_is_no_work(plain_encoder_folder: Path, tmp_path: Path):
    assert run([], [], tmp_path / "vectors", parameters(plain_encoder_folder)).embedded == 0


def test_vectors_are_committed_in_bulk(plain_encoder_folder: Path, tmp_path: Path, monkeypatch):
    shas, uris = make_pool(tmp_path / "pool", 40)
    monkeypatch.setattr(commits, "SECONDS_BETWEEN_COMMITS", 1000.0)
    run(shas, uris, tmp_path / "vectors", parameters(plain_encoder_folder))
    assert len(list((tmp_path / "vectors" / "vectors.lance" / "data").iterdir())) == 1


KILLED_RUN = """
import json, sys
from pathlib import Path

from components.compute.local import LocalEngine
from components.models import commits
from components.models.embedding import embed
from components.parameters.parameters import EncoderParameters

if __name__ == "__main__":
    shas, uris, directory, encoder = json.loads(Path(sys.argv[1]).read_text())
    commits.SECONDS_BETWEEN_COMMITS = 0.0
    commits.SHARE_BETWEEN_COMMITS = 0.0

    def progress(done, total):
        print(done, flush=True)
        if done >= total // 2:
            sys.stdin.readline()  # held here until it is killed

    embed.embed_images(shas, uris, Path(directory), encoder=EncoderParameters(**encoder), pixel_limit=10**6,
                       progress=progress, engine=LocalEngine(), processes=1)
"""


@pytest.mark.soak
def test_a_killed_run_continues_where_it_was(plain_encoder_folder: Path, tmp_path: Path):
    shas, uris = make_pool(tmp_path / "pool", 24)
    encoder = parameters(plain_encoder_folder)
    directory = tmp_path / "vectors"
    model = fingerprint(encoder.model)
    (tmp_path / "run.py").write_text(KILLED_RUN)
    argument = [shas, uris, str(directory), encoder.model_dump()]
    (tmp_path / "argument.json").write_text(json.dumps(argument))
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "argument.json")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 12:
        pass
    workers = children_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    finished = set(stored_images(directory, model=model).to_pylist())
    assert 0 < len(finished) < 24
    kept = sorted(finished)
    before = read_vectors(directory, kept, model=model)

    forward_passes: list[int] = []
    handle = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: forward_passes.append(1) if type(module).__name__ == "Dinov2Model" else None
    )
    try:
        result = run(shas, uris, directory, encoder)
    finally:
        handle.remove()
    assert (result.embedded, result.reused) == (24 - len(finished), len(finished))
    assert len(forward_passes) == -(-result.embedded // encoder.batch_size)
    np.testing.assert_array_equal(read_vectors(directory, kept, model=model), before)
    assert sorted(stored_images(directory, model=model).to_pylist()) == sorted(shas)

    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()], "workers outlive their parent"


def children_of(parent: int) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            children.append(int(status.parent.name))
    return children
