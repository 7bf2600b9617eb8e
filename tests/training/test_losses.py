"""Loss presets, and mDPO's terms against their formulas, worked out from plain log-probabilities."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import trl
from datasets import Dataset
from peft import LoraConfig

import sightline
import sightline.training
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.pictures.augmentation import Crop
from sightline.data.pictures.images import row_images
from sightline.engine.routes import plain_inputs, score_plain
from sightline.errors import ConfigError
from sightline.training.losses import ANCHOR, CONDITIONAL
from tests.tiny import SHORT_RUN, picture, preference_rows, tiny_llava, tiny_processor

BETA, DELTA, SEED = 0.3, 0.2, 11


def config(folder: Path, **given: Any) -> Any:
    return sightline.DPOConfig(
        output_dir=str(folder),
        **SHORT_RUN,
        max_steps=4,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        beta=BETA,
        seed=SEED,
        train_sampling_strategy="sequential",
        **given,
    )


def trainer(
    folder: Path, rows: list[dict[str, Any]], lora: bool = False, compute_metrics: Any = None, **given: Any
) -> Any:
    adapter = LoraConfig(r=4, target_modules=r".*language_model.*(q_proj|v_proj)", init_lora_weights=False)
    torch.manual_seed(3)
    return sightline.DPOTrainer(
        model=tiny_llava(1),
        ref_model=None if lora else tiny_llava(2),
        args=config(folder, **given),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_processor(),
        peft_config=adapter if lora else None,
        compute_metrics=compute_metrics,
    )


def loss_of(trained: Any, rows: list[dict[str, Any]]) -> float:
    batch = trained._prepare_inputs(trained.data_collator(rows))
    with torch.no_grad():
        return trained._compute_loss(trained.model.train(), batch, return_outputs=False).item()


def answer_logprobs(model: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    """Summed log-probabilities of the chosen answers, then of the rejected ones, from plain rows and full logits."""
    batch = SequenceEncoder(tiny_processor(), EncodingSettings()).encode_preferences(rows)
    with torch.no_grad():
        scores = score_plain(model.eval(), plain_inputs(batch.sequences, batch.image_inputs, 0, batch.counts))
    return torch.stack([score.sum() for score in scores])


def three_terms(policy: Any, reference: Any, rows: list[dict[str, Any]], others: list[Any]) -> dict[str, float]:
    """The terms of mDPO as its paper writes them, y_w under m_w, y_l under m_w, y_w under m_l."""
    under_others = [{**row, "images": images} for row, images in zip(rows, others, strict=True)]
    reward_w, reward_l = (BETA * (answer_logprobs(policy, rows) - answer_logprobs(reference, rows))).chunk(2)
    reward_o, _ = (BETA * (answer_logprobs(policy, under_others) - answer_logprobs(reference, under_others))).chunk(2)
    return {
        "sigmoid": -F.logsigmoid(reward_w - reward_l).mean().item(),
        "mdpo_conditional": -F.logsigmoid(reward_w - reward_o).mean().item(),
        "mdpo_anchor": -F.logsigmoid(reward_w - DELTA).mean().item(),
    }


def cropped(rows: list[dict[str, Any]]) -> list[Any]:
    return [[Crop(0.0, 0.2, SEED)(image) for image in row_images(row)] for row in rows]


def own_others(rows: list[dict[str, Any]]) -> list[Any]:
    return [[picture(90 + index)] for index in range(len(rows))]


class TestMdpo:
    @pytest.mark.parametrize(
        ("given", "share", "store"),
        [(True, "mask", "on"), (False, "mask", "off"), (False, "plain", "on"), (True, "plain", "off")],
    )
    def test_each_term_and_their_weighted_sum_have_the_value_of_the_papers_formula(
        self, given: bool, share: str, store: str, tmp_path: Path
    ) -> None:
        rows = preference_rows(4, 2)
        others = own_others(rows) if given else cropped(rows)
        terms = three_terms(tiny_llava(1), tiny_llava(2), rows, others)
        assert len({round(value, 2) for value in terms.values()}) == 3, "equal terms could stand for each other"
        if given:
            rows = [{**row, "rejected_images": images} for row, images in zip(rows, others, strict=True)]
        losses: dict[str, Any] = {"loss_type": list(terms), "loss_weights": [1.0, 0.5, 0.25], "mdpo_delta": DELTA}
        trained = trainer(tmp_path, rows, share=share, reference_store=store, **losses)
        assert trained.route.route == share
        assert (trained.loss_weights, trained.mdpo_weights) == ([1.0], {CONDITIONAL: 0.5, ANCHOR: 0.25})
        for weights in [(1.0, 0.5, 0.25), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]:
            trained.loss_weights = [weights[0]]
            trained.mdpo_weights = {CONDITIONAL: weights[1], ANCHOR: weights[2]}
            expected = sum(weight * value for weight, value in zip(weights, terms.values(), strict=True))
            assert loss_of(trained, list(trained.train_dataset)) == pytest.approx(expected, abs=1e-4)

    def test_the_reference_of_an_adapter_is_the_model_without_it(self, tmp_path: Path) -> None:
        rows = preference_rows(4, 2)
        trained = trainer(tmp_path, rows, lora=True, loss_type="mdpo", mdpo_delta=DELTA, reference_store="off")
        base = tiny_llava(1)
        expected = sum(three_terms(trained.model, base, rows, cropped(rows)).values())
        assert loss_of(trained, rows) == pytest.approx(expected, abs=1e-4)

    def test_trls_metrics_are_those_of_the_pairs_alone(self, tmp_path: Path) -> None:
        rows = preference_rows(4, 2)
        metrics = []
        for loss_type in ("sigmoid", "mdpo"):
            trained = trainer(tmp_path, rows, loss_type=loss_type, reference_store="off")
            loss_of(trained, rows)
            metrics.append(trained._metrics["train"])
        assert set(metrics[1]) - set(metrics[0]) == {"rewards/conditional_margins"}
        for name in set(metrics[0]) - {"num_tokens"}:
            assert metrics[1][name] == pytest.approx(metrics[0][name], abs=1e-5), name

    def test_each_image_and_each_crop_passes_the_tower_once(self, tmp_path: Path) -> None:
        rows = preference_rows(4, 2)
        trained = trainer(tmp_path, rows, lora=True, loss_type="mdpo", reference_store="off", feature_store="off")
        encoded: list[int] = []
        tower = trained.model.get_base_model().model.vision_tower
        tower.register_forward_hook(lambda module, inputs, output: encoded.append(len(output.last_hidden_state)))
        trained.model.train()
        trained._compute_loss(trained.model, trained.data_collator(rows), return_outputs=False)
        assert encoded == [4], "two images and their two crops, for policy and reference together"

    def test_several_rejected_answers_give_a_conditional_pair_each(self, tmp_path: Path) -> None:
        rows = preference_rows(2, 2)
        lists = [{**row, "rejected": [row["rejected"], [{"role": "assistant", "content": "no"}]]} for row in rows]
        pairs = [{**row, "rejected": answer} for row in lists for answer in row["rejected"]]
        values = []
        for data in (lists, pairs):
            trained = trainer(tmp_path, data, loss_type="mdpo")
            values.append(loss_of(trained, data))
        assert values[0] == pytest.approx(values[1], abs=1e-5)

    def test_a_row_without_images_adds_log_2_and_moves_nothing(self, tmp_path: Path) -> None:
        rows = [{**row, "images": []} for row in preference_rows(2, 1)]
        trained = trainer(tmp_path, [*rows, *preference_rows(1, 1)], loss_type=["mdpo_conditional"])
        trained.model.train()
        loss = trained._compute_loss(trained.model, trained.data_collator(rows), return_outputs=False)
        assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
        loss.backward()
        gradients = [p.grad for p in trained.model.parameters() if p.grad is not None]
        assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-6

    def test_the_anchor_needs_no_images_and_the_conditional_term_does(self, tmp_path: Path) -> None:
        rows = [{name: value for name, value in row.items() if name != "images"} for row in preference_rows(4, 2)]
        values = []
        for loss_type in (["sigmoid"], ["mdpo_anchor"], ["sigmoid", "mdpo_anchor"]):
            trained = trainer(tmp_path, rows, loss_type=loss_type, mdpo_delta=DELTA)
            values.append(loss_of(trained, list(trained.train_dataset)))
        assert values[2] == pytest.approx(values[0] + values[1], abs=1e-5)
        with pytest.raises(ConfigError, match="since the dataset has no images; got mdpo_conditional"):
            trainer(tmp_path, rows, loss_type="mdpo")

    @pytest.mark.slow
    def test_stored_references_give_the_losses_of_a_run_without_them(self, tmp_path: Path) -> None:
        losses = []
        for store in ("on", "off"):
            trained = trainer(tmp_path, preference_rows(8, 4), lora=True, loss_type="mdpo", reference_store=store)
            trained.train()
            losses.append([entry["loss"] for entry in trained.state.log_history if "loss" in entry])
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
        assert max(losses[0]) - min(losses[0]) > 1e-4, "a loss that does not move proves nothing"

    def test_runs_share_the_references_of_crops_and_other_crops_have_their_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
        rows = preference_rows(4, 2)
        settings: dict[str, Any] = {"loss_type": "mdpo", "reference_store": "on", "image_margin_rows": 0}
        trainer(tmp_path, rows, **settings)

        def refuse(*_: Any) -> None:
            raise AssertionError("a reference was computed that is stored")

        monkeypatch.setattr(trl.DPOTrainer, "compute_ref_log_probs", refuse)
        trainer(tmp_path, rows, mdpo_delta=0.5, **settings)
        with pytest.raises(AssertionError, match="a reference was computed"):
            trainer(tmp_path, rows, mdpo_crop=[0.2, 0.3], **settings)

    def test_evaluation_counts_the_terms_too(self, tmp_path: Path) -> None:
        rows = preference_rows(4, 2)
        trained = trainer(tmp_path, rows, loss_type="mdpo", reference_store="off")
        metrics = trained.evaluate(trained.train_dataset)
        assert metrics["eval_loss"] == pytest.approx(loss_of(trained, rows), abs=1e-5)
        assert "eval_rewards/conditional_margins" in metrics

    def test_compute_metrics_is_refused_before_training(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="leave no logits, which compute_metrics and predict need"):
            trainer(tmp_path, preference_rows(4, 2), loss_type="mdpo", compute_metrics=lambda prediction: {})

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"mdpo_perturbation": "noise"}, "mdpo_perturbation: expected one of crop, blank; got 'noise'"),
            ({"mdpo_crop": [0.5, 0.1]}, "mdpo_crop: expected two shares, 0 <= low <= high <= 1; got"),
            ({"loss_type": "mdpo", "ld_alpha": 0.5}, "got mdpo_conditional, which sums log-probabilities"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
            config(tmp_path, **settings)

    def test_rejected_images_that_no_term_reads_are_mentioned(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [{**row, "rejected_images": [picture(9)]} for row in preference_rows(4, 2)]
        trainer(tmp_path, rows)
        assert "rejected_images are not used" in capsys.readouterr().err
        trainer(tmp_path, rows, loss_type="mdpo")
        assert "rejected_images" not in capsys.readouterr().err


class TestPresets:
    def test_mpo_is_the_list_that_it_stands_for_and_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = preference_rows(4, 2)
        written_out: dict[str, Any] = {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0]}
        explicit = loss_of(trainer(tmp_path, rows, **written_out), rows)
        assert "stands for" not in capsys.readouterr().err
        assert loss_of(trainer(tmp_path, rows, loss_type="mpo"), rows) == explicit
        assert "loss_type mpo stands for sigmoid 0.8, bco_pair 0.2, sft 1.0." in capsys.readouterr().err

    def test_a_preset_takes_no_weights_and_no_company(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="loss_weights: expected none, since loss_type mpo brings its own; got"):
            config(tmp_path, loss_type="mpo", loss_weights=[1.0])
        with pytest.raises(ConfigError, match="loss_type: expected mdpo alone, .* got mdpo, sft. Write it out"):
            config(tmp_path, loss_type=["mdpo", "sft"])
