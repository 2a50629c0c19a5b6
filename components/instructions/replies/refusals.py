"""How models say in words that they do not answer.

A text refuses when it begins by regretting something and goes on with what its writer cannot do, or when a sentence
near its beginning says that its writer cannot do what was asked: help, answer, look at the image. Regret alone is what
a sign may say, and not being able to see one thing is an answer.
"""

# ruff: noqa: RUF001 -- these are the letters

import re

from components.instructions.replies.refusal_words import AGREES, BUT, HELPS, REGRETS

_WITHIN = 120  # characters from the regret to what cannot be done
_CANNOT_WITHIN, _HELP_WITHIN = 40, 80  # from the beginning, without regret
_LOOKED_AT = 400  # characters
_PICTURE = (
    r"(?:(?:the|this|that|any|your|an|these|those)\s+)?(?:\w+\s+)?"
    r"(?:image|picture|photo|photograph|file|attachment|link|url)s?\b(?!\s+(?:on|above|behind|below|beside|hanging)\b)"
)
_I_CANNOT = (
    r"i(?:'m| am)? (?:can(?:'t|not| not)|unable to|not able to|not capable of|won't|will not|not (?:allowed|permitted|"
    r"designed|programmed|equipped) to|do(?:n't| not) have the (?:ability|capability|capacity|means|tools) to|"
    r"lack the (?:ability|capability) to|could(?:n't| not))\s+(?:\w+ly\s+)?"
)
_THING = r"(?:(?:any|a|an|the|that|this|such|your|more|further|detailed|specific|kind of|type of)\s+)*"
# What nobody says of a thing in an image, wherever it stands.
_ASKED = (
    r"(?:help(?:ing)?|assist(?:ing)?)(?:\s+you)?(?:\s+(?:with|in|on|here|further)\b|\s*[.,;!?]|\s*$)|comply|"
    r"fulfil\w*|engage (?:in|with)|do (?:that|this|so)\b|(?:respond to|answer) (?:this|that|your)\b|participate|"
    rf"(?:provide|give|offer|generate|create|produce|write)\s+{_THING}(?:assistance|help|information|description|"
    r"answer|response|analysis|identification|content|conversation|caption|instruction)s?\b|"
    r"(?:directly )?(?:see|view|open|access|load|display|analy[sz]e|process|describe|interpret|examine|inspect|"
    rf"look at)\w*\s+{_PICTURE}"
)
_DECLINES = (
    r"i (?:must|have to|need to|will have to) (?:respectfully |politely )?(?:decline|refuse)\b|"
    r"i(?:'m| am) not comfortable\b|i(?:'d| would) (?:rather|prefer) not\b|i do(?:n't| not) feel comfortable\b"
)
_NO_IMAGE = (
    r"(?:it (?:seems|looks like|appears)(?: that| as if| as though)? )?(?:"
    r"(?:there(?:'s| is| was| seems to be| appears to be) )?no (?:image|picture|photo) "
    r"(?:was |is |has been )?(?:provided|attached|uploaded|included|shared|available)|"
    r"(?:the|your) (?:image|picture|photo)(?: file)? (?:did(?:n't| not) (?:load|come through|upload|attach)|"
    r"(?:failed|seems to have failed) to (?:load|upload)|"
    r"(?:was|is|has)(?:n't| not) (?:been )?"
    r"(?:attached|uploaded|provided|included|loaded|loading)|could not be loaded|"
    r"(?:is|seems to be|appears to be) missing\b(?!\s+\w))|"
    r"you (?:haven't|have not|did not|didn't|forgot to) (?:provided?|attach(?:ed)?|upload(?:ed)?|shared?|included?) "
    r"(?:the|an|any|your) "
    r"(?:image|picture|photo))|"
    r"(?:please|could you(?: please)?) (?:re-?)?(?:upload|provide|share|attach|send) (?:the|an|your) "
    r"(?:image|picture|photo)\b|i do(?:n't| not) see (?:any|an|the) (?:image|picture|photo)\b(?! (?:of|on)\b)"
)
# Of a text that begins so alone, as more may follow in an answer.
_AT_FIRST = (
    r"i(?:'m| am) sorry,? but\b",
    _NO_IMAGE,
    rf"{_I_CANNOT}(?:identify|recogni[sz]e|name|determine)\s+(?:\w+\s+)?"
    r"(?:people|persons?|individuals?|who|anyone|faces?|someone|celebrit\w+)\b",
)
_OPENING = rf"^\W*(?:(?:{AGREES})\b[^.!?。！,，]{{0,40}}(?:[.!?。！,，:]\s*|\s+(?={BUT})))?(?:{BUT}\W*)?"
_REFUSAL = re.compile(
    _OPENING
    + "(?:"
    + "|".join(
        (
            *_AT_FIRST,
            *(rf"(?:{regret}).{{0,{_WITHIN}}}?(?:{cannot})" for regret, cannot in REGRETS.values()),
            *(
                rf"(?=[^.:。：]{{0,{_CANNOT_WITHIN}}}?(?:{cannot}))(?=[^.:。：]{{0,{_HELP_WITHIN}}}?(?:{helping}))"
                for cannot, helping in HELPS.values()
            ),
        )
    )
    + ")",
    re.IGNORECASE | re.DOTALL,
)
# Where a sentence of the writer's own begins, and what of it refuses whatever has been said before.
_SAID = re.compile(
    r"(?:^\W*|[.!?\n\u2013\u2014]\s*|\b(?:but|however|unfortunately|so|and|although|though|because|"
    r"as an ai[^.!?]{0,40}),?\s+)"
    rf"(?:{_I_CANNOT}(?:{_ASKED})|{_DECLINES})",
    re.IGNORECASE,
)
# Words of the image are quoted, and refuse nothing. A text that begins with a quotation and goes on is about it.
_QUOTATION = r"""(?:"[^"]*"|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb|\u201e[^\u201c]*\u201c)"""
_QUOTED = re.compile(_QUOTATION)
_QUOTES = re.compile(rf"^\s*{_QUOTATION}\W*\w")


def refuses(text: str) -> bool:
    """Whether a text is a refusal.

    Args:
        text: of a response; only its beginning is looked at, because a sign in an image may well say "sorry".
    """
    beginning = text[:_LOOKED_AT].replace("\u2019", "'")
    if _QUOTES.match(beginning):
        return False
    return _REFUSAL.match(beginning) is not None or _SAID.search(_said_itself(beginning)) is not None


def _said_itself(text: str) -> str:
    """A text without what it quotes, unless it is a quotation as a whole."""
    rest = _QUOTED.sub("", text)
    return rest if re.search(r"\w", rest) else text.replace('"', "")
