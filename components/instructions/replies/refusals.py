"""How models say in words that they do not answer, in the languages in which answers are asked for.

A text refuses when it begins by regretting something and goes on with what its writer cannot do. Regret alone is what a
sign may say, and not being able to see one thing is an answer.
"""

# ruff: noqa: RUF001 -- these are the letters

import re

# Of each language: how regret begins, and what its writer cannot do. Of Danish and Norwegian, of Czech and Slovak, of
# Indonesian and Malay together.
_REGRETS: dict[str, tuple[str, str]] = {
    "en": (
        r"i(?:'m| am) (?:so |very |truly )?sorry|sorry|(?:my )?apologies|i apologi[sz]e|"
        r"unfortunately|i(?:'m| am) afraid|i regret|as an ai\b(?!-)|as a (?:\w+ )?language model|"
        r"as a text.based",
        r"\bi(?:'m| am)? (?:can(?:'t|not| not)\b|unable|not able|not capable|won't|will not|do(?:n't|"
        r" not)\b|must decline|have to decline|have no\b)|"
        r"\bnot possible for me|\bagainst my\b",
    ),
    "de": (
        r"(?:es )?tut mir (?:sehr )?leid|leider|entschuldig\w*|ich bedau(?:e)?re|verzeihung",
        r"\b(?:ich (?:kann|darf|werde|konnte)|(?:kann|darf|werde|konnte) ich)\b.{0,80}\b(?:nicht|kein\w*)\b|"
        r"nicht (?:in der lage|möglich)",
    ),
    "fr": (
        r"je suis (?:vraiment |sincèrement )?désolée?|désolée?|malheureusement|je m'excuse|"
        r"je regrette|excusez",
        r"\bje ne (?:peux|suis|pourrai|puis)\b|pas en mesure|il m'est impossible",
    ),
    "es": (
        r"lo siento|lamentablemente|disculp\w+|perdón|lamento",
        r"\bno (?:puedo|soy capaz|me es posible|podré)\b",
    ),
    "pt": (
        r"desculp\w+|sinto muito|lamento|infelizmente|peço desculpas?|me desculpe",
        r"\bnão (?:posso|consigo|sou capaz|é possível|poderei)\b",
    ),
    "it": (
        r"mi dispiace|mi scuso|spiacente|purtroppo|scusa\w*",
        r"\bnon (?:posso|sono in grado|riesco|mi è possibile)\b",
    ),
    "nl": (
        r"het spijt me|sorry|helaas|excuses|mijn excuses",
        r"\b(?:ik kan|kan ik)\b.{0,80}\b(?:niet|geen)\b|niet in staat|niet mogelijk",
    ),
    "sv": (
        r"jag är ledsen|tyvärr|förlåt|jag beklagar",
        r"\b(?:jag kan|kan jag)\b.{0,80}\b(?:inte|ingen|inga)\b",
    ),
    "da": (
        r"(?:jeg )?beklager|undskyld|desværre|dessverre|unnskyld|jeg er ked af",
        r"\b(?:jeg kan|kan jeg)\b.{0,80}\b(?:ikke|ingen)\b",
    ),
    "pl": (
        r"(?:bardzo )?przepraszam|przykro mi|niestety",
        r"\bnie (?:mogę|jestem w stanie|potrafię)\b",
    ),
    "cs": (
        r"omlouvám se|promiňte|bohužel|je mi líto|ospravedlňujem|prepáčte",
        r"\bnem(?:ohu|ůžu|ôžem)\b|nejsem schop",
    ),
    "hu": (
        r"sajnálom|sajnos|elnézést",
        r"\bnem (?:tudok|tudom|áll módomban|segíthetek)\b",
    ),
    "ro": (
        r"îmi pare rău|din păcate|scuze",
        r"\bnu (?:pot|sunt în măsură)\b",
    ),
    "fi": (
        r"valitettavasti|olen pahoillani|pahoittelen|anteeksi",
        r"\ben (?:voi|pysty|osaa)\b",
    ),
    "tr": (
        r"(?:çok )?üzgünüm|maalesef|özür dilerim|ne yazık ki",
        r"olamam|olamıyorum|yapamam|edemem|göremiyorum|veremem|mümkün değil",
    ),
    "vi": (
        r"(?:tôi )?(?:rất )?(?:xin lỗi|lấy làm tiếc|tiếc)",
        r"không thể",
    ),
    "id": (
        r"(?:mohon )?maaf|saya minta maaf",
        r"\b(?:tidak|tak) (?:dapat|bisa|boleh|mampu)\b",
    ),
    "ru": (
        r"извин\w+|прости\w*|к сожалению|(?:мне )?(?:очень )?жаль|сожалею|приношу извинения",
        r"\bне (?:могу|способ\w+|в состоянии|имею возможности|смогу)\b",
    ),
    "uk": (
        r"вибач\w*|на жаль|перепрошую|мені шкода",
        r"\bне (?:можу|в змозі|зможу)\b",
    ),
    "bg": (
        r"съжалявам|за съжаление|извин\w+",
        r"\bне (?:мога|съм в състояние)\b",
    ),
    "el": (
        r"λυπάμαι|συγγνώμη|δυστυχώς|ζητώ συγγνώμη",
        r"\bδεν (?:μπορώ|είμαι σε θέση)\b",
    ),
    "zh": (
        r"(?:我?(?:很|非常|十分)?)?(?:抱歉|对不起|對不起|遗憾|遺憾|不好意思)",
        r"无法|無法|不能|没办法|沒辦法|没有能力|不便",
    ),
    "ja": (
        r"(?:大変|誠に)?(?:申し訳|すみません|恐れ入りますが|ごめんなさい|残念ながら|恐縮ですが)",
        r"できません|できかね|しかねます|いたしかね|お応え|お答えでき|できない",
    ),
    "ko": (
        r"(?:정말 )?(?:죄송|미안|유감|안타깝)",
        r"수 없|없습니다|못합니다|어렵습니다|불가능",
    ),
    "ar": (
        r"(?:أنا )?(?:عذر|آسف|اسف|أعتذر|للأسف|معذرة)",
        r"لا أستطيع|لا استطيع|لا يمكنني|غير قادر|لن أتمكن",
    ),
    "fa": (
        r"متأسف|متاسف|ببخشید|معذرت",
        r"نمی\u200c?\s?توانم|قادر نیستم",
    ),
    "he": (
        r"(?:אני )?(?:מצטער|סליחה|לצערי|מתנצל)",
        r"לא (?:יכול|מסוגל|ניתן|אוכל)",
    ),
    "hi": (
        r"(?:मुझे )?(?:क्षमा|माफ़|माफ|खेद|मुझे खेद)",
        r"नहीं कर सक|असमर्थ|मदद नहीं|नहीं दे सक",
    ),
    "th": (
        r"ขออภัย|ขอโทษ|เสียใจ",
        r"ไม่สามารถ",
    ),
}
_WITHIN = 120  # characters from the regret to what cannot be done
_LOOKED_AT = 400  # characters
_PICTURE = r"(?:the|this|that|any|your|an)?\s*(?:\w+\s+)?(?:image|picture|photo|file|attachment)s?\b"
# Without regret: what nobody says of a thing in an image.
_PLAIN = (
    r"i(?:'m| am) sorry,? but\b",
    r"i must decline",
    r"i do(?:n't| not) see any (?:image|picture|photo)",
    r"no (?:image|picture|photo) (?:was|is) (?:provided|attached)",
    r"i(?:'m| am)? (?:can(?:'t|not| not)|unable to|not able to|won't|will not)\s+(?:\w+\s+)?(?:help|"
    r"assist|comply|fulfil\w*|"
    rf"provide|process|analy[sz]e|answer|identify|describe|(?:see|view) {_PICTURE})",
)
_REFUSAL = re.compile(
    r"^\W*(?:"
    + "|".join((*_PLAIN, *(rf"(?:{regret}).{{0,{_WITHIN}}}?(?:{cannot})" for regret, cannot in _REGRETS.values())))
    + ")",
    re.IGNORECASE | re.DOTALL,
)
# A text that begins with what it quotes: words of the image, and no refusal, whatever they are.
_QUOTES = re.compile(r"""^\s*(?:"[^"]*"|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb|\u201e[^\u201c]*\u201c)\W*\w""")


def refuses(text: str) -> bool:
    """Whether a text is a refusal.

    Args:
        text: of a response; only its beginning is looked at, because a sign in an image may well say "sorry".
    """
    return _REFUSAL.match(text[:_LOOKED_AT].replace("\u2019", "'")) is not None and _QUOTES.match(text) is None
