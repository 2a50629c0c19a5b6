import dataclasses

import pyarrow as pa
import pytest

from components.instructions.request import (
    InstructionRequest,
    RequestSpecification,
    identify_request,
    requests_for_samples,
)
from components.schemas import SAMPLES

REQUEST = InstructionRequest("color/ab", "color", "ab" * 32, "images/a.png", ("1",))
SPECIFICATION = RequestSpecification(model="m", prompt_template="p", sampling="{}")


def identity(request=REQUEST, specification=SPECIFICATION):
    return identify_request(request, specification).request_id


@pytest.mark.parametrize(
    "changed",
    [
        (dataclasses.replace(REQUEST, image_sha="cd" * 32), SPECIFICATION),
        (dataclasses.replace(REQUEST, task="shape"), SPECIFICATION),
        (REQUEST, dataclasses.replace(SPECIFICATION, model="n")),
        (REQUEST, dataclasses.replace(SPECIFICATION, prompt_template="q")),
        (REQUEST, dataclasses.replace(SPECIFICATION, sampling='{"temperature":1}')),
        (REQUEST, RequestSpecification(model="mp", prompt_template="", sampling="{}")),
    ],
)
def test_whatever_decides_the_answer_is_part_of_the_identity(changed):
    assert identity(*changed) != identity()


def test_where_the_image_is_kept_is_not():
    assert identity(dataclasses.replace(REQUEST, uri="elsewhere/a.png", record_ids=("9",))) == identity()


def test_the_identity_is_frozen():
    # Changing it would buy everything again: it may only change together with REQUEST_SCHEMA_VERSION.
    assert identity() == "faf75ff069a2d4308e9326e683c2a85f845812c7ab9e67da4eb8e3829a496655"


def samples(*names: str) -> pa.Table:
    rows = [
        {
            "sample_id": name,
            "task": name.split("/")[0],
            "image_sha": name * 2,
            "uri": f"images/{name}.png",
            "source": "pool.json",
            "record_ids": ["1", "2"],
            "near_duplicate_of": "",
        }
        for name in names
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def test_requests_come_from_the_manifest_sorted_and_once():
    requests = requests_for_samples(samples("t/a", "t/b", "t/c"), ["t/c", "t/a", "t/c"])
    assert [request.sample_id for request in requests] == ["t/a", "t/c"]
    assert requests[0] == InstructionRequest("t/a", "t", "t/at/a", "images/t/a.png", ("1", "2"), "pool.json")


def test_a_choice_of_another_manifest_is_refused():
    with pytest.raises(ValueError, match=r"'t/x'.*another manifest"):
        requests_for_samples(samples("t/a"), ["t/a", "t/x"])
