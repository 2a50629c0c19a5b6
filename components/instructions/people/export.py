"""Writes requests into a folder that people can work in, with Label Studio or with a spreadsheet."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from components.compute.progress import Progress, no_progress
from components.instructions.chat import prompt_of
from components.instructions.images_away import MissingImageRun
from components.instructions.people.files import (
    CONFIG_FILE,
    IMAGES_FOLDER,
    LABEL_STUDIO_FILE,
    README_FILE,
    TABLE_FILE,
    guarded_cell,
    question_field,
    response_field,
)
from components.instructions.people.guide import (
    labeling_config,
    most_turns,
    person_instructions,
    person_rules,
    readme_text,
)
from components.instructions.prompts import template_of_identity
from components.instructions.request import IdentifiedRequest, InstructionRequest
from components.instructions.sent_image import ImageUnavailableError, decode_sent_image
from components.output_folder import check_output_folder
from components.pool.images import ImageError
from components.pool.samples import Dropped
from components.storage import write_bytes, write_json, write_text

# What every browser shows, by Pillow's name; anything else is written as PNG. An MPO file begins with a whole JPEG.
_SUFFIXES = {"AVIF": "avif", "BMP": "bmp", "GIF": "gif", "JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ExportedTasks:
    """A folder that people can work in.

    Attributes:
        label_studio: tasks to import into Label Studio.
        config: Label Studio's form for them.
        table: the same tasks as a CSV, to be filled in.
        count: tasks.
        dropped: samples whose image shows nothing, for good; they are in neither file.
        left_out: samples whose image cannot be had as things are; they are in neither file, and of a later one.
    """

    label_studio: Path
    config: Path
    table: Path
    count: int
    dropped: tuple[Dropped, ...]
    left_out: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class _Task:
    identified: IdentifiedRequest
    image: str  # relative to the folder


def export_for_people(
    requests: Sequence[IdentifiedRequest],
    target: Path,
    *,
    pixel_limit: int,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> ExportedTasks:
    """Write what people need to write instructions; nothing is recorded (see `people.hand_out`).

    Images are copied, as they are when a browser shows their format, as PNG otherwise. `label_studio.json` refers to
    them as `/data/local-files/?d=FOLDER/images/...`: Label Studio serves that path when it runs with
    `LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true` and `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` set to the folder above
    `target`, and the project has a source storage of type Local files for `target/images`, which need not be
    synchronized. The README beside it says so too.

    Args:
        requests: with distinct ids.
        target: folder to write; must be empty or new unless `overwrite`.
        pixel_limit: pixels above which an image is not decoded.
        overwrite: write into a folder that holds something already; files of the same name are replaced, a table that
            was filled in too, others stay.
        progress: told about images.

    Returns:
        What was written.

    Raises:
        OutputFolderError: the folder cannot be written as asked.
        ImagesAwayError: many images in a row cannot be had.
        PromptError: a request carries no template.
    """
    check_output_folder(target, overwrite=overwrite)
    tasks: list[_Task] = []
    dropped: list[Dropped] = []
    left_out: list[Dropped] = []
    images = MissingImageRun()
    for number, identified in enumerate(requests, start=1):
        try:
            data, suffix = _shown_image(identified.request, pixel_limit=pixel_limit)
        except ImageUnavailableError as error:
            left_out.append(Dropped(identified.request.sample_id, error.reason, error.detail))
            images.unavailable(identified.request.uri, error)
        except ImageError as error:
            dropped.append(Dropped(identified.request.sample_id, error.reason, error.detail))
        else:
            images.available()
            image = f"{IMAGES_FOLDER}/{identified.request_id[:_ID_DIGITS]}.{suffix}"
            write_bytes(target / image, data)
            tasks.append(_Task(identified, image))
        progress(number, len(requests))
    folder = target.resolve().name
    identities = sorted({task.identified.specification.prompt_template for task in tasks})
    templates = [template_of_identity(identity) for identity in identities]
    write_text(target / README_FILE, readme_text(folder=folder, count=len(tasks)))
    write_text(target / CONFIG_FILE, labeling_config(templates))
    write_bytes(target / TABLE_FILE, _table(tasks, most_turns(templates)).encode("utf-8-sig"))
    write_json(target / LABEL_STUDIO_FILE, [_label_studio_task(task, folder) for task in tasks])
    return ExportedTasks(
        label_studio=target / LABEL_STUDIO_FILE,
        config=target / CONFIG_FILE,
        table=target / TABLE_FILE,
        count=len(tasks),
        dropped=tuple(dropped),
        left_out=tuple(left_out),
    )


def _shown_image(request: InstructionRequest, *, pixel_limit: int) -> tuple[bytes, str]:
    data, decoded = decode_sent_image(request.uri, image_sha=request.image_sha, pixel_limit=pixel_limit)
    if decoded.format in _SUFFIXES:
        return data, _SUFFIXES[decoded.format]
    buffer = io.BytesIO()
    decoded.image.save(buffer, format="PNG")
    return buffer.getvalue(), "png"


def _label_studio_task(task: _Task, folder: str) -> dict[str, object]:
    template, prompt = prompt_of(task.identified)
    data = {
        "image": f"/data/local-files/?d={quote(f'{folder}/{task.image}')}",
        "request_id": task.identified.request_id,
        "sample_id": task.identified.request.sample_id,
        "task": task.identified.request.task,
        "instructions": person_instructions(prompt),
        "rules": person_rules(template),
        "question": prompt.question,
    }
    return {"data": data}


def _table(tasks: Sequence[_Task], turns: int) -> str:
    """The table to fill in; with a byte order mark a spreadsheet knows that it is UTF-8."""
    fields = [name for turn in range(1, turns + 1) for name in (question_field(turn), response_field(turn))]
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["request_id", "sample_id", "task", "image", "instructions", "rules", *fields])
    for task in tasks:
        template, prompt = prompt_of(task.identified)
        request = task.identified.request
        told = (person_instructions(prompt), person_rules(template))
        cells = [task.identified.request_id, request.sample_id, request.task, task.image, *told, prompt.question]
        writer.writerow([guarded_cell(cell) for cell in cells] + [""] * (len(fields) - 1))
    return text.getvalue()
