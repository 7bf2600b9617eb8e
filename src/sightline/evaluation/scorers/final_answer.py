"""What of a long answer is its final answer: behind the reasoning, in answer tags, in LaTeX's box."""

from __future__ import annotations

import re

_REASONING = re.compile(r"^.*</think(?:ing)?>|<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_NEXT_QUESTION = re.compile(r"(?<=\S)\s*\n\s*(?:Question|Hint|Q)\s*:")
_ANSWERED = re.compile(r"\banswer\b|^\W*[A-H]\b[).:]", re.IGNORECASE)
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|textit|operatorname)\s*\{([^{}]*)\}")


def after_reasoning(answer: str) -> str:
    """The answer without its <think> part, and without questions that it goes on to ask itself.

    Of that, what the last <answer> tags hold, where there are such. Thought that never ends leaves nothing.

    >>> after_reasoning("<think>Is it A?</think><answer>B</answer>")
    'B'
    """
    said = _REASONING.sub("", answer).replace("</s>", "")
    first, *asked_on = _NEXT_QUESTION.split(said)
    # One such line may be the question said again; after an answer, or twice, it is the model going on by itself.
    text = first if len(asked_on) != 1 or _ANSWERED.search(first) else said
    tagged = _TAGS.findall(text)
    return (tagged[-1] if tagged else text).strip()


def boxed(text: str) -> str | None:
    """What the last \\boxed{...} holds, with \\text{...} and its like opened; None where there is no box.

    >>> boxed(r"so $\\boxed{\\text{C}}$")
    'C'
    """
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    start += len("\\boxed{")
    depth = 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return _TEXT_COMMAND.sub(r"\1", text[start:end]).strip()
    return None


_REFUSAL = re.compile(
    r"\b(?:can['’]?t|cannot|can\s+not|could\s?n['’]?t|could\s+not|unable|impossible|insufficient|sorry"
    r"|not\s+(?:possible|sufficient|provided?|clear|able|specified)"
    r"|not\s+enough\s+(?:\w+\s+){0,2}(?:information|context|data|details)"
    r"|(?:do|does)(?:n['’]t|\s+not)\s+(?:provide|contain|specify|give)"
    r"|(?:do|does)(?:n['’]t|\s+not)\s+have\s+(?:enough|any|sufficient|access|the\s+ability)"
    r"|no\s+(?:specific\s+)?(?:information|image|data|context)|please\s+provide|need\s+more|more\s+information"
    r"|not\s+(?:available\s+)?(?:in|among)\s+the\s+(?:options|choices)|none\s+of\s+the\s+(?:options|choices))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+(?=\S)|\n+|(?<=。)")


def refuses(text: str) -> bool:
    """Whether a text says that it cannot answer, asks for more, or is sorry.

    >>> refuses("The age cannot be determined from the picture.")
    True
    """
    return _REFUSAL.search(text) is not None


def sentences(text: str) -> list[str]:
    """Sentences and lines, without empty ones."""
    parts = _SENTENCE_END.split(re.sub(r"[:=]\s*\n+\s*", ": ", text))
    return [part.strip() for part in parts if part.strip()]
