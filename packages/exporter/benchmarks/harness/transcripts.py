"""The input of all contenders: transcripts, always the same, made as they are read."""

import random
import re
from collections.abc import Iterator

WORDS = "the quick brown fox jumps over the lazy dog and says what everybody knew".split()  # noqa: SIM905  words
# all of them fill one line on paper and a part of the second, as sentences of speech do
SCRIPTS = {
    "plain": "the quick brown fox jumps over the lazy dog and says what everybody "
    "knew before it went to sleep in the shadow of the hill",
    "Chinese": "会议记录显示团队已经完成了第一阶段的工作并且计划在下个月开始"
    "测试新的系统功能模块所有成员都同意了这个安排",
    "Japanese": "会議の記録によるとチームは第一段階の作業を完了し来月から新し"
    "いシステムの試験を始める予定である",
    "Korean": "회의 기록에 따르면 팀은 첫 단계 작업을 마쳤고 다음 달부터 새로운 "
    "시스템을 시험한다고 한다",
    "Arabic": "يظهر محضر الاجتماع أن الفريق أنهى المرحلة الأولى من العمل ويبدأ "
    "اختبار النظام الجديد قريبا وقد وافق جميع الأعضاء على هذه الخطة",
    "Hebrew": "פרוטוקול הישיבה מראה שהצוות סיים את השלב הראשון של העבודה ויתחיל "
    "לבדוק את המערכת בקרוב",
    "Devanagari": "बैठक के अभिलेख से पता चलता है कि दल ने पहला चरण पूरा कर लिया "
    "है और जल्द परीक्षण शुरू होगा सभी सदस्य सहमत हैं",
}


# made beforehand: the input shall cost next to nothing
_TEXTS = [" ".join(WORDS[(n * 7 + k) % len(WORDS)] for k in range(6 + n % 15)) for n in range(210)]


def rows(count: int) -> Iterator[dict[str, object]]:
    """Yield segments as mappings: start, end (seconds), speaker, text of 6 to 20 words."""
    for n in range(count):
        who = f"Speaker {n // 4 % 3}"
        yield {"start": n * 3.0, "end": n * 3.0 + 2.5, "speaker": who, "text": _TEXTS[n % 210]}


def line_of(script: str, n: int) -> str:
    """Return a line of a script; lines differ, as speech does.

    Of "new words of" a script, hardly a word stands in two lines: letters by chance.
    """
    if script.startswith("new words of "):
        return _strange(SCRIPTS[script.removeprefix("new words of ")], n)
    text = SCRIPTS[script]
    if " " in text:
        words = text.split()
        at = n % len(words)
        return " ".join(words[at:] + words[:at])
    at = n % len(text)
    return text[at:] + text[:at]


def _strange(text: str, n: int) -> str:
    chance = random.Random(n)
    # a letter with the marks that stand on it
    letters = re.findall(r"\w[^\w\s]*", text)
    return " ".join("".join(chance.choices(letters, k=len(word))) for word in text.split())
