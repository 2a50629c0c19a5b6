"""Which language a text is in, told from its letters by py3langid."""

from functools import lru_cache
from typing import Any

# Below this, names and numbers weigh more than words.
_FEWEST_LETTERS = 40
_SURE = 0.9

# ISO 639-1, of languages that differ enough to be told apart from a few sentences.
LANGUAGES = frozenset(
    code
    for group in (
        ("ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu"),
        ("id", "it", "ja", "ko", "lt", "lv", "mr", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv"),
        ("sw", "ta", "te", "th", "tr", "uk", "ur", "vi", "zh"),
    )
    for code in group
)


def other_language(text: str, *, wanted: str) -> str | None:
    """Find out whether a text is in another language than wanted.

    Args:
        text: some sentences.
        wanted: ISO 639-1 code, or `any`.

    Returns:
        The code of the language it is surely in, when that is not the wanted one; None when it is, when the text is
        too short to say, or when nobody asked.
    """
    if wanted == "any" or sum(letter.isalpha() for letter in text) < _FEWEST_LETTERS:
        return None
    code, probability = _identifier().classify(text)
    return str(code) if code != wanted and probability >= _SURE else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(LANGUAGES))
    return identifier
