import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from components.parameters.parameters import ParameterError
from components.parameters.reading import load_parameters, merge_overlays, parse_parameters, parse_task_rule

ROOT = Path(__file__).resolve().parents[3]
PARAMS = ROOT / "params.yaml"
OVERLAYS = sorted((ROOT / "conf").glob("*.yaml"))


def parse_with(*settings: str):
    return parse_parameters(merge_overlays(PARAMS, settings=settings), origin="params.yaml")


def test_the_shipped_file_parses():
    parameters = load_parameters(PARAMS)
    assert parameters.strategy == "presel"
    assert parameters.cluster.images_per_cluster == 100
    assert parameters.select.neighbours == 5


def test_a_gpu_that_the_trainer_does_not_use_is_refused_before_anything_is_bought():
    with pytest.raises(ParameterError, match=r"vlm.*set CUDA_VISIBLE_DEVICES=1 in the environment"):
        parse_with("vlm.device=cuda:1")
    assert parse_with("vlm.device=cuda:0").vlm.device == "cuda:0"


def test_parameters_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        setattr(load_parameters(PARAMS).tuning, "lora_rank", 1)  # noqa: B010 - a plain assignment fails mypy


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_parses_on_top_of_the_shipped_file(overlay: Path):
    parse_parameters(merge_overlays(PARAMS, [overlay]), origin=overlay.name)
    changed = yaml.safe_load(overlay.read_text())
    assert set(changed) < set(yaml.safe_load(PARAMS.read_text())), "an overlay names only what it changes"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_models_of_overlays_cannot_change(overlay: Path):
    sections = [section for section in yaml.safe_load(overlay.read_text()).values() if isinstance(section, dict)]
    for section in sections:
        if "revision" in section:
            assert re.fullmatch("[0-9a-f]{40}", section["revision"]), section["model"]


def test_the_published_llava_recipe():
    parameters = parse_parameters(merge_overlays(PARAMS, [ROOT / "conf/llava-1.5-7b.yaml"]), origin="overlay")
    tuning = parameters.tuning
    assert (tuning.lora_rank, tuning.lora_alpha, tuning.learning_rate) == (128, 256, 2e-4)
    assert (tuning.schedule, tuning.warmup_ratio) == ("cosine", 0.03)
    assert tuning.batch_size * tuning.gradient_accumulation == 128
    assert (parameters.final_tune.epochs, parameters.vlm.context_length) == (1, 2048)
    assert parameters.select.neighbours == 5  # what the overlay does not name stays


@pytest.mark.parametrize("name", ["llava-1.5-7b", "qwen2.5-vl-7b"])
def test_real_models_buy_no_control_unasked(name: str):
    overlay = ROOT / f"conf/{name}.yaml"
    assert parse_parameters(merge_overlays(PARAMS, [overlay]), origin=name).baselines == ()


def test_all_problems_are_reported_together():
    with pytest.raises(ParameterError) as caught:
        parse_with("tuning.lora_rank=0", "encoder.device=tpu", "reference.shear=0.1", "vlm.model=null", "seed=-1")
    message = str(caught.value)
    assert message.startswith("params.yaml: 5 problem(s)")
    assert "tuning.lora_rank: must be greater than or equal to 1 (got 0)" in message
    assert "encoder.device" in message
    assert "'tpu'" in message
    assert "reference.shear: is no parameter; did you mean share? (got 0.1)" in message
    assert "vlm.model" in message
    assert "seed" in message


def _keys(values, place=()):
    """Every key of a nested mapping, as the way to it."""
    for key, value in values.items():
        yield (*place, key)
        if isinstance(value, dict):
            yield from _keys(value, (*place, key))


def test_every_misspelled_key_is_named_with_the_one_that_was_meant():
    for place in _keys(merge_overlays(PARAMS)):
        if len(place) > 2 or len(place[-1]) < 4:
            continue
        values = merge_overlays(PARAMS)
        section = values
        for part in place[:-1]:
            section = section[part]  # type: ignore[assignment]
        section[place[-1] + "x"] = section.pop(place[-1])
        with pytest.raises(ParameterError, match=r"2 problem\(s\)") as caught:
            parse_parameters(values, origin="params.yaml")
        said = str(caught.value)
        assert f"{'.'.join(place)}x: is no parameter; did you mean {place[-1]}" in said
        assert f"{'.'.join(place)}: is missing" in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("sources=[{kind: image_folder, pth: a, path: a, image_root: b, task: {prefix: true}}]", "did you mean path?"),
        ("tuning.zzz=1", "is no parameter; there are lora_rank, lora_alpha,"),
        ("tuning=3", "tuning: must be a section with keys; there are lora_rank"),
        ("sources=[]", "sources: must have 1 entries or more"),
        ("tuning.learning_rate=much", "must be a valid number"),
    ],
)
def test_no_sentence_is_pydantics_own(setting: str, said: str):
    with pytest.raises(ParameterError) as caught:
        parse_with(setting)
    assert said in str(caught.value)
    for word in ("Extra inputs", "Input should", "Field required", "Value error", "instance of", "Tuple"):
        assert word not in str(caught.value)


def test_a_missing_key_is_named():
    values = merge_overlays(PARAMS)
    del values["tuning"]["schedule"]  # type: ignore[attr-defined]
    del values["budget"]
    with pytest.raises(ParameterError, match=r"2 problem\(s\)") as caught:
        parse_parameters(values, origin="mine.yaml")
    assert "tuning.schedule: is missing" in str(caught.value)
    assert "budget: is missing" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("reference.share=1", "reference.share"),
        ("reference.share=0", "reference.share"),
        ("tuning.lora_dropout=1.0", "tuning.lora_dropout"),
        ("tuning.learning_rate=-0.1", "tuning.learning_rate"),
        ("tuning.schedule=step", "tuning.schedule"),
        ("encoder.dtype=float16", "encoder.dtype"),
        ("encoder.batch_size=0", "encoder.batch_size"),
        ("vlm.context_length=1", "vlm.context_length"),
        ("final_tune.epochs=0", "final_tune.epochs"),
        ("allocate.rounding=up", "allocate.rounding"),
        ("strategy=magic", "strategy"),
        ("baselines=[best]", "baselines.0"),
        ("sources=[]", "sources"),
        ("instructions.ledger=ledger.sqlite", "instructions.ledger"),
        ("budget=150%", "budget: .*more than the whole pool"),
        ("budget=0", "budget: .*buys nothing"),
        ("budget=true", "budget: .*not understood"),
        ("budget=[1]", "budget"),
    ],
)
def test_values_out_of_range_are_refused(setting: str, where: str):
    with pytest.raises(ParameterError, match=where):
        parse_with(setting)


def test_a_budget_nobody_can_read_is_reported_with_the_other_problems():
    with pytest.raises(ParameterError, match=r"2 problem\(s\)") as caught:
        parse_with("budget=plenty", "seed=-1")
    assert "budget: budget 'plenty' is not understood" in str(caught.value)
    assert "seed" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:hunter2@host/base",
        "postgresql://user:hunter2%40x@host/base",
        "postgresql://:hunter2@host/base",
        "postgresql://host/base?user=me&password=hunter2",
        "mysql://host/base?Passwd=hunter2",
    ],
)
def test_a_password_in_the_ledger_address_is_refused_without_repeating_it(address: str):
    with pytest.raises(ParameterError, match="the ledger URL holds a password") as caught:
        parse_with(f"instructions.ledger={address}")
    assert "hunter2" not in str(caught.value)


def test_an_address_that_is_no_url_is_not_repeated_either():
    with pytest.raises(ParameterError, match="not an SQLAlchemy URL") as caught:
        parse_with("instructions.ledger=user:hunter2@host/base")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["postgresql://user@host:5432/base", "sqlite:////a:b@c.sqlite", "sqlite:///.presel/ledger.sqlite"]
)
def test_an_address_without_password_is_allowed(address: str):
    assert parse_with(f"instructions.ledger={address}").instructions.ledger == address


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///a.db", "mysql://me@host/base"]
)
def test_a_ledger_that_forgets_or_cannot_be_opened_is_refused(address: str):
    with pytest.raises(ParameterError, match=r"instructions\.ledger: a ledger is a file"):
        parse_with(f'instructions.ledger="{address}"')


@pytest.mark.parametrize(
    "rule", [{}, {"field": "a", "constant": "b"}, {"pattern": "no group"}], ids=["none", "two", "group"]
)
def test_a_source_names_its_task_in_exactly_one_way(rule: dict[str, str]):
    values = merge_overlays(PARAMS)
    values["sources"] = [{"kind": "jsonl", "path": "p", "image_root": ".", "task": rule}]
    with pytest.raises(ParameterError, match=r"sources\.0\.task"):
        parse_parameters(values, origin="params.yaml")


def test_benchmark_sets_have_different_names():
    values = merge_overlays(PARAMS)
    one = {"name": "a", "path": "p", "image_root": ".", "metric": "exact_match"}
    values["benchmark"] = {"batch_size": 1, "max_new_tokens": 1, "sets": [one, one]}
    with pytest.raises(ParameterError, match="names must differ"):
        parse_parameters(values, origin="params.yaml")


def test_overlays_merge_mappings_and_replace_lists(tmp_path: Path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("tuning: {lora_rank: 8, learning_rate: 0.5}\nbaselines: [random, full]\n")
    second.write_text("tuning: {lora_rank: 16}\nbaselines: [full]\n")
    merged = merge_overlays(PARAMS, [first, second], ["tuning.learning_rate=0.25", "seed=3"])
    parameters = parse_parameters(merged, origin="merged")
    assert (parameters.tuning.lora_rank, parameters.tuning.learning_rate) == (16, 0.25)
    assert parameters.tuning.lora_alpha == load_parameters(PARAMS).tuning.lora_alpha
    assert parameters.baselines == ("full",)
    assert parameters.seed == 3


@pytest.mark.parametrize("setting", ["tuning.lora_rank", "=3", ""])
def test_a_setting_that_is_no_assignment_is_refused(setting: str):
    with pytest.raises(ParameterError, match=r"write section\.key=value"):
        merge_overlays(PARAMS, settings=[setting])


@pytest.mark.parametrize("value", ["[hunter2", "2026-13-01", "{[hunter2]: 1}", "\x07"])
def test_a_setting_whose_value_is_not_yaml_is_named(value: str):
    with pytest.raises(ParameterError, match=r"--set tuning\.lora_rank: its value is not YAML \(.+\)") as caught:
        merge_overlays(PARAMS, settings=[f"tuning.lora_rank={value}"])
    assert "hunter2" not in str(caught.value)


def test_a_setting_keeps_equals_signs_and_reads_yaml():
    parameters = parse_with("instructions.ledger=sqlite:///a?b=c", "baselines=[]", "tuning.target_modules=[q, v]")
    assert parameters.instructions.ledger == "sqlite:///a?b=c"
    assert parameters.baselines == ()
    assert parameters.tuning.target_modules == ("q", "v")


def test_unusable_files_say_so(tmp_path: Path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ParameterError, match=r"broken\.yaml is not YAML"):
        load_parameters(broken)
    broken.write_text("- a")
    with pytest.raises(ParameterError, match="must be a mapping of sections, got list"):
        load_parameters(broken)
    with pytest.raises(ParameterError, match="no parameter file"):
        load_parameters(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"tuning: {lora_rank: 4}\nseed: 5\ntuning: {batch_size: 4}\n", "the key tuning is there twice"),
        (b"tuning:\n  lora_rank: 4\n  lora_rank: 8\n", "the key lora_rank is there twice"),
        (b"sources:\n  - {kind: jsonl, kind: parquet}\n", "the key kind is there twice"),
        ("# größe\nseed: 5\n".encode("latin-1"), "is not text in UTF-8"),
        ("seed: 5\n".encode("utf-16"), "is not text in UTF-8"),
        (b"registry: {model_name: 2026-13-01}\n", "month must be in"),
        (b"seed: 5\0\n", "is not YAML"),
    ],
)
def test_a_file_that_would_be_misread_is_refused(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "over.yaml"
    file.write_bytes(content)
    with pytest.raises(ParameterError, match=message):
        merge_overlays(PARAMS, [file])


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path):
    with pytest.raises(ParameterError, match=f"{tmp_path} cannot be read: Is a directory"):
        load_parameters(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["\ufeffseed: 5\r\n", "seed: &five 5\nselect: {neighbours: *five}\n", "a: &a {b: 1}\nc: {<<: *a, b: 2}\nseed: 5\n"],
)
def test_a_byte_order_mark_line_ends_of_windows_and_aliases_are_read(tmp_path: Path, text: str):
    file = tmp_path / "over.yaml"
    file.write_text(text, encoding="utf-8")
    assert merge_overlays(PARAMS, [file])["seed"] == 5


PRICE_OF_1970 = "{model: m, input_usd: 1, output_usd: 1, batch_factor: 1, image_tokens: {fixed: 1}, as_of: 0}"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed=yes", "a truth value"),
        ("ingest.near_duplicate_bits=off", "a truth value"),
        ("vlm.max_pixels=yes", "a truth value"),
        ("tuning.learning_rate=.inf", "finite"),
        ("final_tune.epochs=.inf", "finite"),
        ("purchase.timeout_seconds=.nan", "finite|greater"),
        ("coincide.layers=[0, yes]", "a truth value"),
        ("purchase.requests_per_minute=5e-324", "nearer than 1e-15"),
        ("purchase.timeout_seconds=1e+300", "604800"),
        ("purchase.batch.poll_seconds=1e+10", "604800"),
        ("ingest.pixel_limit=10000000000000000000", "further from zero than"),
        ("coincide.layers=[0, 10000000000000000000]", "further from zero than"),
        ("final_tune.epochs=1e+300", "10000"),
        (f"purchase.prices=[{PRICE_OF_1970}]", "YYYY-MM-DD"),
        ("registry.model_name=team/model", "MLflow takes a name without"),
        ("registry.model_name=a:b", "MLflow takes a name without"),
        ("registry.model_name=' '", "MLflow takes a name without"),
        ("baselines=[random, random]", "each control is named once"),
        ("benchmark.sets=[{name: .., path: a, image_root: b, metric: exact_match}]", "name"),
        ("sources=[{kind: jsonl, path: a, image_root: b, task: {pattern: '(?P<task>['}}]", "no regular expression"),
    ],
)
def test_a_value_that_fails_hours_later_or_means_something_else_is_refused(setting: str, message: str):
    with pytest.raises(ParameterError, match=message):
        parse_with(setting)


@pytest.mark.parametrize(
    "text",
    [
        "{prefix: 2026-13-01}",
        "{prefix: [",
        "\x07",
        "{colour: red}",
        "a",
        "",
        "[" * 5000,
        "{pattern: '(?P<task>a{99999999999})'}",
    ],
)
def test_a_task_rule_that_is_none_is_one_line(text):
    with pytest.raises(ParameterError, match="is no task rule") as caught:
        parse_task_rule(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["(?P<task>a{99999999999})", "(?P<task>" + "(" * 5000 + ")" * 5000 + ")"])
def test_a_pattern_that_cannot_be_compiled_is_refused(pattern):
    with pytest.raises(ParameterError, match="is no regular expression"):
        parse_task_rule(f"{{pattern: '{pattern}'}}")


def test_aliases_that_nest_too_deeply_are_refused(tmp_path: Path):
    lines = ["a0: &a0 x", *(f"a{number}: &a{number} [*a{number - 1}]" for number in range(1, 3000))]
    (tmp_path / "deep.yaml").write_text("\n".join([*lines, "seed: *a2999"]), encoding="utf-8")
    with pytest.raises(ParameterError, match="seed: must be"):
        parse_parameters(merge_overlays(PARAMS, [tmp_path / "deep.yaml"]), origin="deep.yaml")


@pytest.mark.parametrize("setting", ["seed=" + "[" * 3000 + "]" * 3000, "a." * 3000 + "b=1"], ids=["value", "key"])
def test_what_is_nested_too_deeply_is_refused(tmp_path: Path, setting: str):
    with pytest.raises(ParameterError, match="is no task rule"):
        parse_task_rule("[" * 3000)
    with pytest.raises(ParameterError):
        parse_with(setting)
    (tmp_path / "deep.yaml").write_text("seed: " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    with pytest.raises(ParameterError, match="is nested too deeply"):
        merge_overlays(PARAMS, [tmp_path / "deep.yaml"])


def test_a_value_that_anchors_make_huge_is_shown_in_short(tmp_path: Path):
    lines = ["a: &a0 [x, x, x, x, x, x]", *(f"b{level}: &a{level + 1} [{f'*a{level}, ' * 6}]" for level in range(7))]
    (tmp_path / "huge.yaml").write_text("\n".join([*lines, "seed: *a7"]), encoding="utf-8")
    with pytest.raises(ParameterError, match="seed: must be") as error:
        parse_parameters(merge_overlays(PARAMS, [tmp_path / "huge.yaml"]), origin="huge.yaml")
    assert len(str(error.value)) < 10_000


def test_a_zero_byte_is_refused_wherever_it_stands():
    text = '"po\\0ol"'
    source = f"{{kind: jsonl, path: a, image_root: {text}, further_roots: [{text}], task: {{constant: t}}}}"
    with pytest.raises(ParameterError, match=r"5 problem\(s\)"):
        parse_with(
            f"sources=[{source}]", f"registry.model_name={text}", f"vlm.model={text}", f"tuning.target_modules=[{text}]"
        )
