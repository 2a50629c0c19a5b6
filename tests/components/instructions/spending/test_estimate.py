import pyarrow as pa
import pytest

from components.instructions.prompts import load_template
from components.instructions.request import InstructionRequest
from components.instructions.sent_image import sent_size
from components.instructions.spending.estimate import (
    Estimate,
    ImageSize,
    estimate_request,
    estimate_requests,
    provider_price,
    unit_costs,
)
from components.instructions.spending.prices import UnknownPriceError, find_price, image_tokens, token_cost
from components.instructions.spending.tokens import estimate_tokens
from components.parameters.instructions import FixedTokens, PatchTokens, Price, TileTokens
from components.schemas import IMAGES, SAMPLES
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, write_template
from tests.imports_of import ROOT

TILES = TileTokens(base=85, tile=170)
PATCHES = PatchTokens(patch=32, at_most=1536, factor=1.62)


@pytest.mark.parametrize(
    ("rule", "width", "height", "tokens"),
    [
        (TILES, 512, 512, 85 + 170),  # one tile
        (TILES, 1024, 1024, 85 + 170 * 4),  # reduced to 768 x 768: 2 x 2 tiles
        (TILES, 2048, 4096, 85 + 170 * 6),  # 1024 x 2048, then 768 x 1536: 2 x 3 tiles
        (TILES, 640, 480, 85 + 170 * 2),
        (TILES, 1, 1, 85 + 170),
        (PATCHES, 1024, 1024, 1659),  # 32 x 32 patches, times 1.62, rounded up
        (PATCHES, 1800, 2400, 2489),  # more than 1,536 patches count as 1,536
        (PATCHES, 33, 32, 4),  # 2 patches, 3.24
        (FixedTokens(fixed=576), 4000, 3000, 576),
    ],
)
def test_tokens_of_an_image(rule, width, height, tokens):
    assert image_tokens(rule, width, height) == tokens


def test_dollars_by_hand():
    price = Price.model_validate(PRICE)  # 3 and 6 dollars per million, half in a batch
    assert token_cost(price, input_tokens=1000, output_tokens=500, batch=False) == pytest.approx(0.003 + 0.003)
    assert token_cost(price, input_tokens=1000, output_tokens=500, batch=True) == pytest.approx(0.003)


def test_the_size_an_image_is_sent_at():
    assert sent_size(640, 480, limit=768) == (640, 480)
    assert sent_size(1536, 1024, limit=768) == (768, 512)
    assert sent_size(5000, 1, limit=100) == (100, 1)


def test_an_estimate_by_hand(tmp_path):
    write_template(tmp_path, system="", user="abcd" * 25, expected_output_tokens=50)
    request = InstructionRequest("t/a", "t", "a" * 64, "", ())
    price = Price.model_validate(PRICE)
    found = estimate_request(
        request,
        template=load_template(tmp_path, "t"),
        size=ImageSize(800, 600),
        price=price,
        image_limit=400,
        max_output_tokens=80,
        batch=False,
    )
    # 100 characters are 25 tokens, 4 for the message, 64 for the image.
    assert (found.input_tokens, found.output_tokens) == (25 + 4 + 64, 50)
    assert found.price_usd == pytest.approx((93 * 3 + 50 * 6) / 1e6)
    assert found.highest_usd == pytest.approx((93 * 3 + 80 * 6) / 1e6)
    assert estimate_tokens(["abcde", ""], image_tokens=0).expected == 2 + 4


@pytest.mark.parametrize(
    ("model", "dollars", "in_batches"),
    [("gpt-4o-mini", 223.57, 111.78), ("gpt-4.1-mini", 50.31, 25.16), ("gpt-4o", 299.25, 149.62)],
)
def test_the_arithmetic_in_the_documents(model, dollars, in_batches):
    """docs/instructions.md: 15 % of 665,000 images of 640 x 480 pixels with the shipped template."""
    parameters = instruction_parameters(provider="openai", model=model)
    price = find_price(purchase_parameters().prices, model)
    template = load_template(ROOT / "conf" / "prompts", "vqa")
    request = InstructionRequest("vqa/a", "vqa", "a" * 64, "", ())
    for batch, expected in ((False, dollars), (True, in_batches)):
        one = estimate_request(
            request,
            template=template,
            size=ImageSize(640, 480),
            price=price,
            image_limit=parameters.image_limit,
            max_output_tokens=parameters.max_output_tokens,
            batch=batch,
        )
        assert one.price_usd * 99_750 == pytest.approx(expected, abs=0.005)


def pool():
    rows = [("a/1", "a", "s1"), ("a/2", "a", "s2"), ("b/1", "b", "s1")]
    names = ("sample_id", "task", "image_sha")
    empty = {"uri": "", "source": "", "record_ids": [], "near_duplicate_of": ""}
    samples = pa.Table.from_pylist([{**dict(zip(names, row, strict=True)), **empty} for row in rows], schema=SAMPLES)
    sizes = {"s1": (512, 512), "s2": (1024, 1024)}
    about = {"uri": "", "size_bytes": 1, "format": "PNG", "mode": "RGB", "perceptual_hash": ""}
    images = pa.Table.from_pylist(
        [{"image_sha": sha, "width": size[0], "height": size[1], **about} for sha, size in sizes.items()],
        schema=IMAGES,
    )
    return samples, images


def test_units_are_means_per_task(tmp_path):
    write_template(tmp_path, system="", user="abcd")
    price = Price.model_validate({**PRICE, "image_tokens": {"base": 85, "tile": 170}})
    parameters = instruction_parameters(provider="openai", model="test-model", prompts=str(tmp_path), image_limit=2000)
    samples, images = pool()
    units = unit_costs(samples, images, parameters=parameters, price=price)
    assert units["b"].input_tokens == 1 + 4 + 255
    assert units["a"].input_tokens == 1 + 4 + (255 + 765) / 2


def test_what_is_not_paid_by_the_token_costs_its_price():
    parameters = instruction_parameters(provider="people", price_per_instruction_usd=0.5)
    purchase = purchase_parameters()
    assert provider_price(parameters, purchase) is None
    samples, images = pool()
    requests = [InstructionRequest("a/1", "a", "s1", "", ()), InstructionRequest("a/2", "a", "s2", "", ())]
    found = estimate_requests(requests, images, parameters=parameters, purchase=purchase)
    assert found == {"a": Estimate(2, 0, 0, 1.0, 1.0)}
    assert unit_costs(samples, images, parameters=parameters, price=None)["b"].price_usd == 0.5


def test_an_unknown_price_is_an_error_not_zero():
    parameters = instruction_parameters(provider="openai", model="some-new-model")
    with pytest.raises(UnknownPriceError, match="no price of model 'some-new-model'"):
        provider_price(parameters, purchase_parameters())
