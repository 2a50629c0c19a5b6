"""A refusal is known in every language in which answers are asked for; what only sounds like one is kept."""

# ruff: noqa: RUF001 -- these are the letters

import pytest

from components.instructions.replies.refusals import refuses

REFUSALS = [
    "I\u2019m unable to help with that.",
    "I'm not able to identify people in images.",
    "As a language model, I cannot see images.",
    "Sorry \u2014 I can't help with that.",
    "Apologies, but I cannot help.",
    "I'm afraid I can't do that.",
    "No image was provided.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Leider kann ich dieses Bild nicht beschreiben.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Het spijt me, maar daar kan ik niet bij helpen.",
    "Jag är ledsen, men jag kan inte hjälpa till.",
    "Beklager, men jeg kan ikke hjelpe med det.",
    "Przepraszam, ale nie mogę w tym pomóc.",
    "Omlouvám se, ale s tím nemohu pomoci.",
    "Sajnálom, de ebben nem tudok segíteni.",
    "Îmi pare rău, dar nu pot ajuta.",
    "Valitettavasti en voi auttaa.",
    "Üzgünüm, bu konuda yardımcı olamam.",
    "Xin lỗi, tôi không thể giúp với yêu cầu này.",
    "Maaf, saya tidak dapat membantu.",
    "Извините, но я не могу помочь с этим.",
    "Вибачте, я не можу допомогти.",
    "Съжалявам, но не мога да помогна.",
    "Λυπάμαι, αλλά δεν μπορώ να βοηθήσω.",
    "抱歉，我无法协助完成此请求。",
    "对不起，我不能提供帮助。",
    "申し訳ありませんが、そのリクエストにはお応えできません。",
    "죄송하지만 도와드릴 수 없습니다.",
    "عذراً، لا أستطيع المساعدة في ذلك.",
    "متأسفم، نمی\u200cتوانم کمک کنم.",
    "אני מצטער, אבל אני לא יכול לעזור.",
    "क्षमा करें, मैं इसमें मदद नहीं कर सकता।",
    "ขออภัย ฉันไม่สามารถช่วยได้",
]
ANSWERS = [
    "Sorry, we are closed until Monday is what the sign says.",
    "Sorry! is the name of the board game on the table.",
    "I'm sorry you feel that way, says the card in large letters.",
    "I can't see a dog; there is a cat.",
    "I cannot tell how many windows there are, but three are visible.",
    "Unfortunately, I can only make out the first three letters: STO.",
    "As an AI-generated picture, it shows a robot.",
    "The woman says that she cannot help.",
    "Leider geschlossen steht auf dem Schild.",
    "Lo siento es lo que dice la tarjeta.",
    "抱歉两个字写在牌子上。",
    "すみませんと書かれた札があります。",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_known_in_every_language(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_what_only_sounds_like_a_refusal_is_an_answer(text: str) -> None:
    assert not refuses(text)
