"""The table of scorers: one row per kind of task, one column per profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightline.evaluation.metrics.groups import (
    caption_metrics,
    circular_accuracy,
    mme_metrics,
    vanilla_accuracy,
    vlmevalkit_caption_metrics,
)
from sightline.evaluation.metrics.means import mean_score, mmmu_disciplines, points
from sightline.evaluation.metrics.yes_no import lmms_eval_yes_no_metrics, vlmevalkit_yes_no_metrics, yes_no_metrics
from sightline.evaluation.task import Metric
from sightline.scoring import captions, choices, mathvista, mmmu, multiple_choice, short_answers, vqa, yes_no
from sightline.scoring.final_answer import as_lmms_eval
from sightline.scoring.records import Item, Scorer, Verdict, matching

Metrics = tuple[Metric, ...]


@dataclass(frozen=True)
class Scoring:
    """Scorers and metrics of a task by profile; the first metric of a profile is its headline."""

    scorers: Mapping[str, Scorer]
    metrics: Mapping[str, Metrics]


def by_options(choice: Scorer, open_question: Scorer) -> Scorer:
    """One scorer for items with options, another for those without."""

    def score(item: Item, answer: str) -> Verdict:
        return (choice if item.options else open_question)(item, answer)

    return score


def _scoring(scorers: Mapping[str, Scorer], metrics: Metrics, **other_metrics: Metrics) -> Scoring:
    """The same metrics under every profile, except where `other_metrics` names others."""
    named = {profile.replace("_", "-"): others for profile, others in other_metrics.items()}
    return Scoring(scorers, {profile: named.get(profile, metrics) for profile in scorers})


ACCURACY = (mean_score("accuracy"),)
STRICT_CHOICE = matching(multiple_choice.read_strict)
VLMEVALKIT_CHOICE = matching(choices.read_vlmevalkit)

EXACT = _scoring({"strict": by_options(STRICT_CHOICE, short_answers.score_exact)}, ACCURACY)
CHOICE = _scoring({"strict": STRICT_CHOICE, "vlmevalkit": VLMEVALKIT_CHOICE}, ACCURACY)
MMBENCH = _scoring(
    {
        "strict": STRICT_CHOICE,
        "vlmevalkit": VLMEVALKIT_CHOICE,
        "lmms-eval": as_lmms_eval(matching(choices.read_mmbench_lmms_eval)),
    },
    (circular_accuracy(), vanilla_accuracy(), mean_score("accuracy")),
)
AI2D = _scoring(
    {"strict": STRICT_CHOICE, "vlmevalkit": VLMEVALKIT_CHOICE, "lmms-eval": matching(choices.read_ai2d_lmms_eval)},
    ACCURACY,
)
SCIENCEQA = _scoring(
    {
        "strict": STRICT_CHOICE,
        "llava": matching(choices.read_llava),
        "vlmevalkit": VLMEVALKIT_CHOICE,
        "lmms-eval": as_lmms_eval(matching(choices.read_scienceqa_lmms_eval)),
    },
    ACCURACY,
)
MMMU = _scoring(
    {
        "strict": by_options(STRICT_CHOICE, mmmu.score_strict_open),
        "official": by_options(matching(mmmu.read_official_choice), mmmu.score_official_open),
        "vlmevalkit": by_options(VLMEVALKIT_CHOICE, choices.score_vlmevalkit_open),
        "lmms-eval": as_lmms_eval(by_options(matching(mmmu.read_lmms_eval_choice), mmmu.score_official_open)),
    },
    (mean_score("accuracy"), *mmmu_disciplines()),
)
MATHVISTA = _scoring(
    {
        "strict": mathvista.score_strict,
        "official": mathvista.score_official,
        "vlmevalkit": mathvista.score_vlmevalkit,
        "lmms-eval": as_lmms_eval(mathvista.score_lmms_eval),
    },
    ACCURACY,
)
POPE = _scoring(
    {
        "strict": matching(yes_no.read_strict),
        "official": matching(yes_no.read_pope),
        "vlmevalkit": matching(yes_no.read_vlmevalkit),
        "lmms-eval": as_lmms_eval(matching(yes_no.read_lmms_eval_pope)),
    },
    yes_no_metrics(),
    vlmevalkit=vlmevalkit_yes_no_metrics(),
    lmms_eval=lmms_eval_yes_no_metrics(),
)
MME = _scoring(
    {
        "strict": matching(yes_no.read_strict),
        "official": matching(yes_no.read_mme),
        "vlmevalkit": matching(yes_no.read_vlmevalkit),
        "lmms-eval": as_lmms_eval(matching(yes_no.read_lmms_eval_mme)),
    },
    mme_metrics(),
)
VQAV2 = _scoring(
    {
        "strict": vqa.score_strict,
        "official": vqa.score_official,
        "lmms-eval": as_lmms_eval(vqa.scoring_with(vqa.official_spelling)),
    },
    (mean_score("vqa_accuracy"),),
)
TEXTVQA = _scoring(
    {
        "strict": vqa.score_strict,
        "official": vqa.scoring_with(vqa.evalai_spelling),
        "vlmevalkit": vqa.scoring_with(vqa.vlmevalkit_spelling),
        "lmms-eval": as_lmms_eval(vqa.scoring_with(vqa.evalai_spelling)),
    },
    (mean_score("vqa_accuracy"),),
)
DOCVQA = _scoring(
    {
        "strict": short_answers.score_anls_strict,
        "vlmevalkit": short_answers.score_anls,
        "lmms-eval": as_lmms_eval(short_answers.score_anls),
    },
    (mean_score("anls"),),
)
OCRBENCH = _scoring(
    {
        "strict": short_answers.score_ocrbench,
        "official": short_answers.score_ocrbench_official,
        "vlmevalkit": short_answers.score_ocrbench_official,
        "lmms-eval": as_lmms_eval(short_answers.score_ocrbench_lmms_eval),
    },
    (points("points", scale=1000.0), mean_score("accuracy")),
)
CHARTQA = _scoring(
    {"strict": short_answers.score_chartqa, "vlmevalkit": short_answers.score_chartqa_vlmevalkit},
    (mean_score("relaxed_accuracy"),),
)
CAPTIONS = _scoring(
    {
        "strict": captions.score_strict,
        "official": captions.score_official,
        "vlmevalkit": captions.score_vlmevalkit,
        "lmms-eval": as_lmms_eval(captions.score_official),
    },
    caption_metrics(),
    vlmevalkit=vlmevalkit_caption_metrics(),
)
