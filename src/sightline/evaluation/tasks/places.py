"""Where harnesses keep copies of benchmarks: VLMEvalKit's files, lmms-eval's Hub datasets under old and new name."""

from __future__ import annotations

from sightline.evaluation.task import Source

_VLMEVALKIT = "https://opencompass.openxlab.space/utils/"
_LMMS_EVAL = ("lmms-lab-encoder", "lmms-lab")  # moved to the first on 2026-07-30; who cached the second still has it


def vlmevalkit_file(path: str, md5: str = "") -> Source:
    """A TSV file of VLMEvalKit, by its path at the publisher ("VLMEval/MMMU_DEV_VAL.tsv")."""
    return Source("tsv", path.rpartition("/")[2], md5=md5, address=_VLMEVALKIT + path)


def lmms_eval_datasets(name: str, split: str, config: str = "") -> tuple[Source, ...]:
    """A Hub dataset of lmms-eval under its present and its former owner. No commit of theirs is known to pin."""
    return tuple(Source("hub", f"{owner}/{name}", config, split) for owner in _LMMS_EVAL)
