"""The words in which a refusal begins, of every language in which answers are asked for."""

# ruff: noqa: RUF001 -- these are the letters

# Of each language: how regret begins, and what its writer cannot do. Of Danish and Norwegian, of Czech and Slovak, of
# Indonesian and Malay together.
REGRETS: dict[str, tuple[str, str]] = {
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
# What a text that agrees first begins with, and how it goes on.
AGREES = (
    r"sure|certainly|of course|absolutely|okay|ok|yes|hello|hi|thanks?|thank you|great question|"
    r"gerne?|natürlich|klar|selbstverständlich|ja|hallo|danke|bien sûr|d'accord|oui|bonjour|merci|claro|por supuesto|"
    r"sí|hola|gracias|com certeza|sim|olá|obrigad[oa]|certo|certamente|ciao|grazie|natuurlijk|"
    r"bedankt|självklart|hej|tack|"
    r"selvfølgelig|oczywiście|dziękuję|jistě|samozřejmě|dobrý den|persze|természetesen|desigur|sigur|tietysti|kiitos|"
    r"tabii|elbette|merhaba|chắc chắn|vâng|dạ|cảm ơn|tentu|baik|terima kasih|конечно|спасибо|звичайно|дякую|разбира се|"
    r"βεβαίως|φυσικά|当然|好的|您好|你好|谢谢|もちろん(?:です)?|はい|ありがとうございます|물론(?:입니다)?|네|안녕하세요|"
    r"بالطبع|بالتأكيد|مرحبا|البته|سلام|כמובן|שלום|ज़रूर|बिल्कुल|नमस्ते|แน่นอน|ได้เลย|สวัสดี"
)
_BUT_WORDS = (
    r"but|however|still|aber|jedoch|allerdings|mais|cependant|toutefois|pero|sin embargo|mas|porém|no entanto|ma|"
    r"tuttavia|"
    r"maar|echter|men|ale|jednak|avšak|de|azonban|dar|însă|mutta|ama|fakat|ancak|nhưng|tuy nhiên|tapi|namun|tetapi|но|"
    r"однако|але|проте|обаче|αλλά|ωστόσο|하지만|그러나|لكن|ولكن|اما|ولی|אבל|אך|लेकिन|परंतु"
)
BUT = rf"(?:(?:{_BUT_WORDS})\b|但是?|不过|不過|しかし|ですが|แต่)"
# Of each language, where nothing is regretted: how its writer says "I cannot", and what beside it tells that this is of
# the request.
HELPS: dict[str, tuple[str, str]] = {
    "de": (r"ich (?:kann|darf|werde)\b.{0,40}\bnicht", r"helfen|behilflich|unterstützen|nachkommen|(?:bild|foto)\w*"),
    "fr": (r"je ne (?:peux|suis|pourrai|puis)\b", r"aider|assister|répondre|cette (?:image|photo)"),
    "es": (r"no (?:puedo|soy capaz|podré)\b", r"ayudar\w*|asistir\w*|est[ae] (?:imagen|foto)"),
    "pt": (r"(?:eu )?não (?:posso|consigo|poderei)\b", r"ajudar|auxiliar|est[ae] (?:imagem|foto)"),
    "it": (r"non (?:posso|sono in grado|riesco)\b", r"aiutar\w*|assister\w*|quest[ao] (?:immagine|foto)"),
    "nl": (r"ik kan\b.{0,40}\bniet", r"helpen|deze (?:afbeelding|foto)"),
    "sv": (r"jag kan inte\b", r"hjälpa|den här bilden"),
    "da": (r"jeg kan ikke\b", r"hjelpe|hjælpe|dette bildet|dette billede"),
    "pl": (r"nie (?:mogę|jestem w stanie|potrafię)\b", r"pomóc|tego (?:obrazu|zdjęcia)"),
    "cs": (r"nem(?:ohu|ůžu|ôžem)\b", r"pomoci|pomoct|pomôcť"),
    "hu": (r"nem (?:tudok|áll módomban|segíthetek)\b", r"segíteni|segíthetek"),
    "ro": (r"nu (?:pot|sunt în măsură)\b", r"ajuta"),
    "fi": (r"en (?:voi|pysty|osaa)\b", r"auttaa"),
    "tr": (r"olamam|olamıyorum|edemem", r"yardım(?:cı)?"),
    "vi": (r"(?:tôi|mình|em) (?:rất tiếc )?không thể", r"giúp|hỗ trợ|(?:hình|bức) ảnh này"),
    "id": (r"(?:saya|aku) (?:tidak|tak) (?:dapat|bisa|boleh|mampu)\b", r"membantu|gambar ini"),
    "ru": (r"я не (?:могу|смогу|в состоянии)\b", r"помочь|это изображение"),
    "uk": (r"я не (?:можу|зможу|в змозі)\b", r"допомогти|це зображення"),
    "bg": (r"не мога\b", r"(?:да )?помогна"),
    "el": (r"δεν μπορώ\b", r"βοηθήσω"),
    "zh": (r"我.{0,4}(?:无法|無法|不能|没办法|沒辦法)", r"帮助|幫助|协助|協助|这张图|這張圖|[图圖]片|图像|圖像"),
    "ja": (r"できません|できかね|しかねます", r"リクエスト|ご要望|お手伝い|お応え|お答え|画像を(?:見|表示|確認|分析)"),
    "ko": (r"수 없|못합니다|어렵습니다", r"도와|도움을"),
    "ar": (r"(?:أنا )?(?:لا أستطيع|لا استطيع|لا يمكنني|غير قادر)", r"مساعد|هذه الصورة"),
    "fa": (r"(?:من )?نمی\u200c?\s?توانم", r"کمک"),
    "he": (r"אני לא (?:יכול|מסוגל)", r"לעזור|לסייע|התמונה"),
    "hi": (r"नहीं कर सक", r"मैं .{0,30}मदद"),
    "th": (r"(?:ฉัน|ผม|ดิฉัน|เรา)ไม่สามารถ", r"ช่วย|ภาพนี้"),
}
