"""Other tools' names, short forms and spellings of our settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sightline.config import COMMAND_LINE
from sightline.errors import ConfigError, nearest

# Two names for one thing, each of which is right in every verb.
SAME = {"model": "model_name_or_path", "model_name_or_path": "model"}

# Taken for the setting that they mean, and one line says its name.
TAKEN = {"lr": "learning_rate", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"}

# Words of TRL's scripts, transformers' examples, LLaMA-Factory, ms-swift, LLaVA and common speech, by what they mean
# here. Where several names stand, the first that a verb has is meant. They are refused with the right name.
MEANT = {
    "model_name_or_path": "model_id model_path model_name pretrained pretrained_model pretrained_model_name_or_path "
    "base_model model_dir model_id_or_path checkpoint ckpt",
    "model": "model_id model_path model_name pretrained pretrained_model pretrained_model_name_or_path base_model "
    "model_dir model_id_or_path checkpoint ckpt",
    "dataset_name": "dataset data train_data train_file train_dataset data_path data_file training_data train_path "
    "dataset_path dataset_name_or_path custom_train_dataset_path train_dataset_name train",
    "train_data": "dataset data train_file train_dataset data_path data_file dataset_name dataset_path",
    "data": "dataset dataset_name data_path data_file dataset_path rows",
    "source": "dataset dataset_name data data_path data_file",
    "eval_dataset_name": "eval_dataset eval_data eval_file val_dataset validation_file test_file eval_data_path "
    "val_file val_data custom_val_dataset_path valid_file",
    "eval_data": "eval_dataset eval_file val_dataset validation_file eval_dataset_name val_file val_data",
    "dataset_train_split": "train_split dataset_split split train_split_name",
    "dataset_test_split": "test_split eval_split eval_split_name val_split",
    "dataset_config": "dataset_config_name subset dataset_subset",
    "test_split_size": "val_size split_dataset_ratio validation_split_percentage eval_ratio test_size",
    "image_folder": "image_dir images_dir media_dir image_root image_path img_dir images",
    "output_dir": "output out out_dir output_folder save_dir save_path outdir run_dir output_path",
    "output_path": "output out output_file out_file",
    "learning_rate": "learningrate l_rate base_lr init_lr step_size",
    "num_train_epochs": "num_epochs n_epochs epoch nepochs max_epochs train_epochs",
    "max_steps": "steps num_steps train_steps max_train_steps total_steps num_train_steps num_training_steps",
    "per_device_train_batch_size": "bs train_batch_size per_device_batch_size micro_batch_size train_bs batch "
    "train_micro_batch_size_per_gpu mini_batch_size per_gpu_batch_size",
    "per_device_eval_batch_size": "eval_batch_size eval_bs test_batch_size",
    "gradient_accumulation_steps": "grad_accum grad_accum_steps gradient_accumulation accumulation_steps "
    "accumulate_grad_batches accum_steps grad_acc gradient_accumulate_steps",
    "gradient_checkpointing": "grad_checkpoint grad_checkpointing activation_checkpointing grad_ckpt",
    "warmup_steps": "warmup num_warmup_steps warm_up warmup_fraction warmup_iters",
    "weight_decay": "wd decay",
    "max_grad_norm": "grad_clip clip_grad clip_grad_norm gradient_clip gradient_clip_val grad_norm max_norm",
    "lr_scheduler_type": "scheduler lr_scheduler lr_schedule lr_decay_style scheduler_type",
    "optim": "optimizer optimiser optimizer_type opt",
    "adam_beta1": "beta1",
    "adam_beta2": "beta2",
    "adam_epsilon": "adam_eps eps epsilon",
    "max_length": "max_len maxlen max_sequence_length seq_len seq_length sequence_length cutoff_len model_max_length "
    "max_seq_len max_tokens context_length block_size",
    "length_policy": "truncation truncation_strategy",
    "dtype": "torch_dtype model_dtype data_type",
    "bf16": "bfloat16 bf_16",
    "fp16": "float16 half fp_16",
    "attn_implementation": "attn_impl flash_attn flash_attention use_flash_attn use_flash_attention "
    "use_flash_attention_2 attention_implementation flash_attn_2 attention",
    "use_peft": "use_lora lora lora_enable peft",
    "lora_r": "lora_rank lora_dim rank lora_attn_dim",
    "lora_alpha": "alpha",
    "lora_dropout": "lora_drop",
    "lora_target_modules": "target_modules lora_target lora_modules target_module lora_target_module",
    "load_in_4bit": "use_4bit 4bit four_bit",
    "load_in_8bit": "use_8bit 8bit eight_bit",
    "model_revision": "revision",
    "seed": "random_seed manual_seed random_state",
    "logging_steps": "log_steps log_every log_interval logging_freq log_freq",
    "eval_strategy": "evaluate_strategy do_evaluate evaluation",
    "eval_steps": "eval_every eval_interval eval_freq evaluation_steps val_steps",
    "save_steps": "save_every save_interval save_freq checkpoint_steps checkpointing_steps save_step",
    "save_total_limit": "save_limit keep_checkpoints checkpoints_total_limit max_checkpoints",
    "resume_from_checkpoint": "resume resume_from resume_checkpoint resume_path load_checkpoint",
    "report_to": "report logger tracker log_with use_wandb wandb tracking",
    "run_name": "experiment_name exp_name wandb_name wandb_run_name",
    "dataloader_num_workers": "num_workers workers n_workers dataloader_workers",
    "dataset_num_proc": "num_proc preprocessing_num_workers preprocess_num_workers nproc",
    "deepspeed": "deepspeed_config ds_config",
    "beta": "dpo_beta pref_beta",
    "loss_type": "loss dpo_loss pref_loss rlhf_loss",
    "label_smoothing": "dpo_label_smoothing",
    "train_sampling_strategy": "group_by_modality_length length_grouping",
    "packing": "pack neat_packing use_packing",
    "use_cpu": "cpu",
    "max_pixels": "image_max_pixels",
    "processor_settings": "mm_processor_kwargs processor_kwargs image_processor_kwargs",
    "push_to_hub": "push",
    "hub_model_id": "hub_id repo_id",
    "use_liger_kernel": "liger liger_kernel enable_liger_kernel",
    "max_new_tokens": "max_tokens max_length max_gen_toks max_gen_length max_generated_tokens",
    "tasks": "task benchmark dataset_task",
    "limit": "num_samples max_samples n_samples num_examples max_examples",
    "predictions": "prediction_file predictions_file answers_file answer_file",
    "adapter": "peft lora lora_path adapter_path adapter_name_or_path adapters peft_model",
    "endpoint": "base_url api_base server url api_url openai_api_base",
    "batch_tokens": "batch_size bs eval_batch_size per_device_eval_batch_size max_batch_tokens",
    "benchmarks": "data_dir lmu_data",
    "concurrency": "num_concurrent workers num_workers api_nproc nproc",
    "system": "system_prompt system_message system_instruction",
    "preset": "config_preset",
    "decoder": "llm language_model text_model lm",
    "tower": "vision_tower vision_model vision_encoder vision",
    "config": "recipe config_file config_path yaml",
}  # fmt: skip

# What nothing here is called: what to do instead, in a command that trains, and in any.
SAID_IN_TRAINING = {
    "stage": "The verb says what is learned: `sightline sft` or `sightline dpo`.",
    "rlhf_type": "The verb says what is learned: `sightline dpo`.",
    "template": "The chat template is the model's own; chat_template names another one.",
    "version": "The chat template is the model's own; chat_template names another one.",
    "finetuning_type": "use_peft trains an adapter; without it the whole model is trained.",
    "train_type": "use_peft trains an adapter; without it the whole model is trained.",
    "tuner_type": "use_peft trains an adapter; without it the whole model is trained.",
    "sft_type": "use_peft trains an adapter; without it the whole model is trained.",
    "quantization_bit": "load_in_4bit or load_in_8bit, with use_peft.",
    "quant_bits": "load_in_4bit or load_in_8bit, with use_peft.",
    "bits": "load_in_4bit or load_in_8bit, with use_peft.",
    "qlora": "use_peft with load_in_4bit.",
    "use_qlora": "use_peft with load_in_4bit.",
    "fp32": "Set bf16 and fp16 to false; dtype is that of the weights.",
    "double_quant": "It is use_bnb_nested_quant, with load_in_4bit.",
    "quant_type": "It is bnb_4bit_quant_type, with load_in_4bit.",
    "precision": "Set bf16 or fp16 for training, dtype for the weights.",
    "mixed_precision": "Set bf16 or fp16 for training, dtype for the weights.",
    "wandb_project": "Set the variable WANDB_PROJECT, and report_to to wandb.",
    "project_name": "Set the variable WANDB_PROJECT, and report_to to wandb.",
    "dataset_dir": "dataset_name may be a path: a file, a folder or a Hub id.",
    "overwrite_cache": "Leave it out: what is stored is keyed by what it was made of.",
    "lazy_preprocess": "Leave it out: pictures are opened when their batch comes.",
    "lazy_tokenize": "Leave it out: pictures are opened when their batch comes.",
    "plot_loss": "Leave it out: metrics.jsonl in the run folder holds every loss.",
    "is_multimodal": "Leave it out: rows with pictures are trained with them.",
    "vision_tower": "A model's folder brings its tower; `sightline build` makes a model of a tower and a decoder.",
    "pretrain_mm_mlp_adapter": "A model's folder brings its projector; `sightline build` makes a new one.",
    "mm_projector_type": "A model's folder brings its projector; `sightline build` makes a new one.",
    "mm_vision_select_layer": "The model's config.json says it (vision_feature_layer).",
    "image_aspect_ratio": "The model's own processor prepares pictures.",
    "mm_use_im_start_end": "The model's own processor prepares pictures.",
    "mm_use_im_patch_token": "The model's own processor prepares pictures.",
    "max_samples": "Name part of the rows: dataset_train_split 'train[:100]', or `datasets` with rows.",
    "mix_strategy": "`datasets` mixes sources by fraction or number of rows.",
    "interleave_probs": "`datasets` mixes sources by fraction or number of rows.",
    "export_dir": "output_dir names the folder that gets the model.",
    "adapter_name_or_path": "Training starts from a model: merge the adapter into its base first.",
    "adapters": "Training starts from a model: merge the adapter into its base first.",
}
SAID = {
    "device": "The first GPU is taken where there is one; the variable CUDA_VISIBLE_DEVICES names another.",
    "device_map": "Each process takes its own GPU: start several by `torchrun --nproc_per_node N`.",
    "gpus": "Start one process for each GPU: `torchrun --nproc_per_node N -m sightline.cli.main ...`.",
    "num_gpus": "Start one process for each GPU: `torchrun --nproc_per_node N -m sightline.cli.main ...`.",
    "n_gpu": "Start one process for each GPU: `torchrun --nproc_per_node N -m sightline.cli.main ...`.",
    "temperature": "Answers are the most probable ones, so that they can be repeated.",
    "num_fewshot": "Questions are asked without examples before them.",
    "model_args": "--model names the folder or Hub id.",
    "batch_size": "There is none here.",
    "trust_remote_code": "Sightline never runs code of a model's folder. Leave it out.",
}

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(name: str) -> str:
    """A name as settings are written: `learning-rate` and `learningRate` are `learning_rate`."""
    return _CAMEL.sub("_", name).replace("-", "_").lower()


def our_name(word: str, known: Collection[str]) -> str | None:
    """The known setting that a word stands for without a doubt: another spelling, or one of `SAME` and `TAKEN`."""
    if word in known:
        return word
    written = snake(word)
    names = (written, SAME.get(written), TAKEN.get(written))
    return next((name for name in names if name is not None and name in known), None)


def is_worth_a_line(word: str, name: str) -> bool:
    """Whether whoever typed `word` is told the setting's own name: not for hyphens, nor for one of two equal names."""
    return word.replace("-", "_") != name and SAME.get(snake(word)) != name


def hint(word: str, known: Collection[str]) -> str:
    """What to write in the place of an unknown word: the setting that it means, else its nearest neighbour, or ''."""
    written = snake(word)
    meant = next((name for name, words in _by_meaning() if written in words and name in known), None)
    if meant is not None:
        return f"It is {meant} here."
    said = {**SAID, **(SAID_IN_TRAINING if "learning_rate" in known else {})}
    if written in said:
        return said[written]
    if not written:
        return ""
    # One letter may be wrong, two of a name of twelve: `use_qlora` is no misspelled `use_rslora`.
    return nearest(written, known, max(0.8, 1 - max(1, len(written) // 6) / len(written)))


def check_keys(settings: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Nothing when every key is known; `where` is the file or `COMMAND_LINE`, for the message.

    Raises:
        ConfigError: a key is unknown; the message names the setting that it means, or the nearest known one.
    """
    names = set(known)
    for key, value in settings.items():
        if key in names:
            continue
        shown = f"--{key}" if where == COMMAND_LINE else repr(key)
        said = hint(key, names)
        if not said and isinstance(value, Mapping):
            said = "A recipe has no sections: write the settings in it at the left margin."
        said = said or "No setting has a name like it: see --help, and --help_trl for TRL's own."
        raise ConfigError(f"{where}: unknown key {shown}. {said}")


def renamed(given: Mapping[str, Any], known: Collection[str], start: str = "") -> tuple[dict[str, Any], list[str]]:
    """The settings under their own names, and lines for whoever wrote other ones; `start` begins a message.

    Raises:
        ConfigError: one setting stands there under two names, with two values.
    """
    settings: dict[str, Any] = {}
    written: dict[str, str] = {}
    lines = []
    for word, value in given.items():
        name = our_name(word, known) or word
        if name in settings and settings[name] != value:
            raise ConfigError(
                f"{start}{word}: expected one value, since it is the same as {written[name]}; got {value!r}, and "
                f"{settings[name]!r}. Drop one."
            )
        settings[name], written[name] = value, word
        if is_worth_a_line(word, name):
            lines.append(f"{word} is {name} here")
    return settings, lines


def _by_meaning() -> list[tuple[str, list[str]]]:
    return [(name, words.split()) for name, words in MEANT.items()]
