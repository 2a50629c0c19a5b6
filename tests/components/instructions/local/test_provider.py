"""Instructions written by the embedded model, through a real purchase with a real ledger."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sqlalchemy import select

from components.compute.ahead import WorkerDiedError
from components.compute.engine import Engine, Pool
from components.compute.local import LocalEngine
from components.instructions import purchase_loop
from components.instructions.buy import BuyResult, buy_instructions
from components.instructions.ledger.ledger import Ledger, open_ledger
from components.instructions.ledger.tables import ATTEMPTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.local.provider import LocalProvider, UnpinnedModelError
from components.instructions.provider import Answer, Failure
from components.instructions.purchase_errors import NothingUsableError
from components.instructions.request import InstructionRequest, identify_request
from components.instructions.spending.prices import UnknownPriceError
from components.models.vlm.labels import SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm, load_vlm
from components.models.vlm.write import write_responses
from components.parameters.parameters import VlmParameters
from components.parameters.reading import load_parameters
from components.pool.images import load_image
from components.pool.samples import sample_identity
from demo.drawing import draw
from demo.scenes import chart_scene, items_scene, random_looks, random_values
from tasks.platform.import_closure import code_of
from tests.components.instructions.conftest import RecordingBook, instruction_parameters, purchase_parameters
from tests.components.models.vlm.samples import load_toy
from tests.components.models.vlm.toy_architectures import save_toy_vlm
from tests.imports_of import ROOT, imported_names
from tests.shuffled_engine import ShuffledEngine

MODEL = "demo/models/tiny-llava"
PIXEL_LIMIT = 1_000_000
DESCRIBE: dict[str, object] = {
    "version": 1,
    "writes": "response",
    "turns": {"at_least": 1, "at_most": 1},
    "questions": ["How many objects are there?", "What shape is it?"],  # answered in a word
    "system": "",
    "user": "{question}",
    "response_words": {"at_least": 1, "at_most": 60},
    "language": "any",
    "expected_output_tokens": 40,
}
CONVERSE = {**DESCRIBE, "writes": "conversation", "questions": [], "user": "Task: {task}. Answer with JSON alone."}


@pytest.fixture(autouse=True)
def in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's name is a path relative to the project."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """SQLite alone: the provider does not know where its book is kept."""
    with open_ledger(url) as opened:
        yield opened


@pytest.fixture
def requests(tmp_path: Path) -> list[InstructionRequest]:
    """Five drawn images; the last is larger than a model is shown."""
    rng = np.random.default_rng(3)
    scenes = [items_scene(rng, random_looks(rng, 2)) for _ in range(3)]
    scenes += [chart_scene(rng, random_values(rng, 3)) for _ in range(2)]
    made = []
    for number, scene in enumerate(scenes):
        image = draw(scene)
        file = tmp_path / f"{number}.png"
        (image.resize((300, 150)) if number == 4 else image).save(file)
        sha = hashlib.sha256(file.read_bytes()).hexdigest()
        made.append(InstructionRequest(sample_identity("describe", sha), "describe", sha, str(file), (str(number),)))
    return made


@pytest.fixture
def make_provider(tmp_path: Path) -> Callable[..., LocalProvider]:
    """A provider with a template of its own, with changes to `instructions` and to `purchase.local`."""

    def make(
        template: dict[str, object] | None = None,
        *,
        batch_size: int = 3,
        price: tuple[float, float] = (0.0, 0.0),
        purchase: dict[str, object] | None = None,
        engine: Engine | None = None,
        **changes: object,
    ) -> LocalProvider:
        prompts = tmp_path / "prompts"
        prompts.mkdir(exist_ok=True)
        (prompts / "default.yaml").write_text(yaml.safe_dump(template or DESCRIBE), encoding="utf-8")
        chosen = {
            "provider": "local",
            "model": MODEL,
            "prompts": str(prompts),
            "temperature": 0.0,
            "max_output_tokens": 100,
            "image_limit": 64,
        }
        return LocalProvider(
            instruction_parameters(**{**chosen, **changes}),
            purchase_parameters(
                local={"batch_size": batch_size, "device": "cpu", "dtype": "float32"},
                **{"prices": [price_row(*price)], **(purchase or {})},
            ),
            pixel_limit=PIXEL_LIMIT,
            engine=engine or LocalEngine(),
        )

    return make


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that are loaded from here on."""
    found: list[str] = []

    def look(parameters: VlmParameters) -> LoadedVlm:
        found.append(parameters.model)
        return load_vlm(parameters)

    monkeypatch.setattr("components.instructions.local.writer.load_vlm", look)
    return found


def price_row(input_usd: float, output_usd: float) -> dict[str, object]:
    return {
        "model": MODEL,
        "input_usd": input_usd,
        "output_usd": output_usd,
        "batch_factor": 0.5,
        "image_tokens": {"fixed": 64},
        "as_of": "2026-11-21",
    }


def attempts(ledger: Ledger) -> list[Any]:
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(ATTEMPTS).order_by(ATTEMPTS.c.request_id, ATTEMPTS.c.number)).all()
    return list(rows)


def texts(bought: BuyResult) -> dict[str, str]:
    return {row["sample_id"]: row["turns"][0]["response"] for row in bought.instructions.to_pylist()}


def test_instructions_come_and_are_written_once(
    ledger: Ledger, requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], url: str
) -> None:
    describe = {**DESCRIBE, "questions": ["Describe the image.", "Caption:"]}
    bought = buy_instructions(requests, provider=make_provider(describe), ledger=ledger, run="one")
    assert (bought.asked, bought.dropped, bought.price_usd) == (5, (), 0.0)
    rows = bought.instructions.to_pylist()
    assert {row["turns"][0]["question"] for row in rows} <= {"Describe the image.", "Caption:"}
    assert all(row["model"].startswith(f"{MODEL}@sha256:") and row["provider"] == "local" for row in rows)
    assert all(0 < row["output_tokens"] <= 100 and row["attempts"] == 1 for row in rows)
    # What the model was taught to say of a drawing; the charts are the last two.
    said = texts(bought)
    assert all("bars: " in said[request.sample_id] for request in requests[3:])
    assert len(set(said.values())) == 5

    again = buy_instructions(requests, provider=make_provider(describe), ledger=ledger, run="two")
    assert (again.asked, again.reused) == (0, 5)
    assert again.instructions == bought.instructions
    assert ledger_totals(ledger, run="two").attempts == 0


def test_a_run_that_writes_nothing_does_without_torch_and_an_http_client(
    ledger: Ledger,
    requests: list[InstructionRequest],
    make_provider: Callable[..., LocalProvider],
    url: str,
    tmp_path: Path,
) -> None:
    buy_instructions(requests, provider=make_provider(), ledger=ledger)
    script = f"""
import sys
from pathlib import Path
from components.compute.local import LocalEngine
from components.instructions.buy import buy_instructions
from components.instructions.ledger.ledger import open_ledger
from components.instructions.local.provider import LocalProvider
from components.instructions.request import InstructionRequest
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
provider = LocalProvider(
    instruction_parameters(provider="local", model={MODEL!r}, prompts={str(tmp_path / "prompts")!r}, temperature=0.0,
                           max_output_tokens=100, image_limit=64),
    purchase_parameters(), pixel_limit=1, engine=LocalEngine())
with open_ledger({url!r}) as ledger:
    bought = buy_instructions({requests!r}, provider=provider, ledger=ledger)
assert (bought.asked, bought.reused) == (0, {len(requests)}), bought
assert not {{"torch", "transformers", "openai", "httpx"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_local_model_never_needs_an_http_client() -> None:
    held = code_of("components.instructions.local.writer", "presel", root=ROOT)
    assert "components/models/vlm/write.py" in held
    assert not [path for path in held if {"openai", "httpx"} & imported_names(Path(path))]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_do_not_depend_on_the_group(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], tmp_path: Path, temperature: float
) -> None:
    def written(batch_size: int, wanted: list[InstructionRequest]) -> dict[str, str]:
        with open_ledger(f"sqlite:///{tmp_path}/{temperature}-{batch_size}-{len(wanted)}.sqlite") as ledger:
            provider = make_provider(batch_size=batch_size, temperature=temperature)
            return texts(buy_instructions(wanted, provider=provider, ledger=ledger))

    alone = written(1, requests)
    assert written(3, requests) == alone
    assert written(5, requests[::-1]) == alone
    some = written(2, requests[1:4])
    assert some == {request.sample_id: alone[request.sample_id] for request in requests[1:4]}


def test_several_workers_write_the_same(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], tmp_path: Path, loaded: list[str]
) -> None:
    def bought(engine: Engine) -> BuyResult:
        with open_ledger(f"sqlite:///{tmp_path}/{type(engine).__name__}.sqlite") as ledger:
            # An unusable reply is sent back, also by a worker that has not written it.
            options: dict[str, Any] = {"temperature": 1.0, "engine": engine}
            provider = make_provider(CONVERSE, batch_size=1, repairs=1, max_output_tokens=20, **options)
            with pytest.raises(NothingUsableError, match="the replies to 5 of 5 requests break a rule"):
                buy_instructions(requests, provider=provider, ledger=ledger)
            provider = make_provider(batch_size=2, **options)
            return buy_instructions(requests, provider=provider, ledger=ledger)

    here = bought(LocalEngine())
    assert loaded == [MODEL] * 2
    assert texts(bought(ShuffledEngine())) == texts(here)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_one_that_ends_its_workers_does_not_stop_the_others(
    ledger: Ledger, requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], batch_size: int
) -> None:
    class Ends(LocalEngine):
        @contextmanager
        def pool(self, load: Any, work: Any, *, name: str) -> Iterator[Pool[Any, Any]]:
            with super().pool(load, work, name=name) as workers:

                def submit(prompts: Any) -> Any:
                    if any(one.identified.request.sample_id == requests[1].sample_id for one in prompts):
                        raise WorkerDiedError("killed")
                    return workers.submit(prompts)

                yield replace(workers, submit=submit)

    bought = buy_instructions(requests, provider=make_provider(batch_size=batch_size, engine=Ends()), ledger=ledger)
    assert [(one.sample_id, one.reason) for one in bought.dropped] == [(requests[1].sample_id, "out_of_memory")]
    assert bought.instructions.num_rows == 4


def test_sampling_is_not_the_likeliest_and_the_same_each_time(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider]
) -> None:
    def written(temperature: float) -> list[str]:
        provider, book = make_provider(temperature=temperature), RecordingBook()
        provider.ask([identify_request(one, provider.specify([one])[0]) for one in requests], book=book)
        answers = {one.request_id: one.turns[0].response for one in book.outcomes if isinstance(one, Answer)}
        return [answers[send.request.request_id] for send in book.sends]

    assert written(2.0) == written(2.0) != written(0.0)


def test_what_the_model_reads(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.instructions.local import writer as local_writer

    read: list[str] = []

    def look(vlm: Any, prompts: Any, **options: Any) -> Any:
        read.extend(vlm.processor.tokenizer.decode(prompt.input_ids) for prompt in prompts)
        written = write_responses(vlm, prompts, **options)
        read.extend(response.text for response in written)
        return written

    monkeypatch.setattr(local_writer, "write_responses", look)
    provider = make_provider({**CONVERSE, "system": "You write data."}, repairs=1)
    book = RecordingBook()
    with pytest.raises(NothingUsableError, match="break a rule"):
        provider.ask([identify_request(requests[0], provider.specify(requests[:1])[0])], book=book)
    asked, said, sent_back, _ = read
    # The model's chat template has no system message, so it stands at the head of the user's.
    wanted = f"USER: {'<image>' * 64}\nYou write data.\n\nTask: describe. Answer with JSON alone. ASSISTANT: "
    assert asked == wanted
    assert sent_back.startswith(f"{wanted}{said.strip()}</s>USER: That could not be used: ")
    assert sent_back.endswith("Answer again, with the corrected JSON alone. ASSISTANT: ")
    assert [send.kind for send in book.sends] == ["first", "repair"]


def test_another_architecture_its_system_message_and_the_size_of_the_image(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], tmp_path: Path
) -> None:
    folder = str(save_toy_vlm("qwen2_5_vl", tmp_path / "toy"))

    def read(template: dict[str, object], image_limit: int) -> int:
        provider = make_provider(
            template,
            model=folder,
            image_limit=image_limit,
            repairs=0,
            max_output_tokens=4,
            purchase={"prices": [{**price_row(0, 0), "model": folder}]},
        )
        book = RecordingBook()
        with pytest.raises(NothingUsableError, match="cut_off"):
            provider.ask([identify_request(requests[4], provider.specify(requests[4:])[0])], book=book)
        (outcome,) = book.outcomes
        return outcome.input_tokens

    # 300 x 150 pixels; one token per 16 x 16 pixels.
    plain = read(DESCRIBE, 64)
    assert plain - read(DESCRIBE, 32) == (64 * 32 - 32 * 16) // 16**2
    system = {**DESCRIBE, "system": "You write data."}
    assert read(system, 64) != plain


def test_images_alone_that_fail_load_no_model(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], loaded: list[str]
) -> None:
    provider, book = make_provider(model=MODEL), RecordingBook()
    Path(requests[0].uri).unlink()
    broken = Path(requests[1].uri)
    broken.write_bytes(broken.read_bytes()[:40])
    cut = replace(requests[1], image_sha=hashlib.sha256(broken.read_bytes()).hexdigest())
    asked = [identify_request(one, provider.specify([one])[0]) for one in (requests[0], cut)]
    provider.ask(asked, book=book)
    assert book.left_out == {asked[0].request_id: "missing"}
    assert [(type(outcome), outcome.request_id) for outcome in book.outcomes] == [(Failure, asked[1].request_id)]
    assert not loaded


def test_only_what_is_granted_is_written(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], loaded: list[str]
) -> None:
    class Grants(RecordingBook):
        def __init__(self, *granted: str) -> None:
            super().__init__()
            self.granted = granted

        def announce(self, sends: Any) -> list[bool]:
            super().announce(sends)
            return [send.request.request_id in self.granted for send in sends]

    provider = make_provider(price=(1.0, 1.0))
    identified = [identify_request(one, provider.specify([one])[0]) for one in requests[:3]]
    nothing = Grants()
    provider.ask(identified, book=nothing)
    assert (len(nothing.sends), nothing.outcomes) == (3, [])
    assert not loaded
    one = Grants(identified[1].request_id)
    provider.ask(identified, book=one)
    assert [outcome.request_id for outcome in one.outcomes] == [identified[1].request_id]
    assert loaded == [MODEL]


def test_the_price_is_that_of_the_tokens_the_model_read_and_wrote(
    ledger: Ledger, requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider]
) -> None:
    bought = buy_instructions(requests, provider=make_provider(price=(3.0, 5.0)), ledger=ledger)
    vlm = load_toy(Path(MODEL))
    uris = {request.sample_id: request for request in requests}
    rows = bought.instructions.to_pylist()
    for row in rows:
        request, turn = uris[row["sample_id"]], row["turns"][0]
        image = load_image(request.uri, image_sha=request.image_sha, pixel_limit=PIXEL_LIMIT)
        prompt = encode_prompt(vlm, (), turn["question"], image)
        assert row["input_tokens"] == len(prompt.input_ids) > 64
        written = vlm.processor.tokenizer(turn["response"], add_special_tokens=False)["input_ids"]
        assert row["output_tokens"] == len(written) + 1  # and the end of the turn
        assert row["price_usd"] == pytest.approx((3 * row["input_tokens"] + 5 * row["output_tokens"]) / 1e6)
    assert bought.price_usd == pytest.approx(sum(row["price_usd"] for row in rows))


def test_a_free_model_needs_no_budget(
    ledger: Ledger, requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider]
) -> None:
    provider = make_provider(purchase={"spend_at_most_usd": 0.0})
    assert buy_instructions(requests[:1], provider=provider, ledger=ledger).instructions.num_rows == 1


def test_a_model_that_writes_nothing_usable_is_stopped(
    ledger: Ledger,
    requests: list[InstructionRequest],
    make_provider: Callable[..., LocalProvider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = make_provider(CONVERSE, batch_size=2, max_output_tokens=20)
    with monkeypatch.context() as patched:
        patched.setattr(purchase_loop, "BREAKER_FAILURES", 2)
        with pytest.raises(NothingUsableError, match="2 attempts in a row"):
            buy_instructions(requests, provider=provider, ledger=ledger)
    assert [(row.kind, row.outcome) for row in attempts(ledger)] == [("first", "unusable")] * 2

    # The next run goes on with what has to be sent back.
    patient = make_provider(CONVERSE, batch_size=2, max_output_tokens=20)
    with pytest.raises(NothingUsableError, match="the replies to 5 of 5 requests break a rule"):
        buy_instructions(requests, provider=patient, ledger=ledger)
    assert [(row.kind, row.outcome) for row in attempts(ledger)] == [("first", "unusable"), ("repair", "unusable")] * 5


def test_prompts_none_of_which_fits_are_not_given_up(
    ledger: Ledger, requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider]
) -> None:
    long = {**DESCRIBE, "user": "{question} " + "word " * 500}
    for count in (1, 3):
        with pytest.raises(
            NothingUsableError, match=r"prompt_exceeds_context: .*max_output_tokens.*nothing is given up"
        ):
            buy_instructions(requests[:count], provider=make_provider(long), ledger=ledger)
    assert (ledger_totals(ledger).quarantined, ledger_totals(ledger).pending) == (0, 3)


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), IndexError("no such token"), SampleError("long", "9")]
)
def test_one_that_the_model_fails_with_does_not_stop_the_others(
    ledger: Ledger,
    requests: list[InstructionRequest],
    make_provider: Callable[..., LocalProvider],
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    error: Exception,
) -> None:
    from components.instructions.local import writer as local_writer

    unlucky = min(requests, key=lambda one: one.sample_id)
    encode = local_writer.LocalWriter._encode

    def mark(own: Any, prompt: Any) -> Any:
        encoded: Any = encode(own, prompt)
        if prompt.identified.request.sample_id != unlucky.sample_id:
            return encoded
        return error if isinstance(error, SampleError) else replace(encoded, input_ids=(*encoded.input_ids, -1))

    def fail(vlm: Any, prompts: Any, **options: Any) -> Any:
        if any(prompt.input_ids[-1] == -1 for prompt in prompts):
            raise error
        return write_responses(vlm, prompts, **options)

    monkeypatch.setattr(local_writer.LocalWriter, "_encode", mark)
    monkeypatch.setattr(local_writer, "write_responses", fail)
    bought = buy_instructions(requests, provider=make_provider(batch_size=batch_size), ledger=ledger)
    assert [one.sample_id for one in bought.dropped] == [unlucky.sample_id]
    assert bought.instructions.num_rows == 4


def test_too_little_memory_says_what_to_lower_and_leaves_the_requests_open(
    ledger: Ledger,
    requests: list[InstructionRequest],
    make_provider: Callable[..., LocalProvider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from components.instructions.local import writer as local_writer

    def run_out(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with monkeypatch.context() as patched:
        patched.setattr(local_writer, "write_responses", run_out)
        with pytest.raises(
            NothingUsableError, match=r"lower purchase\.local\.batch_size.* nothing is given up; give it"
        ):
            buy_instructions(requests[:2], provider=make_provider(price=(1.0, 1.0)), ledger=ledger)
    assert {(row.outcome, row.price_usd) for row in attempts(ledger)} == {("refused", 0.0)}
    assert (ledger_totals(ledger).uncertain_usd, ledger_totals(ledger).quarantined) == (0, 0)
    assert buy_instructions(requests[:2], provider=make_provider(), ledger=ledger).instructions.num_rows == 2


@pytest.mark.parametrize("batch_size", [1, 4])
def test_one_image_that_takes_too_much_memory_is_left_out_and_those_behind_it_come(
    ledger: Ledger,
    requests: list[InstructionRequest],
    make_provider: Callable[..., LocalProvider],
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
) -> None:
    import torch

    from components.instructions.local import writer as local_writer

    unlucky = requests[0]
    encode = local_writer.LocalWriter._encode
    sizes: list[int] = []

    def mark(own: Any, prompt: Any) -> Any:
        encoded: Any = encode(own, prompt)
        marked = prompt.identified.request.sample_id == unlucky.sample_id
        return replace(encoded, input_ids=(*encoded.input_ids, -1)) if marked else encoded

    def run_out(vlm: Any, prompts: Any, **options: Any) -> Any:
        sizes.append(len(prompts))
        if len(prompts) > 2 or any(prompt.input_ids[-1] == -1 for prompt in prompts):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return write_responses(vlm, prompts, **options)

    monkeypatch.setattr(local_writer.LocalWriter, "_encode", mark)
    monkeypatch.setattr(local_writer, "write_responses", run_out)
    bought = buy_instructions(requests, provider=make_provider(batch_size=batch_size), ledger=ledger)
    assert [(one.sample_id, one.reason) for one in bought.dropped] == [(unlucky.sample_id, "out_of_memory")]
    assert bought.instructions.num_rows == 4
    assert set(sizes) == ({1, 2, 4} if batch_size == 4 else {1}), "halved until it fits"
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    again = buy_instructions(requests, provider=make_provider(), ledger=ledger, ask_again=True)
    assert (again.asked, again.instructions.num_rows) == (1, 5)


def test_a_model_that_cannot_be_loaded_is_an_error_that_names_it(
    ledger: Ledger,
    requests: list[InstructionRequest],
    make_provider: Callable[..., LocalProvider],
    tmp_path: Path,
) -> None:
    from components.instructions.local.writer import LocalModelError

    empty = tmp_path / "empty"
    empty.mkdir()
    provider = make_provider(model=str(empty), purchase={"prices": [{**price_row(0, 0), "model": str(empty)}]})
    with pytest.raises(LocalModelError, match=r"instructions\.model .*no config\.json"):
        buy_instructions(requests[:1], provider=provider, ledger=ledger)
    assert [row.outcome for row in attempts(ledger)] == ["refused"]
    with pytest.raises(LocalModelError, match="max_output_tokens 2048 leaves nothing"):
        buy_instructions(requests[:1], provider=make_provider(max_output_tokens=2048), ledger=ledger)


def test_the_model_is_pinned(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider], tmp_path: Path
) -> None:
    def specified(model: str, revision: str | None = None) -> str:
        prices = {"prices": [{**price_row(0, 0), "model": model}]}
        provider = make_provider(model=model, revision=revision, purchase=prices)
        (specification,) = provider.specify(requests[:1])
        return specification.model

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    first = specified(str(folder))
    assert first.startswith(f"{folder}@sha256:")
    assert specified(str(folder)) == first
    (folder / "config.json").write_text("{ }", encoding="utf-8")
    assert specified(str(folder)) != first
    assert specified("owner/name", "a1b2c3") == "owner/name@a1b2c3"
    with pytest.raises(UnpinnedModelError, match=r"owner/name.*instructions\.revision"):
        specified("owner/name")


def test_what_the_template_is_told_is_part_of_who_writes(
    requests: list[InstructionRequest], make_provider: Callable[..., LocalProvider]
) -> None:
    (plain,) = make_provider().specify(requests[:1])
    (told,) = make_provider(template_arguments={"enable_thinking": False}).specify(requests[:1])
    assert told.model == f'{plain.model} {{"enable_thinking": false}}'


def test_a_model_that_cannot_write_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    from components.instructions.local.writer import LocalModelError, check_writer

    parameters = load_parameters(ROOT / "params.yaml")
    folder = save_toy_vlm("llava", tmp_path / "llava")
    weights = (folder / "model.safetensors").read_bytes()
    own = parameters.instructions.model_copy(update={"model": str(folder)})
    check_writer(own, parameters.purchase.local)
    with pytest.raises(LocalModelError, match="max_output_tokens 4096 leaves nothing of the 2048 tokens"):
        check_writer(own.model_copy(update={"max_output_tokens": 4096}), parameters.purchase.local)
    for damaged, said in ((weights[:-1], "is not whole"), (b"version https://git-lfs.github.com/spec/v1", "lfs pull")):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(LocalModelError, match=rf"instructions\.model .*model\.safetensors.* {said}"):
            check_writer(own, parameters.purchase.local)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] + 'x' }}", encoding="utf-8")
    with pytest.raises(LocalModelError, match=r"instructions\.model .*chat_template\.jinja cannot be rendered"):
        check_writer(own, parameters.purchase.local)


def test_a_model_without_a_price_is_an_error(make_provider: Callable[..., LocalProvider]) -> None:
    with pytest.raises(UnknownPriceError, match="owner/name"):
        make_provider(model="owner/name", revision="a1b2c3")
