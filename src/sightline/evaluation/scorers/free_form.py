"""Placeholder of the judge-free reader."""

from sightline.evaluation.scorers.verdicts import UNPARSED


def score_strict(item, answer):
    return UNPARSED
