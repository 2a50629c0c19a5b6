import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from components.instructions.sent_image import prepare_image
from components.pool.images import ImageError, decode_image, stored_format
from tests.components.pool.conftest import png_chunk


def saved(path, image, **options):
    image.save(path, **options)
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def prepared(path, image, *, limit=100, **options):
    uri, sha = saved(path, image, **options)
    return prepare_image(uri, image_sha=sha, limit=limit, pixel_limit=10**6), path.read_bytes()


@pytest.mark.parametrize(
    ("name", "media_type"), [("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp")]
)
def test_a_small_plain_image_is_sent_as_it_is(tmp_path, name, media_type):
    sent, data = prepared(tmp_path / name, Image.new("RGB", (80, 40), "red"))
    assert (sent.media_type, sent.data, sent.width, sent.height) == (media_type, data, 80, 40)
    assert sent.data_url.startswith(f"data:{media_type};base64,")


def test_a_large_image_is_reduced(tmp_path):
    sent, _ = prepared(tmp_path / "a.png", Image.new("RGB", (300, 150), "red"))
    with Image.open(io.BytesIO(sent.data)) as image:
        assert (image.size, image.format) == ((100, 50), "JPEG")
    assert (sent.width, sent.height, sent.media_type) == (100, 50, "image/jpeg")


def test_what_a_model_might_see_otherwise_is_sent_upright_and_plain(tmp_path):
    """A turned photograph, a transparent image, another format: what is sent is what the pipeline sees."""
    turned = Image.new("RGB", (80, 40), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    sent, _ = prepared(tmp_path / "turned.jpg", turned, exif=exif)
    assert (sent.width, sent.height) == (40, 80)
    clear, _ = prepared(tmp_path / "clear.png", Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    with Image.open(io.BytesIO(clear.data)) as image:
        assert image.mode == "RGB"
        assert image.getextrema() == ((255, 255),) * 3, "transparent is white"
    other, _ = prepared(tmp_path / "a.tif", Image.new("RGB", (8, 8), "red"))
    assert other.media_type == "image/jpeg"


COLOUR = (10, 200, 30)


def png_with(kind: bytes, body: bytes, *, damaged: bool = False) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), COLOUR).save(buffer, "PNG")
    data, chunk = buffer.getvalue(), png_chunk(kind, body)
    return data[:33] + (chunk[:-1] + bytes([chunk[-1] ^ 255]) if damaged else chunk) + data[33:]


ODD = {
    "text of the wrong checksum": png_with(b"tEXt", b"k\0v", damaged=True),
    "long compressed text": png_with(b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000))),
    "long international text": png_with(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(80_000_000))),
    "profile that is none": png_with(b"iCCP", b"x\0\0zz"),
    "a colour that is transparent": png_with(b"tRNS", struct.pack(">HHH", *COLOUR)),
    "another that is": png_with(b"tRNS", struct.pack(">HHH", 0, 0, 0)),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_sent_shows_what_the_pipeline_sees(tmp_path, name):
    path = tmp_path / "a.png"
    path.write_bytes(ODD[name])
    seen = decode_image(io.BytesIO(ODD[name]), name="a.png", pixel_limit=10**6).image
    sent = prepare_image(str(path), image_sha=hashlib.sha256(ODD[name]).hexdigest(), limit=100, pixel_limit=10**6)
    with Image.open(io.BytesIO(sent.data)) as image:
        shown = np.asarray(image.convert("RGB"), dtype=int)
        assert not image.has_transparency_data
    assert np.abs(shown - np.asarray(seen, dtype=int)).max() < 4
    assert stored_format(ODD[name], name="a.png") == "PNG"


def test_a_changed_file_is_refused(tmp_path):
    uri, _ = saved(tmp_path / "a.png", Image.new("RGB", (8, 8)))
    with pytest.raises(ImageError, match="written since ingest read it"):
        prepare_image(uri, image_sha="0" * 64, limit=100, pixel_limit=10**6)
