"""Reads a page as a browser would, strictly: tags must balance."""

import json
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "img", "hr", "input", "base", "col", "wbr"}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        text: all text outside of scripts and styles.
        attributes: every (tag, attribute, value).
        scripts: contents of the scripts in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> at {self.getpos()} closes nothing"
        assert self._open[-1] == tag, f"</{tag}> at {self.getpos()} closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" not in self._open:
            self.text += data + " "

    def values(self, name: str) -> list[str]:
        """Every value of one attribute."""
        return [value for _, attribute, value in self.attributes if attribute == name]

    def words(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())

    def map_data(self) -> dict[str, list[Any]]:
        """What the map's script reads."""
        data: dict[str, list[Any]] = json.loads(next(script for script in self.scripts if script.startswith('{"ids"')))
        return data
