"""Find the final answer in a long one: behind the reasoning, in tags, a field, a fence or a LaTeX box."""

from __future__ import annotations

import re

from sightline.scoring.phrases import finder
from sightline.scoring.records import Item, Scorer, Verdict

_NAMES = "think|thinking|thoughts?|analysis|reasoning|reflection|scratchpad|seed:think|longcat_think"
# How thought begins and ends, by who marks it so; any of the ends closes any of the beginnings.
_MARKS = (
    (rf"<\s*(?:{_NAMES})\s*>", rf"<\s*/\s*(?:{_NAMES})\s*>"),  # most families
    (r"◁think▷", r"◁/think▷"),  # Kimi
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThinker
    (r"<\|channel>thought\b", r"<channel\|>"),  # Gemma 4
    (r"<unused94>(?:thought\b)?", r"<unused95>"),  # MedGemma
    (r"^\s*Here(?:['’]s| is) my thought process:", r"\bHere(?:['’]s| is) my response:"),  # Granite
    (r"^\s*Here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]"),  # Apriel
)
_OPENS = "|".join(opening for opening, _ in _MARKS)
_CLOSES = "|".join(closing for _, closing in _MARKS)
_CLOSED = re.compile(rf"(?:{_OPENS}).*?(?:{_CLOSES})", re.DOTALL | re.IGNORECASE)
_ANY_CLOSE = re.compile(_CLOSES, re.IGNORECASE)
_BEFORE_CLOSE = re.compile(rf"^.*(?:{_CLOSES})", re.DOTALL | re.IGNORECASE)
_BEGINS_WITH_THOUGHT = re.compile(rf"\s*(?:{_OPENS})", re.IGNORECASE)
_NEVER_ENDED = re.compile(rf"(?:{_OPENS}).*$", re.DOTALL | re.IGNORECASE)
# GPT-OSS: channels with their marks, or glued together where special tokens were left out of the text.
_FINAL_CHANNEL = re.compile(r"^.*(?:<\|channel\|>\s*final\b[^<]*<\|message\|>|assistantfinal)", re.DOTALL)
_OTHER_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>.*$|^\s*analysis(?=[A-Z\"'“*]).*$", re.DOTALL)
_TURN_ENDS = re.compile(
    r"(?:<\|(?:im_end|endoftext|eot_id|eom_id|end|end_of_text|return|END_RESPONSE|END_OF_TURN_TOKEN|end_of_solution)\|>"
    r"|</s>|<end_of_turn>|<turn\|>|<eos>|\[END FINAL RESPONSE\]).*$",
    re.DOTALL,
)
_TURN_BEGINS = re.compile(r"^\s*<\|(?:START_RESPONSE|begin_of_solution|START_OF_TURN_TOKEN)\|>")
# Most answers are a few words without any of these: a look for one is a hundred times faster than all the patterns.
_MAY_HOLD_THOUGHT = re.compile(r"[<◁\[]|analysis|assistantfinal|\bHere\b", re.IGNORECASE)

_LMMS_EVAL_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


def without_thought(answer: str) -> str:
    """The answer without its thought; of thought that never ends what stands before it, mostly nothing.

    >>> without_thought("<think>Is it A?</think>B"), without_thought("Is it A?◁/think▷B"), without_thought("<think>A")
    ('B', 'B', '')
    """
    if not _MAY_HOLD_THOUGHT.search(answer):
        return answer.strip()
    said = _OTHER_CHANNEL.sub("", _FINAL_CHANNEL.sub("", answer))
    ends = [close.end() for close in _ANY_CLOSE.finditer(said)]
    if ends:  # behind the last of them none is looked for, which would take its square in time
        said = _CLOSED.sub("", said[: ends[-1]]) + said[ends[-1] :]
    said = _NEVER_ENDED.sub("", _BEFORE_CLOSE.sub("", said))
    return _TURN_ENDS.sub("", _TURN_BEGINS.sub("", said)).strip()


def begins_with_thought(text: str) -> bool:
    """Whether a text begins with a mark of thought."""
    return _BEGINS_WITH_THOUGHT.match(text) is not None


def without_lmms_eval_tags(answer: str) -> str:
    """What lmms-eval scores: pairs of its two tags and what they hold are gone, and so is what leads to a lone end.

    Tags are case-sensitive there, and thought that never ends stays. Source, described: lmms-eval 0.7.3
    lmms_eval/api/reasoning.py with the default of --reasoning_tags.
    """
    said = answer
    for opening, closing in _LMMS_EVAL_TAGS:
        while (start := said.find(opening)) >= 0 and (end := said.find(closing, start)) >= 0:
            said = said[:start] + said[end + len(closing) :]
        if opening not in said:
            said = said.rsplit(closing, 1)[-1]
    return said.strip()


def as_lmms_eval(scorer: Scorer) -> Scorer:
    """The scorer on what lmms-eval would hand to it."""

    def score(item: Item, answer: str) -> Verdict:
        return scorer(item, without_lmms_eval_tags(answer))

    return score


_TAG_NAMES = r"answer|final[ _-]?answer|conclusion"
_TAGS = re.compile(
    rf"<({_TAG_NAMES})>(.*?)(?:</\1>|$)|<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|$)", re.DOTALL | re.IGNORECASE
)
_CLOSING_TAG = re.compile(rf"</(?:{_TAG_NAMES})>.*$|<\|end_of_box\|>.*$", re.DOTALL | re.IGNORECASE)
_NEXT_QUESTION = re.compile(r"(?<=\S)\s*\n\s*(?:Question|Hint|Q)\s*:")
_ANSWERED = re.compile(r"\banswer\b|^\W*[A-H]\b[).:]", re.IGNORECASE)
# The answer's field of a JSON object or a Python dictionary, also of one that was cut off behind it.
_FIELD = re.compile(
    r"""[{,]\s*(["'])(?:(?:final|correct|your)[ _])?answer\1\s*:\s*
    (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>\[[^\]\n]*\]|[^\s,}\]"'{]+))""",
    re.IGNORECASE | re.VERBOSE,
)
_ONLY_FIELD = re.compile(
    r"""\{\s*(["'])[\w -]+\1\s*:\s*(?:"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,}\]"'{\[]+))\s*\}"""
)
# Only these escapes: the others begin LaTeX's commands, whose backslash models forget to double.
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'\\/]|n(?!eq|u\b|ot|e\b|abla)))")
_FENCE = re.compile(r"```[^\n`]*\n(.*?)\n?```", re.DOTALL)
_BOX = re.compile(r"(?:\\(?:boxed|fbox)|\x08oxed|(?<![\\\w])boxed)\s*\{")
_TEXT_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|boldsymbol|operatorname|mbox)\s*"
    r"\{([^{}]*)\}"
)
_MARKED = re.compile(r"[*_`]")
_EMPHASIS = re.compile(r"(\*{1,3}|_{2,3}|`{1,3})(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_LINE_MARKS = re.compile(r"^\s*(?:#{1,6}|>|[-*+•])\s+", re.MULTILINE)
_MAY_BE_WRAPPED = re.compile(r"[<{`$\\|]")
# $x$ holds a formula where no blank follows the first and no digit the second, so "$5 or $6" stays money.
_INLINE = re.compile(r"(?<!\\)\\[(\[]\s*|\s*(?<!\\)\\[)\]]|\$\$|(?<![\\$\d])\$(?=\S)([^$\n]*?)(?<=[^\s\\])\$(?!\d)")


def after_reasoning(answer: str) -> str:
    """The final answer without what it is wrapped in: thought, tags, box tokens, JSON, a fence, LaTeX's delimiters.

    Of what stands behind the thought, the last answer tags, box tokens or field "answer", where there are such; and
    without questions that a model goes on to ask itself. Thought that never ends leaves nothing.

    >>> after_reasoning("<think>Is it A?</think><answer>B</answer>"), after_reasoning("Answer: \\\\( \\\\text{B} \\\\)")
    ('B', 'Answer: B')
    """
    said = without_thought(answer)
    if "\n" not in said and not _MAY_BE_WRAPPED.search(said):
        return said
    first, *asked_on = _NEXT_QUESTION.split(said)
    # One such line may be the question said again; after an answer, or twice, it is the model going on by itself.
    text = first if len(asked_on) != 1 or _ANSWERED.search(first) else said
    return without_latex(_in_field(_in_tags(text))).strip()


def without_latex(text: str) -> str:
    """Without the delimiters of formulas, and with \\text{...} and its like opened."""
    while (opened := _TEXT_COMMAND.sub(r"\1", text)) != text:
        text = opened
    return _INLINE.sub(lambda formula: formula[1] or "", text)


def without_markup(text: str) -> str:
    """Without Markdown's emphasis and line marks, without quotes around all of it, and 。."""
    while _MARKED.search(text) and (bare := _EMPHASIS.sub(r"\2", text)) != text:
        text = bare
    bare = _LINE_MARKS.sub("", text).strip().rstrip("。！")
    quoted = len(bare) > 2 and bare[0] + bare[-1] in ('""', "''", "“”", "‘’", "「」", "«»")
    return bare[1:-1].strip() if quoted and bare[0] not in bare[1:-1] else bare


def boxed(text: str) -> str | None:
    """What the last \\boxed{...} or \\fbox{...} holds, with \\text{...} opened; None where there is no box.

    >>> boxed(r"so $\\boxed{\\text{C}}$")
    'C'
    """
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    start = boxes[-1].end()
    depth = 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return without_latex(text[start:end]).strip()
    return None


def _in_tags(text: str) -> str:
    """What the last tags or box tokens hold; an end without beginning closes what stands before it."""
    held = [tags[2] if tags[2] is not None else tags[3] for tags in _TAGS.finditer(text)]
    return held[-1] if held else _CLOSING_TAG.sub("", text)


def _in_field(text: str) -> str:
    """The last field "answer", or the only field of an object; else what the fence holds that is the whole text."""
    fence = _FENCE.fullmatch(text.strip())
    bare = (fence[1] if fence else text).strip()
    fields = list(_FIELD.finditer(text)) or list(filter(None, [_ONLY_FIELD.fullmatch(bare)]))
    if not fields:
        return bare
    values = fields[-1].groupdict()
    quoted = values["double"] or values.get("single") or ""
    return _ESCAPED.sub(_unescape, quoted) or (values["bare"] or "").removeprefix("null")


def _unescape(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else "\n" if escape[2] == "n" else escape[2]


# "The answer is" in other languages.
FOREIGN_CUES = (
    r"(?:答案|回答|答え|正解|정답|답)\s*(?:[:：是为は은]|です)\s*"
    r"|\b(?:antwort|réponse|respuesta|risposta|resposta|ответ)\b\s*(?:ist|lautet|est|es|è|é|[:—-])[\s:]*"
)
_CORRECTION = re.compile(
    r"\b(?:wait|actually|correction|scratch\s+that|on\s+second\s+thought|I\s+mean|oops"
    r"|let\s+me\s+(?:correct|recount|re-?check|re-?consider))\b|[,.;]\s+no,\s|等等|不对|更正",
    re.IGNORECASE,
)


def corrected(text: str) -> str:
    """What stands behind the last words by which a text corrects itself; nothing where it does not.

    >>> corrected("There are 3. Wait, no, 4.")
    ', no, 4.'
    """
    marks = list(_CORRECTION.finditer(text))
    return text[marks[-1].end() :] if marks else ""


_REFUSAL = re.compile(
    r"\b(?:can['’]?t|cannot|can\s+not|could\s?n['’]?t|could\s+not|unable|impossible|insufficient|sorry"
    r"|not\s+(?:possible|sufficient|provided?|clear|able|specified|sure|certain|visible|legible|readable)"
    r"|(?:no|any)\s+(?:idea|clue)|unsure|unclear|hard\s+to\s+(?:tell|say)|(?:do|does)(?:n['’]t|\s+not)\s+know"
    r"|(?:do|does)(?:n['’]t|\s+not)\s+(?:provide|contain|specify|give)"
    r"|(?:do|does)(?:n['’]t|\s+not)\s+(?:see|have)\s+(?:an?|the)\s+(?:image|picture|photo)"
    r"|(?:do|does)(?:n['’]t|\s+not)\s+have\s+(?:enough|any|sufficient|access|the\s+ability)"
    r"|no\s+(?:specific\s+)?(?:information|image|picture|photo|data|context)|please\s+(?:provide|upload|share)"
    r"|need\s+more|more\s+information|unanswerable|illegible|unreadable"
    r"|not\s+(?:available\s+)?(?:in|among)\s+the\s+(?:options|choices)|none\s+of\s+the\s+(?:options|choices|above))\b"
    r"|(?:\bnot|n['’]t)\s+(?:\w+\s+)?enough\s+(?:\w+\s+){0,2}(?:information|context|data|details)\b",
    re.IGNORECASE,
)
_REFUSES = finder("refuses")
_DECLINES = re.compile(
    r"\W*(?:I\b|sorry\b|unfortunately\b|as\s+an?\s+(?:AI|language|text)|(?:there\s+is\s+)?no\s+(?:image|picture|photo)\b"
    r"|the\s+(?:image|picture|photo|text)\s+(?:is|was)\s+(?:not|un|il|too)|抱歉|对不起|很抱歉|我(?:无法|不能|看不)|申し訳|죄송"
    r"|(?:es\s+)?tut\s+mir|leider|entschuldigung|désolée?|lo\s+siento|desculpe|mi\s+dispiace|извините|простите|к\s+сожалению)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+(?=\S)|\n+|(?<=。)")


def refuses(text: str) -> bool:
    """Whether a text says that it cannot answer, asks for more, or is sorry.

    >>> refuses("The age cannot be determined from the picture.")
    True
    """
    return _REFUSAL.search(text) is not None or _REFUSES.search(text) is not None


def declines(text: str) -> bool:
    """Whether a text begins by refusing: of an answer that quotes what it reads, "can't" may be a part.

    >>> declines("I'm sorry, I can't read it."), declines("The sign says: You can't park here.")
    (True, False)
    """
    return _DECLINES.match(text) is not None and refuses(sentences(text)[0])


def sentences(text: str) -> list[str]:
    """Sentences and lines, without empty ones."""
    parts = _SENTENCE_END.split(re.sub(r"[:=]\s*\n+\s*", ": ", text))
    return [part.strip() for part in parts if part.strip()]
