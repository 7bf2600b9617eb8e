"""Check what else differs between two runs: data, prompt, scoring, decoding, model, versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.evaluation.comparison.changes import PairedSamples
from sightline.evaluation.judge import MAX_VERDICT_TOKENS
from sightline.runs import flat_names

CHOSEN = ("data", "prompt", "scoring", "decoding")
"""What whoever runs an evaluation chooses; where it differs, the model alone does not explain a change."""


@dataclass(frozen=True)
class RunRecord:
    """What a run says of itself: its `results.json`, and its `environment.json` where there is one."""

    summary: Mapping[str, Any]
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Aspect:
    """One side of how scores came about.

    Attributes:
        differences: what differs, with both values.
        unknown: what one of the runs does not say.
        notes: what is worth knowing and changes no answer.
    """

    name: str
    differences: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """ "differs", "not known" or "same"."""
        return "differs" if self.differences else "not known" if self.unknown else "same"


@dataclass(frozen=True)
class Reproduction:
    """The aspects of two runs side by side.

    Attributes:
        answers: answers that were compared.
        other_answers: those of them whose texts differ.
        conclusion: what this means for the comparison, in a sentence or two.
        is_warning: whether a change in score has other causes than the model.
    """

    aspects: tuple[Aspect, ...]
    answers: int
    other_answers: int
    conclusion: str
    is_warning: bool


def check_reproduction(before: RunRecord, after: RunRecord, samples: Mapping[str, PairedSamples]) -> Reproduction:
    """The check over the tasks and items that both runs hold."""
    one, two = before.summary, after.summary
    tasks = [(name, one["tasks"][name], two["tasks"][name], paired) for name, paired in samples.items()]
    aspects = (
        _joined("data", [_data(*task) for task in tasks]),
        _joined("prompt", [*(_prompt(*task) for task in tasks), _around(one, two)]),
        _joined("scoring", [_scoring(name, first, second, one, two) for name, first, second, _ in tasks]),
        _decoding(one, two, tasks),
        _processor(one["provenance"], two["provenance"]),
        _model(one, two),
        _versions(before, after),
    )
    pairs = [pair for paired in samples.values() for pair in paired.pairs]
    others = sum(_answer(pair.before) != _answer(pair.after) for pair in pairs)
    conclusion, is_warning = _conclusion(aspects, len(pairs), others)
    return Reproduction(aspects, len(pairs), others, conclusion, is_warning)


def _data(task: str, before: Mapping[str, Any], after: Mapping[str, Any], paired: PairedSamples) -> Aspect:
    one, two = before["data"], after["data"]
    pictures = sum(pair.before.pictures != pair.after.pictures for pair in paired.pairs)
    differences, notes = [], []
    if paired.asked_otherwise:
        differences.append(f"{task}: {paired.asked_otherwise} items ask something else under the same id; left out")
    if pictures:
        differences.append(f"{task}: pictures differ in {pictures} of {len(paired.pairs)} items")
    if paired.only_before or paired.only_after:
        notes.append(
            f"{task}: {len(paired.pairs)} common items; {paired.only_before} in A alone, {paired.only_after} in B alone"
        )
    for name in ("place", "revision", "md5"):
        notes += _unequal(f"{task} {name}", one.get(name), two.get(name))
    return Aspect("data", tuple(differences), notes=tuple(notes))


def _prompt(task: str, before: Mapping[str, Any], after: Mapping[str, Any], paired: PairedSamples) -> Aspect:
    if any(not pair.before.prompt or not pair.after.prompt for pair in paired.pairs):
        return Aspect("prompt", unknown=(f"{task}: answers were stored without their prompts",))
    others = sum(pair.before.prompt != pair.after.prompt for pair in paired.pairs)
    if not others:
        return Aspect("prompt", notes=tuple(_unequal(f"{task} origin", before["prompt"], after["prompt"])))
    origins = "".join(_unequal(", origin", before["prompt"], after["prompt"]))
    return Aspect("prompt", (f"{task}: the text differs in {others} of {len(paired.pairs)} items{origins}",))


def _around(one: Mapping[str, Any], two: Mapping[str, Any]) -> Aspect:
    """What stands around every prompt."""
    settings = [{name: run["settings"].get(name) for name in ("system", "enable_thinking")} for run in (one, two)]
    return Aspect("prompt", tuple(_differing(*({k: v for k, v in one.items() if v != ""} for one in settings))))


def _scoring(
    task: str, before: Mapping[str, Any], after: Mapping[str, Any], one: Mapping[str, Any], two: Mapping[str, Any]
) -> Aspect:
    judges = [run["settings"].get("judge_model") or "none" for run in (one, two)]
    differences = [*_unequal(f"{task} profile", before["profile"], after["profile"]), *_unequal("judge", *judges)]
    if "none" not in judges:
        limits = [run["settings"].get("judge_max_new_tokens", MAX_VERDICT_TOKENS) for run in (one, two)]
        fields = [flat_names({"judge": run["settings"].get("judge_extra_body") or {}}) for run in (one, two)]
        differences += [*_unequal("judge_max_new_tokens", *limits), *_differing(*fields)]
    return Aspect("scoring", tuple(differences))


def _decoding(
    one: Mapping[str, Any],
    two: Mapping[str, Any],
    tasks: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any], Any]],
) -> Aspect:
    settings = [run["settings"] for run in (one, two)]
    names = ["method"]
    if "likelihood" in [setting.get("method") for setting in settings]:
        names += ["likelihood_of", "likelihood_norm"]
    differences = [text for name in names for text in _unequal(name, settings[0].get(name), settings[1].get(name))]
    for task, before, after, _ in tasks:
        differences += _unequal(f"{task} max_new_tokens", before["max_new_tokens"], after["max_new_tokens"])
    changes = [run["provenance"].get("request_changes") for run in (one, two)]
    differences += _unequal("what the server refuses", *changes)
    decodings = [run["provenance"].get("decoding") for run in (one, two)]
    if None in decodings:
        return Aspect("decoding", tuple(differences), (_missing("how answers were decoded", decodings),))
    chosen = [{name: value for name, value in decoding.items() if name != "stop_ids"} for decoding in decodings]
    return Aspect("decoding", (*differences, *_differing(*map(flat_names, chosen))))


def _processor(one: Mapping[str, Any], two: Mapping[str, Any]) -> Aspect:
    """Image processor settings, chat template, tokenizer and stop tokens: what comes with a model."""
    keys = [run.get("processor") for run in (one, two)]
    if None in keys:
        return Aspect("processor", unknown=(_missing("the processor", keys),))
    settings = tuple(_differing(one.get("processor_settings", {}), two.get("processor_settings", {})))
    others = [name for name in ("chat_template", "tokenizer") if one.get(name) != two.get(name)]
    stops = _unequal("stop tokens", *(run.get("decoding", {}).get("stop_ids") for run in (one, two)))
    rest = [f"{name.replace('_', ' ')} differs" for name in others]
    if keys[0] != keys[1] and not settings and not rest:
        rest = ["the processor differs in what its settings do not show"]
    return Aspect("processor", (*settings, *rest, *stops))


def _model(one: Mapping[str, Any], two: Mapping[str, Any]) -> Aspect:
    names = _unequal("name", one["model"], two["model"])
    asked = [{name: run["settings"].get(name) for name in ("adapter", "endpoint")} for run in (one, two)]
    weights = [run["provenance"].get("weights") for run in (one, two)]
    if None in weights:
        return Aspect("model", (*names, *_differing(*asked)), (_missing("the weights", weights),))
    loaded = [{name: run["provenance"].get(name) for name in ("dtype", "attention")} for run in (one, two)]
    settings = [run["provenance"].get("model_settings") for run in (one, two)]
    adapters = [run["provenance"].get("adapter_settings") or {} for run in (one, two)]
    unknown = (_missing("the model's settings", settings),) if None in settings else ()
    differences = [*_differing(*asked), *_differing(*loaded)]
    if not unknown:
        differences += [*_differing(*map(flat_names, settings)), *_differing(*map(flat_names, adapters))]
    if not differences and not unknown and one["provenance"].get("modules") != two["provenance"].get("modules"):
        differences = ["modules differ in what the settings do not show"]
    if weights[0] != weights[1]:
        return Aspect("model", ("weights differ", *names, *differences), unknown)
    return Aspect("model", tuple(differences), unknown, notes=tuple(names))


def _versions(before: RunRecord, after: RunRecord) -> Aspect:
    versions = [record.summary["provenance"].get("versions", {}) for record in (before, after)]
    machines = [
        {name: record.environment.get(name) for name in ("devices", "processor", "platform")}
        for record in (before, after)
    ]
    return Aspect("versions", (*_differing(*versions), *_differing(*machines)))


def _conclusion(aspects: Sequence[Aspect], answers: int, others: int) -> tuple[str, bool]:
    """What the aspects mean together, and whether it is a warning."""
    differing = [aspect.name for aspect in aspects if aspect.differences]
    alike = [aspect.name for aspect in aspects if aspect.name in CHOSEN and aspect.status == "same"]
    unknown = [aspect.name for aspect in aspects if aspect.status == "not known"]
    chosen = [name for name in differing if name in CHOSEN]
    if chosen:
        besides = ", besides the model" if "model" in differing else ""
        owed = "is not the model's alone" if besides else "need not be the model's"
        text = f"The runs differ in {_listed(chosen)}{besides}: a change in score {owed}."
    elif "model" in differing:
        text = f"The model differs{' and with it the processor' * ('processor' in differing)}; {_listed(alike)} do not."
    elif "processor" in differing:
        text = f"The same model with another processor: {others} of {answers} answers differ."
    else:
        text = _repeated(answers, others, "versions" in differing, bool(unknown))
    is_warning = bool(chosen) or ("model" not in differing and others > 0)
    return text + (f" Not known: {_listed(unknown)}." if unknown else ""), is_warning


def _repeated(answers: int, others: int, other_versions: bool, has_unknown: bool) -> str:
    """Of two runs that differ in versions at most."""
    if others == 0:
        return f"Reproduced: all {answers} answers are the same{', under other versions' * other_versions}."
    same = "nothing relevant that is known" if has_unknown else "nothing relevant"
    left = "the versions" if other_versions else "sums in another order on the device, or a server that samples"
    return f"{others} of {answers} answers differ, yet {same} does. What is left to explain it: {left}."


def _joined(name: str, parts: Sequence[Aspect]) -> Aspect:
    """One aspect of several tasks; what they share is said once."""
    return Aspect(
        name,
        tuple(dict.fromkeys(text for part in parts for text in part.differences)),
        tuple(dict.fromkeys(text for part in parts for text in part.unknown)),
        tuple(dict.fromkeys(text for part in parts for text in part.notes)),
    )


def _differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*one, *two]):
        yield from _unequal(name, one.get(name), two.get(name))


def _unequal(name: str, one: Any, two: Any) -> list[str]:
    return [f"{name} {_short(one)} in A, {_short(two)} in B"] if one != two else []


def _short(value: Any) -> str:
    text = "none" if value in (None, "", []) else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _missing(what: str, values: Sequence[Any]) -> str:
    missing = [letter for letter, value in zip("AB", values, strict=True) if value is None]
    return f"{what} in {' and '.join(missing)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def _answer(sample: Any) -> tuple[str, str]:
    return sample.prediction, sample.error
