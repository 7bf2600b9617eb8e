"""What of a long answer is its final answer: behind the reasoning, in answer tags, in LaTeX's box."""

from __future__ import annotations

import re

_REASONING = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_NEXT_QUESTION = re.compile(r"(?<=\S)\s*\n\s*(?:Question|Hint|Q)\s*:")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|textit|operatorname)\s*\{([^{}]*)\}")


def after_reasoning(answer: str) -> str:
    """The answer without its <think> part and without questions that it goes on to ask itself.

    Of that, what the last <answer> tags hold, where there are such.

    >>> after_reasoning("<think>Is it A?</think><answer>B</answer>")
    'B'
    """
    text = _NEXT_QUESTION.split(_REASONING.sub("", answer).replace("</s>", ""), maxsplit=1)[0]
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
    r"\b(?:can(?:no|')?t|cannot|can\s+not|could\s?n[o']t|unable|not\s+(?:possible|enough|sufficient|provided?|clear|able)|"
    r"impossible|insufficient|(?:do|does)(?:n't|\s+not)\s+(?:(?:provide|contain|specify|give)|have\s+(?:enough|any|sufficient|access|the\s+ability))|"
    r"no\s+(?:specific\s+)?(?:information|image|data|context)|please\s+provide|need\s+more|more\s+information|not\s+specified|not\s+(?:available\s+)?(?:in|among)\s+the\s+(?:options|choices)|none\s+of\s+the\s+(?:options|choices)|sorry)\b",
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
