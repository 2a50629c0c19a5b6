import importlib.util

import pytest
from pydantic import ValidationError

from components.compute.ray_cluster import RayMissingError, check_installed
from tests.components.compute.conftest import compute_parameters


def refused(**changes: object) -> str:
    given = compute_parameters()
    with pytest.raises(ValidationError) as caught:
        type(given).model_validate(given.model_dump() | changes)
    return str(caught.value)


def test_a_cluster_is_joined_from_inside_only():
    assert "run presel on a machine of the cluster, with the address auto" in refused(address="ray://head:10001")
    assert "null, auto or HOST:PORT" in refused(address="head")
    given = compute_parameters()
    for address in (None, "auto", "10.0.0.5:6379"):
        assert type(given).model_validate(given.model_dump() | {"address": address}).address == address


def test_a_worker_takes_whole_gpus_or_a_part_of_one():
    given = compute_parameters().model.model_dump()
    assert "whole ones" in refused(model=given | {"gpus": 1.5})
    assert "greater than or equal to 0" in refused(model=given | {"gpus": -1})


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RayMissingError, match=r"pip install -c constraints.txt '\.\[ray\]'"):
        check_installed()
