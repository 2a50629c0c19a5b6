import hashlib
import io
import struct
import zlib
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from components.pool.images import FORMATS, ImageError, decode_image, load_image, read_image_bytes, to_rgb
from components.pool.locations import tar_member_uri
from tests.components.pool.conftest import png_chunk

LIMIT = 1_000_000


def encode(image: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def decode(data: bytes, name: str = "x.png", pixel_limit: int = LIMIT) -> Image.Image:
    return decode_image(io.BytesIO(data), name=name, pixel_limit=pixel_limit).image


def noise(size: tuple[int, int] = (12, 8)) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX", "RGBa", "La"]


@pytest.mark.parametrize("mode", [*MODES, "I;16", "I;16L", "I;16B", "I;16N"])
def test_every_mode_becomes_rgb(mode):
    image = to_rgb(Image.new(mode, (5, 3)))
    assert (image.mode, image.size) == ("RGB", (5, 3))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "P", "1"])
def test_white_stays_white_whatever_the_mode(mode):
    white = {"CMYK": (0, 0, 0, 0), "YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "LAB": (255, 128, 128)}
    image = Image.new(mode, (1, 1), white.get(mode, "white"))
    pixel = to_rgb(image).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert min(pixel) >= 253


def test_sixteen_bit_grey_is_scaled_not_clipped():
    image = Image.fromarray(np.array([[0, 257, 25700, 65535]], dtype=np.uint16))
    decoded = decode_image(io.BytesIO(encode(image)), name="x.png", pixel_limit=LIMIT)
    assert decoded.mode == "I;16"
    assert np.asarray(decoded.image)[0, :, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 1e6, 2e6], [0, 128, 255]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_floating_point_grey_is_scaled_by_the_smallest_usual_scale(values, expected):
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == expected


def test_transparency_becomes_white_paper():
    rgba = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    rgba.putpixel((1, 0), (255, 0, 0, 0))
    rgba.putpixel((2, 0), (255, 0, 0, 51))
    assert np.asarray(decode(encode(rgba)))[0].tolist() == [[255, 0, 0], [255, 255, 255], [255, 204, 204]]
    la = Image.new("LA", (1, 1), (0, 0))
    assert decode(encode(la)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "key"), [("L", 0), ("1", 0), ("RGB", (0, 0, 0)), ("I;16", 0), ("P", 0)])
def test_a_transparent_colour_becomes_white(mode, key):
    data = encode(Image.new(mode, (2, 2)), transparency=key)
    assert decode(data).getpixel((0, 0)) == (255, 255, 255)


UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, format_name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.asarray(decode(encode(noise(), format_name)))
    found = decode(encode(noise(), format_name, exif=exif))
    assert found.size == ((12, 8) if orientation < 5 else (8, 12))
    assert np.array_equal(np.asarray(found), UPRIGHT[orientation](stored))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\0\0\0", b"Exif\0\0MM\0*"])
def test_junk_in_exif_does_not_make_an_image_unusable(exif):
    assert decode(encode(noise(), "JPEG", exif=exif)).size == (12, 8)


LONG = zlib.compress(b"x" * (2 << 20))
UNUSABLE_METADATA = {
    "a long text": png_chunk(b"zTXt", b"note\0\0" + LONG),
    "a long profile": png_chunk(b"iCCP", b"name\0\0" + LONG),
    "a long international text": png_chunk(b"iTXt", b"note\0\1\0\0\0" + LONG),
    "many texts": png_chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * 1_000_000)) * 80,
    "an unknown compression": png_chunk(b"zTXt", b"note\0\7abc"),
    "a text with a wrong checksum": png_chunk(b"tEXt", b"note\0abc")[:-4] + b"bad!",
    "EXIF with a wrong checksum": png_chunk(b"eXIf", b"MM")[:-4] + b"bad!",
}


@pytest.mark.parametrize("what", UNUSABLE_METADATA)
@pytest.mark.parametrize("place", ["before the picture", "after it"])
def test_unusable_metadata_does_not_make_a_whole_picture_unusable(what, place):
    data = encode(noise())
    at = data.index(b"IDAT") - 4 if place == "before the picture" else data.index(b"IEND") - 4
    decoded = decode(data[:at] + UNUSABLE_METADATA[what] + data[at:])
    assert decoded.tobytes() == noise().tobytes()


def test_a_picture_that_is_not_whole_stays_corrupt_whatever_its_metadata():
    data = encode(noise())
    at = data.index(b"IDAT") - 4
    cut = data[:at] + UNUSABLE_METADATA["a long text"] + data[at:-30]
    with pytest.raises(ImageError) as caught:
        decode(cut)
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_is_its_first_frame(format_name):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    exact = {"lossless": True} if format_name == "WEBP" else {}
    data = encode(frames[0], format_name, save_all=True, append_images=frames[1:], **exact)
    assert decode(data).getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize("format_name", [*FORMATS, "MPO"])
def test_every_format_listed_is_read(format_name):
    if format_name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    decoded = decode_image(io.BytesIO(encode(noise(), format_name)), name="x", pixel_limit=LIMIT)
    assert decoded.format in (format_name, "JPEG")
    assert decoded.image.mode == "RGB"


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "a.jpg", "corrupt"),
        (b"text", "a.jpg", "corrupt"),
        (b"text", "no_suffix", "corrupt"),
        (b"<svg/>", "a.svg", "unsupported"),
        (b"%PDF-1.7", "a.PDF", "unsupported"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "a.jpg", "corrupt"),
        (encode(noise())[:-30], "a.png", "corrupt"),
        (encode(noise((64, 64)), "JPEG")[:-200], "a.jpg", "corrupt"),
        (encode(noise((64, 64)), "GIF")[:-200], "a.gif", "corrupt"),
        (encode(noise((64, 64)), "WEBP")[:-200], "a.webp", "corrupt"),
        (encode(noise((64, 64)), "BMP")[:-200], "a.bmp", "corrupt"),
        (encode(noise((64, 64)), "TIFF")[:-200], "a.tiff", "corrupt"),
    ],
)
def test_what_does_not_decode_to_its_end_has_a_reason(data, name, reason):
    with pytest.raises(ImageError) as caught:
        decode(data, name)
    assert caught.value.reason == reason
    assert name in caught.value.detail


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"never decoded") + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")  # Pillow's own bomb warning would be one
@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (1001, 1000)])
def test_too_many_pixels_are_refused_from_the_header(size):
    with pytest.raises(ImageError, match=r"ingest\.pixel_limit is 1000000") as caught:
        decode(huge_png(*size))
    assert caught.value.reason == "too_large"


def test_the_limit_itself_is_allowed_and_may_be_above_pillows():
    assert decode(encode(noise((100, 10))), pixel_limit=1000).size == (100, 10)
    with pytest.raises(ImageError) as caught:
        decode(huge_png(20_000, 10_000), pixel_limit=200_000_000)  # Pillow refuses 179 million
    assert caught.value.reason == "corrupt"  # it was decoded


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    return {name: encode(noise((24, 16)), name) for name in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")}


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_no_damage_leads_to_anything_but_an_image_or_an_image_error(encoded, format_name, changes, kept):
    data = bytearray(encoded[format_name])
    for place, value in changes:
        data[int(place * len(data))] = value
    reason, mode = None, "RGB"
    try:
        mode = decode(bytes(data[: int(kept * len(data))])).mode
    except ImageError as error:
        reason = error.reason
    assert mode == "RGB"
    assert reason in (None, "corrupt", "unsupported", "too_large")


def test_images_are_opened_wherever_they_are(tmp_path: Path):
    data = encode(noise())
    sha = hashlib.sha256(data).hexdigest()
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "shard.tar").write_bytes(b"before" + data + b"after")
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/images/a.png", data)
    filesystem.pipe("/images/shard.tar", b"before" + data + b"after")
    for uri in (
        f"{tmp_path}/a.png",
        f"file://{tmp_path}/a.png",
        "memory://images/a.png",
        tar_member_uri(f"{tmp_path}/shard.tar", offset=6, size=len(data)),
        tar_member_uri("memory://images/shard.tar", offset=6, size=len(data)),
    ):
        assert load_image(uri, image_sha=sha, pixel_limit=LIMIT).size == (12, 8)
        assert load_image(uri, image_sha="", pixel_limit=LIMIT).size == (12, 8)
        assert read_image_bytes(uri) == data
    filesystem.rm("/images", recursive=True)


def test_changed_bytes_are_refused(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(encode(noise()))
    with pytest.raises(ImageError, match="the manifest says 00: it was written since ingest read it") as caught:
        load_image(str(tmp_path / "a.png"), image_sha="00", pixel_limit=LIMIT)
    assert caught.value.reason == "changed"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("{folder}/missing.png", "missing"),
        ("{folder}", "not_a_file"),
        ("{folder}/a.txt/b.png", "missing"),
        ("memory://nowhere/a.png", "missing"),
        ("tar-member:3+10@{folder}/a.txt", "corrupt"),
        ("tar-member:3+10@{folder}/missing.tar", "missing"),
    ],
)
def test_what_cannot_be_opened_has_a_reason(tmp_path: Path, uri, reason):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ImageError) as caught:
        load_image(uri.format(folder=tmp_path), image_sha="", pixel_limit=LIMIT)
    assert caught.value.reason == reason


def test_a_path_as_windows_writes_it_is_said_to_be_one_where_it_leads_nowhere(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(encode(noise()))
    with pytest.raises(ImageError, match="its path has backslashes") as caught:
        load_image(f"{tmp_path}/images\\a.png", image_sha="", pixel_limit=LIMIT)
    assert caught.value.reason == "missing"
    (tmp_path / "images\\a.png").write_bytes(encode(noise()))  # a name like any other
    sha = hashlib.sha256((tmp_path / "images\\a.png").read_bytes()).hexdigest()
    load_image(f"{tmp_path}/images\\a.png", image_sha=sha, pixel_limit=LIMIT)
