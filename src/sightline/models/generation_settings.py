"""Find settings in a model's generation_config.json that cannot be meant so, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sightline.errors import nearest

FILE = "generation_config.json"
_SWITCHES = ("do_sample", "use_cache")
_TOKENS = ("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id")
# (lowest, highest, whole numbers alone) of each setting that is a number; the lowest of `_ABOVE` is none itself.
_NUMBERS: dict[str, tuple[float, float, bool]] = {
    **dict.fromkeys(("temperature", "repetition_penalty"), (0.0, float("inf"), False)),
    **dict.fromkeys(("top_p", "min_p", "typical_p"), (0.0, 1.0, False)),
    "length_penalty": (float("-inf"), float("inf"), False),
    **dict.fromkeys(("top_k", "min_length", "min_new_tokens", "no_repeat_ngram_size"), (0, float("inf"), True)),
    **dict.fromkeys(("num_beams", "num_return_sequences", "max_length", "max_new_tokens"), (1, float("inf"), True)),
}
_ABOVE = ("repetition_penalty",)
# What Qwen-VL's authors wrote there; the first tells its base model from the one that chats.
_AUTHORS = ("chat_format", "max_window_size", "stop_words_ids")


def odd_settings(model: str, vocabulary: int) -> list[str]:
    """What is odd in the generation settings of a folder, or of a Hub id that is cached; `vocabulary` is how many
    tokens its tokenizer knows. The model may have embeddings for more.

    What transformers or a run refuse by themselves is not looked for here.
    """
    from transformers import GenerationConfig

    given, config = _read(model, FILE), _read(model, "config.json")
    parts = (config, config.get("text_config"))
    rows = [part["vocab_size"] for part in parts if isinstance(part, dict) and isinstance(part.get("vocab_size"), int)]
    vocabulary = max(vocabulary, *rows, 0)
    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")} | {"transformers_version"}
    return [f"{FILE}: {said}" for said in (*_unknown(given, known), *_unfit(given, vocabulary))]


def _read(model: str, name: str) -> dict[str, Any]:
    """What a file of a folder holds, or of a Hub id that is cached; nothing where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    path: Any = Path(model, name)
    if not path.is_file():
        path = None if Path(model).exists() else try_to_load_from_cache(model, name)
    found = json.loads(Path(path).read_bytes()) if isinstance(path, str | Path) else {}
    return found if isinstance(found, dict) else {}


def _unknown(given: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for name in given:
        if name not in known and name not in _AUTHORS and not name.startswith("_"):
            hint = nearest(name, sorted(known))
            yield f"transformers has no setting {name[:60]!r}, which changes nothing. {hint or 'Take it out.'}"


def _unfit(given: Mapping[str, Any], vocabulary: int) -> Iterator[str]:
    for name, value in given.items():
        if value is None:
            continue
        if name in _SWITCHES and not isinstance(value, bool):
            yield f"{name}: expected true or false, got {_shown(value)}. Mend the model's folder."
        elif name in _NUMBERS and not _fits(name, value):
            yield f"{name}: expected {_wanted(name)}, got {_shown(value)}. Mend the model's folder."
        elif name in _TOKENS:
            odd = [one for one in (value if isinstance(value, list) else [value]) if not _is_token(one, vocabulary)]
            if odd:
                yield (
                    f"{name}: expected numbers of tokens from 0 to {vocabulary - 1:,}, which the model knows, got "
                    f"{_shown(odd[0])}. Mend the model's folder."
                )


def _fits(name: str, value: Any) -> bool:
    low, high, is_whole = _NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, int if is_whole else int | float):
        return False
    return bool(low < value if name in _ABOVE else low <= value) and bool(value <= high)


def _wanted(name: str) -> str:
    low, high, is_whole = _NUMBERS[name]
    kind = "a whole number" if is_whole else "a number"
    if low == float("-inf"):
        return kind
    if high < float("inf"):
        return f"{kind} from {low:g} to {high:g}"
    return f"{kind} above {low:g}" if name in _ABOVE else f"{kind} of at least {low:g}"


def _is_token(value: Any, vocabulary: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < vocabulary


def _shown(value: Any) -> str:
    return json.dumps(value)[:60]
