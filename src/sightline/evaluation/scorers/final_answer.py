"""What of a long answer is its final answer: behind the reasoning, in answer tags, in LaTeX's box."""

from __future__ import annotations

import re

_REASONING = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|textit|operatorname)\s*\{([^{}]*)\}")


def after_reasoning(answer: str) -> str:
    """The answer without its <think> part, and of it what the last <answer> tags hold.

    >>> after_reasoning("<think>Is it A?</think><answer>B</answer>")
    'B'
    """
    text = _REASONING.sub("", answer)
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
