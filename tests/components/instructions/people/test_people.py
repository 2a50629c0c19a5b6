"""Instructions that persons write: handed out, written as a person would, read in, bought."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import update

from components.instructions.buy import BuyResult, buy_instructions
from components.instructions.images_away import ImagesAwayError
from components.instructions.ledger.batches import open_batches_of
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import Ledger, find_entries
from components.instructions.ledger.tables import ATTEMPTS, BATCHES
from components.instructions.ledger.totals import ledger_cost
from components.instructions.ledger.workers import registered_worker
from components.instructions.people.export import export_for_people
from components.instructions.people.files import guarded_cell, text_of_cell
from components.instructions.people.hand_out import HandOut, hand_out_to_people
from components.instructions.people.importing import PeopleImport, import_from_people
from components.instructions.people.provider import PeopleProvider
from components.instructions.people.written import WrittenFileError, read_written
from components.instructions.provider import Answer, Send
from components.instructions.purchase_errors import PurchaseStoppedError
from components.instructions.request import IdentifiedRequest, InstructionRequest, identify_request
from components.output_folder import OutputFolderError
from components.parameters.instructions import InstructionParameters
from components.pool.samples import Turn, sample_identity
from components.training_set.export import ExportError

CONVERSATION = """\
version: 1
writes: conversation
turns: {at_least: 1, at_most: 2}
questions: []
system: Ask only what the picture shows.
user: "Task: {task}"
response_words: {at_least: 1, at_most: 6}
language: en
expected_output_tokens: 20
"""
RESPONSE = """\
version: 1
writes: response
turns: {at_least: 1, at_most: 1}
questions: ["How many are there?", "Count what you see."]
system: ""
user: "{question}"
response_words: {at_least: 1, at_most: 6}
language: any
expected_output_tokens: 20
"""
PRICE = 0.25
PIXEL_LIMIT = 10_000


class Project:
    """Images on disk, templates, a ledger, and what a user does with them."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder, self.ledger = folder, ledger
        self.prompts = folder / "prompts"
        self.prompts.mkdir()
        (self.prompts / "default.yaml").write_text(CONVERSATION)
        (self.prompts / "count.yaml").write_text(RESPONSE)
        self.provider = PeopleProvider(
            InstructionParameters(
                provider="people",
                annotations=(),
                price_per_instruction_usd=PRICE,
                prompts=str(self.prompts),
                model="nobody",
                revision=None,
                template_arguments={},
                image_limit=768,
                temperature=0,
                max_output_tokens=10,
                structured_output="none",
                repairs=0,
                ledger="sqlite:///unused.sqlite",
            )
        )

    def request(self, shade: int, task: str = "scene", suffix: str = "png") -> InstructionRequest:
        path = self.folder / f"{shade}.{suffix}"
        Image.new("RGB", (8, 6), (shade, 40, 200)).save(path)
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        return InstructionRequest(sample_identity(task, sha), task, sha, str(path), (path.stem,))

    def identify(self, *requests: InstructionRequest) -> list[IdentifiedRequest]:
        pairs = zip(requests, self.provider.specify(requests), strict=True)
        return [identify_request(request, specification) for request, specification in pairs]

    def hand_out(
        self, requests: list[IdentifiedRequest], name: str = "to write", *, again: bool = False, overwrite: bool = False
    ) -> HandOut:
        return hand_out_to_people(
            self.ledger,
            requests,
            self.folder / name,
            run="r",
            pixel_limit=PIXEL_LIMIT,
            again=again,
            overwrite=overwrite,
        )

    def take_in(self, file: Path) -> PeopleImport:
        return import_from_people(self.ledger, file, price_per_instruction_usd=PRICE, run="r")

    def buy(self, *requests: InstructionRequest) -> BuyResult:
        return buy_instructions(requests, provider=self.provider, ledger=self.ledger, run="r")

    def state(self, identified: IdentifiedRequest) -> str:
        return find_entries(self.ledger, [identified.request_id])[identified.request_id].state

    def open_batches(self) -> int:
        with self.ledger.engine.connect() as connection:
            return len(connection.execute(BATCHES.select().where(BATCHES.c.state == "open")).all())


@pytest.fixture
def project(tmp_path: Path, ledger: Ledger) -> Project:
    return Project(tmp_path, ledger)


def rows_of(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")))


def fill_in(
    table: Path, write: Callable[[dict[str, str]], None], name: str = "filled.csv", delimiter: str = ","
) -> Path:
    """Open the table, write into it and save it, as a person does with a spreadsheet."""
    rows = rows_of(table)
    for row in rows:
        write(row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    saved = table.parent.parent / name
    saved.write_bytes(text.getvalue().encode("utf-8-sig"))
    return saved


def one_turn(response: str, question: str = "What is it?") -> Callable[[dict[str, str]], None]:
    def write(row: dict[str, str]) -> None:
        row["question_1"] = row["question_1"] or question
        row["response_1"] = response

    return write


def annotation(number: int, author: object, *fields: tuple[str, str], cancelled: bool = False) -> dict[str, object]:
    """As Label Studio 1.x exports it."""
    results = [
        {
            "value": {"text": [text]},
            "id": f"r{number}{index}",
            "from_name": name,
            "to_name": "image",
            "type": "textarea",
            "origin": "manual",
        }
        for index, (name, text) in enumerate(fields)
    ]
    return {
        "id": number,
        "completed_by": author,
        "result": results,
        "was_cancelled": cancelled,
        "ground_truth": False,
        "created_at": "2025-01-09T16:24:44.100000Z",
        "updated_at": "2025-01-09T16:24:44.100000Z",
        "draft_created_at": None,
        "lead_time": 11.2,
        "task": number,
        "project": 1,
    }


def exported(project: Project, tasks: list[dict[str, object]], name: str = "project-1.json") -> Path:
    file = project.folder / name
    file.write_text(json.dumps(tasks), encoding="utf-8")
    return file


def counts(result: PeopleImport) -> dict[str, int]:
    return {one.reason: one.count for one in result.counts}


def test_a_purchase_says_what_people_have_to_do_and_records_nothing(project):
    requests = [project.request(1), project.request(2)]
    with pytest.raises(PurchaseStoppedError, match=r"write 2 of 2 .*presel annotate export FOLDER.*import FILE"):
        project.buy(*requests)
    assert find_entries(project.ledger, [one.request_id for one in project.identify(*requests)]) == {}
    assert project.provider.at_hand(requests) == [False, False]
    assert project.buy().instructions.num_rows == 0


def test_from_the_purchase_to_the_table_and_back(project):
    requests = [project.request(1), project.request(2, "count")]
    with pytest.raises(PurchaseStoppedError):
        project.buy(*requests)
    out = project.hand_out(project.identify(*requests))
    assert (out.tasks.count, out.tasks.dropped, out.settled, out.out, out.taken_back) == (2, (), 0, 0, 0)

    result = project.take_in(fill_in(out.tasks.table, one_turn("A blue field.")))
    assert counts(result) == {"imported": 2}
    assert (result.price_usd, result.still_out, project.open_batches()) == (2 * PRICE, 0, 0)

    for _ in range(2):
        bought = project.buy(*requests)
        assert (bought.asked, bought.reused, bought.price_usd, bought.dropped) == (0, 2, 0.0, ())
        turns = {row["task"]: row["turns"] for row in bought.instructions.to_pylist()}
        assert turns["scene"] == [{"question": "What is it?", "response": "A blue field."}]
        assert turns["count"][0]["question"] in ("How many are there?", "Count what you see.")
        assert set(bought.instructions["provider"].to_pylist()) == {"people"}
        assert bought.instructions["price_usd"].to_pylist() == [PRICE, PRICE]
    assert ledger_cost(project.ledger) == 2 * PRICE


def test_a_purchase_counts_only_what_is_not_written(project):
    requests = [project.request(1), project.request(2), project.request(3)]
    out = project.hand_out(project.identify(requests[0]))
    project.take_in(fill_in(out.tasks.table, one_turn("Blue.")))
    with pytest.raises(PurchaseStoppedError, match="write 2 of 3 instructions"):
        project.buy(*requests)


def test_what_people_get(project):
    plain, odd = project.request(1), project.request(2, "count", "tif")
    identified = project.identify(plain, odd)
    tasks = project.hand_out(identified).tasks
    data = [task["data"] for task in json.loads(tasks.label_studio.read_text())]
    assert [row["request_id"] for row in data] == [one.request_id for one in identified]
    assert data[0]["instructions"] == "Ask only what the picture shows.\n\nTask: scene"
    assert (
        data[0]["rules"] == "Write 1 to 2 questions, each with its response. A response has 1 to 6 words. Language: en."
    )
    assert (data[0]["question"], data[1]["question"]) == ("", data[1]["instructions"])

    root = project.folder  # LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT
    served = [urlsplit(row["image"]) for row in data]
    assert {one.path for one in served} == {"/data/local-files/"}
    files = [root / parse_qs(one.query)["d"][0] for one in served]
    assert files[0].read_bytes() == Path(plain.uri).read_bytes()
    with Image.open(files[1]) as image:  # no browser shows TIFF
        assert (image.format, image.getpixel((0, 0))) == ("PNG", (2, 40, 200))
    assert files[0].name == f"{identified[0].request_id[:16]}.png"

    rows = rows_of(tasks.table)
    assert tasks.table.read_bytes().startswith(b"\xef\xbb\xbf")
    assert [tasks.table.parent / row["image"] for row in rows] == files
    assert list(rows[0])[-4:] == ["question_1", "response_1", "question_2", "response_2"]
    assert [row["question_1"] for row in rows] == ["", data[1]["question"]]

    readme = (tasks.table.parent / "README.txt").read_text()
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=FOLDER_ABOVE" in readme
    assert "FOLDER_ABOVE/to write/images" in readme
    assert "to write" in unquote(data[0]["image"])


def test_the_form_has_fields_for_what_the_templates_ask(project):
    def form(*requests: InstructionRequest) -> tuple[dict[str, str | None], set[str]]:
        name = f"form {len(list(project.folder.iterdir()))}"
        tasks = export_for_people(project.identify(*requests), project.folder / name, pixel_limit=PIXEL_LIMIT)
        view = ElementTree.parse(tasks.config)
        assert {area.get("toName") for area in view.iter("TextArea")} == {"image"}
        shown = {str(element.get("value")) for element in view.iter() if str(element.get("value")).startswith("$")}
        offered = set(json.loads(tasks.label_studio.read_text())[0]["data"])
        assert {name[1:] for name in shown} <= offered
        return {str(area.get("name")): area.get("value") for area in view.iter("TextArea")}, shown

    scene, count = project.request(1), project.request(2, "count")
    both = {"question_1": None, "response_1": None, "question_2": None, "response_2": None}
    assert form(scene) == (both, {"$image", "$task", "$instructions", "$rules"})
    assert form(count) == ({"response_1": None}, {"$image", "$task", "$instructions", "$rules", "$question"})
    assert form(scene, count)[0] == both | {"question_1": "$question"}


def test_label_studio_there_and_back(project):
    identified = project.identify(*(project.request(shade) for shade in range(1, 5)), project.request(5, "count"))
    tasks = json.loads(project.hand_out(identified).tasks.label_studio.read_text())
    person = {"id": 7, "email": "ana@example.org", "first_name": "Ana", "last_name": ""}
    both = (("response_1", "Blue."), ("question_1", "Which colour?"))
    annotations = [
        [annotation(1, 7, *both, ("question_2", "Is it dark?"), ("response_2", "  No.\n"))],
        [annotation(2, person, *both)],
        [annotation(3, 7, *both, cancelled=True)],
        [],
        [annotation(5, 7, ("response_1", "None.")), annotation(6, 8, ("response_1", "Two."))],
    ]
    file = exported(project, [task | {"id": n, "annotations": annotations[n]} for n, task in enumerate(tasks)])
    result = project.take_in(file)
    assert [(entry.where, entry.verdict) for entry in result.entries] == [
        ("task 1", "imported"),
        ("task 2", "imported"),
        ("task 3", "not_written"),
        ("task 4", "not_written"),
        ("task 5, annotation 1", "imported"),
        ("task 5, annotation 2", "answered_differently"),
    ]
    assert (result.still_out, project.open_batches()) == (2, 1)
    entries = find_entries(project.ledger, [one.request_id for one in identified])
    first, second, counted = (entries[identified[n].request_id] for n in (0, 1, 4))
    assert first.turns == (Turn("Which colour?", "Blue."), Turn("Is it dark?", "No."))
    assert (first.model, second.model) == ("people: 7", "people: ana@example.org")
    assert counted.turns == (Turn(tasks[4]["data"]["question"], "None."),)


def test_json_min(project):
    identified = project.identify(project.request(1), project.request(2), project.request(3))
    tasks = json.loads(project.hand_out(identified).tasks.label_studio.read_text())
    common = {"annotator": 3, "annotation_id": 9, "created_at": "2025-01-09T16:24:44Z", "lead_time": 4.0}
    lines = {"text": ["Blue", "and wide."]}  # entered in two pieces
    file = exported(
        project,
        [
            tasks[0]["data"] | {"id": 1, "question_1": "Which colour?", "response_1": "Blue."} | common,
            tasks[1]["data"] | {"id": 2, "question_1": "Which colour?", "response_1": lines} | common,
        ],
    )
    first, second = project.take_in(file), project.take_in(file)
    assert (counts(first), counts(second)) == ({"imported": 2}, {"already_imported": 2})
    assert (first.still_out, second.still_out) == (1, 1)  # the third, which JSON-MIN leaves out
    entries = find_entries(project.ledger, [one.request_id for one in identified])
    assert entries[identified[1].request_id].turns == (Turn("Which colour?", "Blue\nand wide."),)
    assert entries[identified[0].request_id].model == "people: 3"


@pytest.mark.parametrize(
    ("task", "cells", "reason"),
    [
        ("scene", {"question_1": "What?", "response_1": "one two three four five six seven"}, "too_long"),
        ("scene", {"question_1": "What?"}, "empty"),
        ("scene", {"response_1": "Blue."}, "empty"),
        ("scene", {"question_1": "What?", "response_1": "See <image>"}, "image_placeholder"),
        (
            "scene",
            {"question_1": "Was ist auf dem Bild zu sehen?", "response_1": "Ein blaues Feld ohne Rand"},
            "language",
        ),
        ("scene", {"question_1": "What?", "response_1": "#NAME?"}, "spreadsheet_error"),
        ("scene", {"question_1": "What?", "response_1": "nul \x00 byte"}, "not_text"),
        ("count", {"question_1": "Who painted it?", "response_1": "Nobody."}, "question_changed"),
        ("count", {"response_1": "Two.", "question_2": "And?", "response_2": "Three."}, "turn_count"),
        ("count", {"response_1": "one two three four five six seven"}, "too_long"),
    ],
)
def test_what_breaks_a_rule_stays_out_and_can_be_corrected(project, task, cells, reason):
    identified = project.identify(project.request(1, task), project.request(2, "count"))
    table = project.hand_out(identified).tasks.table
    broken = fill_in(
        table,
        lambda row: row.update(cells if row["task"] == task and row["request_id"] == identified[0].request_id else {}),
    )
    result = project.take_in(broken)
    assert counts(result) == {reason: 1, "not_written": 1}
    entry = result.entries[0]
    assert (entry.where, entry.request_id, entry.verdict) == ("row 2", identified[0].request_id, "rule_broken")
    assert entry.detail
    assert (result.imported, result.price_usd, result.still_out) == (0, 0.0, 2)
    assert project.state(identified[0]) == "pending"

    corrected = project.take_in(fill_in(table, one_turn("Blue.")))
    assert counts(corrected) == {"imported": 2}
    assert find_entries(project.ledger, [identified[0].request_id])[identified[0].request_id].attempts == 1


def test_importing_twice_books_nothing_twice_and_the_first_answer_stays(project):
    identified = project.identify(project.request(1), project.request(2))
    table = project.hand_out(identified).tasks.table
    file = fill_in(table, one_turn("Blue."))
    assert counts(project.take_in(file)) == {"imported": 2}
    again = project.take_in(file)
    assert (counts(again), again.price_usd) == ({"already_imported": 2}, 0.0)
    other = project.take_in(fill_in(table, one_turn("Green.")))
    assert (counts(other), other.price_usd) == ({"answered_differently": 2}, 0.0)
    assert ledger_cost(project.ledger) == 2 * PRICE
    entry = find_entries(project.ledger, [identified[0].request_id])[identified[0].request_id]
    assert (entry.turns, entry.attempts) == ((Turn("What is it?", "Blue."),), 1)


def test_a_part_now_and_the_rest_later(project):
    identified = project.identify(*(project.request(shade) for shade in (1, 2, 3)))
    table = project.hand_out(identified).tasks.table

    def only_first(row: dict[str, str]) -> None:
        if row["request_id"] == identified[0].request_id:
            one_turn("Blue.")(row)

    first = project.take_in(fill_in(table, only_first))
    assert (counts(first), first.still_out) == ({"imported": 1, "not_written": 2}, 2)
    project.hand_out(project.identify(project.request(4)), "another")  # no part of what is still out
    assert project.take_in(table).still_out == 2
    rest = project.take_in(fill_in(table, one_turn("Blue.")))
    assert counts(rest) == {"imported": 2, "already_imported": 1}
    assert (rest.still_out, project.open_batches()) == (0, 1)


def test_what_is_out_is_not_handed_out_again(project):
    identified = project.identify(*(project.request(shade) for shade in (1, 2, 3)))
    project.hand_out(identified[:2], "first")
    second = project.hand_out(identified, "second")
    assert (second.tasks.count, second.out) == (1, 2)
    assert len(second.out_in) == 1
    assert str(project.folder / "first") in second.out_in[0]
    third = project.hand_out(identified, "third")
    assert (third.tasks, third.out, third.settled) == (None, 3, 0)
    assert not (project.folder / "third").exists()
    assert project.open_batches() == 2


def test_again_hands_out_all_that_is_unanswered_and_the_earlier_file_still_counts(project):
    identified = project.identify(*(project.request(shade) for shade in (1, 2, 3)))
    table = project.hand_out(identified, "first").tasks.table

    def of(*wanted: int) -> Callable[[dict[str, str]], None]:
        ids = {identified[number].request_id for number in wanted}
        return lambda row: one_turn("Blue.")(row) if row["request_id"] in ids else None

    project.take_in(fill_in(table, of(0)))
    again = project.hand_out(identified[:2], "second", again=True)
    assert (again.tasks.count, again.settled, again.taken_back, again.out) == (1, 1, 1, 0)
    assert list(open_batches_of(project.ledger, [one.request_id for one in identified])) == [identified[1].request_id]
    # The third is out no more; a person had it written all the same.
    late = project.take_in(fill_in(table, of(0, 1, 2)))
    assert counts(late) == {"imported": 2, "already_imported": 1}
    assert (ledger_cost(project.ledger), project.open_batches()) == (3 * PRICE, 0)


def test_again_leaves_out_what_others_handed_out(project):
    mine, theirs = project.identify(project.request(1), project.request(2))
    project.hand_out([theirs], "theirs")
    assert project.hand_out([mine], "mine", again=True).taken_back == 0
    assert theirs.request_id in open_batches_of(project.ledger, [theirs.request_id])


def test_requests_that_were_never_handed_out_are_unknown(project):
    identified = project.identify(project.request(1))
    table = project.hand_out(identified).tasks.table
    with registered_worker(project.ledger, run="r") as worker:  # bought elsewhere
        book = LedgerBook(project.ledger, provider="openai", run="r", worker=worker)
        bought = project.identify(project.request(9))[0]
        book.announce([Send(bought)])
        book.settle([Answer(bought.request_id, (Turn("q", "r"),), "m", "raw")])
    for request_id in ("0" * 64, "not an id", bought.request_id):
        cells = {"request_id": request_id, "question_1": "q", "response_1": "r"}
        wrong = fill_in(table, lambda row: row.update(cells))  # noqa: B023 -- called at once
        assert counts(project.take_in(wrong)) == {"unknown_request": 1}
    assert project.state(identified[0]) == "pending"


def test_an_image_that_cannot_be_had_is_handed_out_when_it_is_back(project):
    good, gone, changed = project.request(1), project.request(2), project.request(3)
    bytes_of = {one.uri: Path(one.uri).read_bytes() for one in (gone, changed)}
    Path(gone.uri).unlink()
    Image.new("RGB", (8, 6)).save(changed.uri)
    out = project.hand_out(project.identify(good, gone, changed))
    assert out.tasks.count == 1
    assert out.tasks.dropped == ()
    assert {lost.sample_id: lost.reason for lost in out.tasks.left_out} == {
        gone.sample_id: "missing",
        changed.sample_id: "changed",
    }
    assert len(rows_of(out.tasks.table)) == 1
    project.take_in(fill_in(out.tasks.table, one_turn("Blue.")))
    with pytest.raises(PurchaseStoppedError, match="people have to write 2 of 3"):
        project.buy(good, gone, changed)
    for uri, data in bytes_of.items():
        Path(uri).write_bytes(data)
    later = project.hand_out(project.identify(good, gone, changed), "later")
    assert later.tasks.count == 2
    project.take_in(fill_in(later.tasks.table, one_turn("Red.")))
    assert project.buy(good, gone, changed).instructions.num_rows == 3


def test_images_that_are_all_away_are_not_given_up(project):
    """The disk with the images is not mounted."""
    requests = [project.request(number) for number in range(60)]
    identified = project.identify(*requests)
    bytes_of = {one.uri: Path(one.uri).read_bytes() for one in requests}
    for uri in bytes_of:
        Path(uri).unlink()
    with pytest.raises(ImagesAwayError, match="50 images in a row"):
        project.hand_out(identified)
    assert project.open_batches() == 0
    for uri, data in bytes_of.items():
        Path(uri).write_bytes(data)
    assert project.hand_out(identified, overwrite=True).tasks.count == 60


def test_an_image_that_shows_nothing_is_quarantined(project):
    whole = project.request(1)
    half = Path(whole.uri).read_bytes()[:45]
    Path(whole.uri).write_bytes(half)
    broken = replace(whole, image_sha=hashlib.sha256(half).hexdigest())
    out = project.hand_out(project.identify(broken, project.request(2)))
    assert (out.tasks.count, [lost.reason for lost in out.tasks.dropped]) == (1, ["corrupt"])
    assert project.hand_out(project.identify(broken), "later").settled == 1


def test_too_many_pixels_are_not_decoded(project):
    request = project.request(1)
    tasks = export_for_people(project.identify(request), project.folder / "out", pixel_limit=47)
    assert (tasks.count, tasks.left_out[0].reason) == (0, "too_large")


def test_a_folder_that_holds_something_is_refused_before_anything_is_recorded(project):
    identified = project.identify(project.request(1))
    (project.folder / "full").mkdir()
    (project.folder / "full" / "notes.txt").write_text("mine")
    with pytest.raises(OutputFolderError, match="not empty"):
        project.hand_out(identified, "full")
    with pytest.raises(OutputFolderError, match="is a file"):
        project.hand_out(identified, "prompts/default.yaml")
    assert project.open_batches() == 0
    assert project.hand_out(identified, "full", overwrite=True).tasks.count == 1
    assert (project.folder / "full" / "notes.txt").read_text() == "mine"


def test_overwriting_never_loses_what_was_written(project):
    identified = project.identify(project.request(1), project.request(2, "count"))
    table = project.hand_out(identified).tasks.table
    assert project.hand_out(identified, again=True, overwrite=True).tasks.count == 2  # nothing written yet
    fill_in(table, one_turn("Blue."), "to write/instructions.csv")
    with pytest.raises(ExportError, match="2 written instructions"):
        project.hand_out(identified, again=True, overwrite=True)
    assert rows_of(table)[0]["response_1"] == "Blue."


def test_when_writing_fails_the_hand_out_is_taken_back(project):
    identified = project.identify(project.request(1))
    target = project.folder / "to write"
    (target / "images").parent.mkdir()
    (target / "images").write_text("a file where a folder is needed")
    with pytest.raises(FileExistsError):
        project.hand_out(identified, overwrite=True)
    assert project.open_batches() == 0
    assert project.hand_out(identified, "elsewhere").tasks.count == 1


def test_a_hand_out_of_a_program_that_was_killed_can_be_imported(project):
    """Its worker stays in the ledger; that it is dead shows by its lock."""
    identified = project.identify(project.request(1))
    table = project.hand_out(identified).tasks.table
    with project.ledger.engine.begin() as connection:
        connection.execute(update(BATCHES).values(worker=99))
        connection.execute(update(ATTEMPTS).values(worker=99))
    assert counts(project.take_in(fill_in(table, one_turn("Blue.")))) == {"imported": 1}


def test_what_another_import_has_in_hand_is_left_to_it(project):
    identified = project.identify(project.request(1))
    file = fill_in(project.hand_out(identified).tasks.table, one_turn("Blue."))
    with registered_worker(project.ledger, run="other") as worker:
        other = LedgerBook(project.ledger, provider="people", run="other", worker=worker)
        assert len(other.adopt_batches("people")) == 1
        result = project.take_in(file)
        assert (counts(result), result.price_usd) == ({"in_use": 1}, 0.0)
        other.release()
    assert counts(project.take_in(file)) == {"imported": 1}


def test_importing_at_the_same_time_books_once(project):
    identified = project.identify(*(project.request(shade) for shade in range(1, 9)))
    file = fill_in(project.hand_out(identified).tasks.table, one_turn("Blue."))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: project.take_in(file), range(4)))
    assert sum(result.imported for result in results) == 8
    assert ledger_cost(project.ledger) == 8 * PRICE


def test_formulas_reach_people_as_text_and_come_back_as_text(project):
    (project.prompts / "count.yaml").write_text(
        RESPONSE.replace("How many are there?", "=HYPERLINK(A1)").replace("Count what you see.", "=HYPERLINK(A1)")
    )
    request = project.request(1, "count")
    identified = project.identify(request)
    tasks = project.hand_out(identified).tasks
    cells = rows_of(tasks.table)[0]
    assert cells["question_1"] == "'=HYPERLINK(A1)"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells.values())

    def spreadsheet(row: dict[str, str]) -> None:  # takes the apostrophe away when it saves
        row.update(question_1="=HYPERLINK(A1)", response_1="-3 degrees")

    assert counts(project.take_in(fill_in(tasks.table, spreadsheet))) == {"imported": 1}
    turns = project.buy(request).instructions["turns"].to_pylist()[0]
    assert turns == [{"question": "=HYPERLINK(A1)", "response": "-3 degrees"}]


@given(st.text(st.sampled_from("'=+-@\t\r\n a\uff1d"), max_size=8))
def test_a_guarded_cell_is_no_formula_and_reads_as_it_was(text):
    cell = guarded_cell(text)
    assert text_of_cell(cell) == text
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert not cell.startswith(("\t", "\r", "\n"))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_saved_in_another_country(project, delimiter):
    identified = project.identify(project.request(1))
    table = project.hand_out(identified).tasks.table
    file = fill_in(table, one_turn("Wide, blue; flat."), delimiter=delimiter)
    assert counts(project.take_in(file)) == {"imported": 1}


def test_blank_rows_are_no_entries_and_a_second_row_of_a_request_is_compared(project):
    identified = project.identify(project.request(1))
    file = fill_in(project.hand_out(identified).tasks.table, one_turn("Blue."))
    header, row, *_ = file.read_bytes().decode("utf-8-sig").split("\r\n")
    file.write_bytes("\r\n".join([header, ",,,", "", row, row.replace("Blue.", "Green."), row]).encode())
    result = project.take_in(file)
    assert [(entry.where, entry.verdict) for entry in result.entries] == [
        ("row 4", "imported"),
        ("row 5", "answered_differently"),
        ("row 6", "already_imported"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_however_its_lines_end(tmp_path, end):
    lines = ["request_id,image,question_1,response_1", "a,x.jpg,q,a", 'b,y.jpg,q,"two', 'lines"', "c,z.jpg,q,c"]
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "table.csv").write_bytes(mark + end.join([*lines, ""]).encode())
        read = read_written(tmp_path / "table.csv")
        assert [(one.request_id, one.turns[0].response) for one in read] == [
            ("a", "a"),
            ("b", "two\nlines"),
            ("c", "c"),
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"request_id," + b"long " * 40_000 + b"\n", "field larger than field limit"),
        (b"", "no column request_id"),
        (b"id,text\n1,a\n", "no column request_id"),
        (b"request_id,text\n1,a\n", "no columns question_1"),
        (b"request_id,response_1,response_1\n1,a,b\n", "several columns response_1"),
        ("request_id,response_1\n1,\u00e9".encode("utf-16"), "not UTF-8"),
        (b"PK\x03\x04", "spreadsheet's own format"),
        (b"[1, 2", "not a list of tasks"),
        (b"[" * 100_000, "not a list of tasks: it ends early"),
        (b'{"data": {}}', "not a list of tasks"),
        (b"[1, 2]", "not a list of tasks"),
        (b'[{"id": "a", "image": "a.png", "conversations": []}]', "not one of its tasks has a request_id"),
    ],
)
def test_a_file_that_nobody_gives_back_is_refused(tmp_path, content, message):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(WrittenFileError, match=message.replace("(", r"\(")):
        read_written(file)


HEADER = "request_id,question_1,response_1\n"
# What a table or an export can hold between two entries that are good: (the entry, what is said of it).
BAD_ROWS = [
    ("{id},What, now?,b", "it has 4 cells for 3 columns"),
    ('{id},"a" b,c', "',' expected after"),
    ('{id},"never closed,c', "unexpected end of data"),
    ('{id},q,"never\nclosed', "unexpected end of data"),
    ('{id},q,"two\nlines" and more', "',' expected after"),
    ("{id},q," + "long " * 40_000, "field larger than field limit"),
]
BAD_TASKS = [
    ("7", "'7' stands where a task was expected"),
    ("nonsense", "is not JSON: record 2"),
    ('{"request_id": "{id}" "response_1": "b"}', "is not JSON: record 2"),
    ('{"request_id": "{id}", "response_1": 7}', "'7' stands where a text was expected"),
    ('{"data": {"request_id": "{id}"}, "annotations": {}}', "its annotations are not a list"),
    ('{"data": {"request_id": "{id}"}, "annotations": [7]}', "'7' stands where an annotation was expected"),
    ('{"data": {"request_id": "{id}"}, "annotations": [{"result": 7}]}', "the result of an annotation is not a list"),
]


@pytest.mark.parametrize("cell", ['["a cat", "a dog"]', '{"text": ["a cat", "a dog"]}'])
def test_several_texts_that_label_studio_puts_into_a_cell_are_no_response(tmp_path, cell):
    """Its own tables hold them as JSON; what a person writes into a table may look like it."""
    for more, is_its_own in ((["annotation_id", "1"], True), (["image", "x.png"], False)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows(
            [["request_id", "question_1", "response_1", more[0]], ["1" * 64, "q", cell, more[1]]]
        )
        (tmp_path / "file").write_text(text.getvalue())
        (one,) = read_written(tmp_path / "file")
        assert (one.turns == (), "as JSON" in one.fault) == (is_its_own, is_its_own)


@pytest.mark.parametrize(("accepted", "turns"), [([True], 1), ([False], 0), ([False, True], 1), ([True, False], 0)])
def test_what_the_last_reviewer_rejects_is_not_written(tmp_path, accepted, turns):
    said = {
        **annotation(1, 1, ("question_1", "q"), ("response_1", "r")),
        "reviews": [{"accepted": one} for one in accepted],
    }
    (tmp_path / "file").write_text(json.dumps([{"id": 1, "data": {"request_id": "1" * 64}, "annotations": [said]}]))
    (one,) = read_written(tmp_path / "file")
    assert (len(one.turns), one.note) == (turns, "" if turns else "a reviewer has rejected it")


@pytest.mark.parametrize(("bad", "said"), BAD_ROWS + BAD_TASKS)
def test_an_entry_that_cannot_be_read_costs_no_other(tmp_path, bad, said):
    first, wrong, last = "1" * 64, bad.replace("{id}", "2" * 64), "3" * 64
    if bad.startswith("{id}"):
        text = f"{HEADER}{first},q,first\n{wrong}\n{last},q,last\n"
    else:
        good = [json.dumps({"request_id": name, "question_1": "q", "response_1": name[0]}) for name in (first, last)]
        text = f"[{good[0]}, {wrong}, {good[1]}]"
    (tmp_path / "file").write_text(text)
    before, faulty, after = read_written(tmp_path / "file")
    assert (before.request_id, after.request_id) == (first, last)
    assert all(len(one.turns) == 1 and not one.fault for one in (before, after))
    assert (faulty.turns, faulty.where.endswith(" 2" if "{id}" not in bad[:4] else " 3")) == ((), True)
    assert said in faulty.fault


def test_wherever_a_table_or_export_is_cut_no_entry_is_made_up_and_the_cut_is_said(tmp_path):
    names = [str(number) * 64 for number in range(3)]
    table = HEADER + "".join(f'{name},"What, ""now""?","two\nlines"\n' for name in names)
    export = json.dumps([{"request_id": name, "question_1": "q", "response_1": "r"} for name in names])
    for text in (table, export):
        (tmp_path / "file").write_text(text)
        whole = {one.request_id: one.turns for one in read_written(tmp_path / "file")}
        for length in range(len(text) // 2, len(text)):
            (tmp_path / "file").write_text(text[:length])
            read = read_written(tmp_path / "file")
            for one in read:  # without a response nothing is booked
                assert one.fault or one.turns == whole[one.request_id] or not any(turn.response for turn in one.turns)
            assert text is table or read[-1].fault


def test_one_entry_that_cannot_be_read_is_counted_and_the_others_are_booked(project):
    identified = project.identify(project.request(1), project.request(2))
    table = project.hand_out(identified).tasks.table
    file = fill_in(table, one_turn("Blue."))
    file.write_text(file.read_text().replace("Blue.", 'Blue.","","","one cell too many', 1))
    result = project.take_in(file)
    assert counts(result) == {"imported": 1, "unreadable": 1}
    assert [(one.where, one.verdict) for one in result.entries] == [("row 2", "unreadable"), ("row 3", "imported")]
    assert result.still_out == 1


def test_a_table_in_another_encoding_gives_the_rows_that_are_the_same_in_it(project):
    identified = project.identify(project.request(1), project.request(2))
    file = fill_in(project.hand_out(identified).tasks.table, one_turn("Blue."))
    text = file.read_bytes().decode("utf-8-sig").replace("Blue.", "Caf\u00e9.", 1)
    file.write_bytes(text.encode("latin-1"))
    result = project.take_in(file)
    assert counts(result) == {"imported": 1, "not_text": 1}
    assert "is the file UTF-8?" in next(one.detail for one in result.entries if one.reason == "not_text")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(WrittenFileError, match="cannot be read: No such file"):
        read_written(tmp_path / "none.csv")
