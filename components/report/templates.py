"""The templates of this folder; what they are given is escaped, and a name that is not given is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.report.number_text import duration


def template_environment() -> Environment:
    """Jinja as all pages use it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment
