"""What people are told: the rules of one instruction, the form in Label Studio, the README beside the files."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from components.instructions.people.files import (
    CONFIG_FILE,
    IMAGES_FOLDER,
    LABEL_STUDIO_FILE,
    TABLE_FILE,
    question_field,
    response_field,
)
from components.instructions.prompts import Prompt, PromptTemplate

_README = """\
What to do
==========

{count:,} instructions are to be written: for every image the questions and responses that its instructions ask for.
Where the instructions speak of JSON or of another form, ignore that: write into the fields, the form is made of them.
Use one of the two ways below. Every response is checked when it is read in, and one that breaks a rule can be
corrected and read in again.

With Label Studio
-----------------

1. Start it so that it may show the images. FOLDER_ABOVE is the folder that this folder, {folder}, lies in; the name of
   this folder must stay as it is.

     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=FOLDER_ABOVE label-studio start

2. Make a project. Paste {config} into Settings > Labeling Interface > Code.
3. Settings > Cloud Storage > Add Source Storage > Local files; Absolute local path: FOLDER_ABOVE/{folder}/{images}
   Save it and do not synchronize it: it only gives the project the right to show the images.
4. Import {label_studio}, and write.
5. Export as JSON (or JSON-MIN), and give that file back: `presel annotate import FILE`

With a spreadsheet
------------------

1. Open {table} (UTF-8, commas between the cells). The column `image` names the image of a row.
2. Fill in question_1, response_1, question_2, ... from the left; leave what is not needed empty. A question that is
   there already is the one to answer: leave it as it is. Leave the other columns as they are.
3. A text that begins with = + - or @ needs an apostrophe ' before it; without one a spreadsheet takes it for a formula.
4. Save it as "CSV UTF-8", and give it back: `presel annotate import FILE`
"""


def person_instructions(prompt: Prompt) -> str:
    """What a person is told about an image: all that a model would be told."""
    return "\n\n".join(text for text in (prompt.system, prompt.user) if text)


def person_rules(template: PromptTemplate) -> str:
    """The rules that an instruction is checked against, in words."""
    turns, words = template.turns, template.response_words
    if template.writes == "response":
        form = "Write one response to the question."
    else:
        form = f"Write {turns.at_least} to {turns.at_most} questions, each with its response."
    length = f"A response has {words.at_least} to {words.at_most} words."
    language = "" if template.language == "any" else f" Language: {template.language}."
    return f"{form} {length}{language}"


def readme_text(*, folder: str, count: int) -> str:
    """The README of a hand-out.

    Args:
        folder: name of the folder.
        count: instructions to be written.
    """
    return _README.format(
        folder=folder,
        count=count,
        config=CONFIG_FILE,
        images=IMAGES_FOLDER,
        label_studio=LABEL_STUDIO_FILE,
        table=TABLE_FILE,
    )


def labeling_config(templates: Sequence[PromptTemplate]) -> str:
    """The form in Label Studio: the image, what is asked, and fields for as many turns as a template allows.

    Args:
        templates: of the requests that are handed out together.
    """
    view = Element("View")
    # Label Studio joins lines otherwise.
    SubElement(view, "Style").text = ".htx-text{ white-space: pre-wrap; }"
    SubElement(view, "Image", name="image", value="$image", zoom="true", zoomControl="true")
    SubElement(view, "Header", value="$task", size="4")
    SubElement(view, "Text", name="instructions", value="$instructions")
    SubElement(view, "Header", value="$rules", size="5")
    gives_question = any(template.questions for template in templates)
    if gives_question:
        SubElement(view, "Header", value="$question", size="4")
    asks_question = any(not template.questions for template in templates)
    for turn in range(1, most_turns(templates) + 1):
        if asks_question:
            prefilled = {"value": "$question"} if gives_question and turn == 1 else {}
            _text_area(view, question_field(turn), f"Question {turn}", rows="2", **prefilled)
        _text_area(view, response_field(turn), f"Response {turn}", rows="4")
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def most_turns(templates: Sequence[PromptTemplate]) -> int:
    """Turns of the longest conversation that is allowed, at least 1."""
    return max((template.turns.at_most for template in templates), default=1)


def _text_area(view: Element, name: str, label: str, **more: str) -> None:
    SubElement(view, "Header", value=label, size="6")
    attributes = {"name": name, "toName": "image", "maxSubmissions": "1", "editable": "true"}
    # Without the button the text is taken when the task is submitted.
    SubElement(view, "TextArea", {**attributes, "showSubmitButton": "false", **more})
