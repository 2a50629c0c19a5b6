import base64
import io

from PIL import Image

from components.report.thumbnails import ThumbnailFormat, make_thumbnail, thumbnail_format


def test_thumbnails_fit_and_are_not_enlarged():
    small, large = Image.new("RGBA", (20, 10)), Image.new("L", (400, 200))
    size = ThumbnailFormat(96, 80)
    images = {"small": small, "large": large}
    for uri, expected in (("small", (20, 10)), ("large", (96, 48))):
        thumbnail = make_thumbnail(uri, "", image_loader=lambda uri, sha: images[uri], size=size)
        assert thumbnail.data_uri.startswith("data:image/jpeg;base64,")
        assert decoded_size(thumbnail.data_uri) == expected


def test_more_thumbnails_are_smaller():
    edges = [thumbnail_format(number).edge for number in (0, 200, 201, 1500, 10_000)]
    assert edges == sorted(edges, reverse=True)
    assert edges[0] > edges[-1]


def decoded_size(data_uri: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(data_uri.split(",", 1)[1]))).size
