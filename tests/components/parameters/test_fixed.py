"""Parameters of earlier versions that are none any more."""

from pathlib import Path

import pytest
import yaml

from components.parameters.fixed import ADDED, ANY, FIXED, without_fixed
from components.parameters.parameters import ParameterError
from components.parameters.reading import load_parameters, merge_overlays

ROOT = Path(__file__).resolve().parents[3]


def nested(key: str, value: object) -> dict[str, object]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, any_value) for key, value in FIXED.items() for any_value in ((0, 8) if value is ANY else (value,))],
)
def test_an_older_file_that_names_the_value_is_read_as_before(key: str, value: object, tmp_path: Path) -> None:
    overlay = tmp_path / "older.yaml"
    overlay.write_text(str(nested(key, value)), encoding="utf-8")
    assert merge_overlays(ROOT / "params.yaml", [overlay]) == merge_overlays(ROOT / "params.yaml")


def test_other_values_are_refused_together(tmp_path: Path) -> None:
    overlay = tmp_path / "older.yaml"
    overlay.write_text(
        "cluster: {iterations: 7, images_per_cluster: 50}\npurchase: {batch: {folder: elsewhere}}\n", encoding="utf-8"
    )
    with pytest.raises(
        ParameterError, match=r"cluster.iterations: is 100 (.|\n)*purchase.batch.folder: is '.presel/batches'"
    ):
        merge_overlays(ROOT / "params.yaml", [overlay])


def test_what_is_given_stays_as_it_was() -> None:
    given = {"cluster": {"iterations": 100, "images_per_cluster": 50}}
    assert without_fixed(given) == ({"cluster": {"images_per_cluster": 50}}, ())
    assert given == {"cluster": {"iterations": 100, "images_per_cluster": 50}}


def test_a_file_that_lacks_what_came_later_is_told_how_to_stay_as_it_was(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    older = tmp_path / "params.yaml"
    for key in ADDED:
        section, _, name = key.rpartition(".")
        del (values[section] if section else values)[name]
    older.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ParameterError) as refused:
        load_parameters(older)
    for key, value in ADDED.items():
        section, _, name = key.rpartition(".")
        assert f"{key}: is missing; every key must be there; earlier versions did what {name}: {value} says" in str(
            refused.value
        )
        (values[section] if section else values)[name] = yaml.safe_load(value)
    older.write_text(yaml.safe_dump(values), encoding="utf-8")
    load_parameters(older)


def test_the_shipped_file_names_none() -> None:
    load_parameters(ROOT / "params.yaml")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert without_fixed(merge_overlays(ROOT / "params.yaml"))[1] == ()
    assert "map_points" not in text
