"""Names that TRL scripts import beside the trainers: parsers, records, callbacks, collators."""

from __future__ import annotations

from accelerate import PartialState
from torch import accelerator
from trl import (
    BEMACallback,
    DatasetMixtureConfig,
    LogCompletionsCallback,
    ModelConfig,
    RichProgressCallback,
    ScriptArguments,
    SyncRefModelCallback,
    TrlParser,
    apply_chat_template,
    clone_chat_template,
    create_reference_model,
    extract_prompt,
    get_dataset,
    get_peft_config,
    get_quantization_config,
    get_training_chat_template,
    init_zero_verbose,
    is_conversational,
    maybe_apply_chat_template,
    maybe_convert_to_chatml,
    maybe_extract_prompt,
    maybe_unpair_preference_dataset,
    pack_dataset,
    prepare_multimodal_messages,
    unpair_preference_dataset,
)
from trl.trainer.dpo_trainer import DataCollatorForPreference, DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, DataCollatorForVisionLanguageModeling

__all__ = [
    "BEMACallback",
    "DataCollatorForLanguageModeling",
    "DataCollatorForPreference",
    "DataCollatorForVisionLanguageModeling",
    "DataCollatorForVisionPreference",
    "DatasetMixtureConfig",
    "LogCompletionsCallback",
    "ModelConfig",
    "RichProgressCallback",
    "ScriptArguments",
    "SyncRefModelCallback",
    "TrlParser",
    "apply_chat_template",
    "clone_chat_template",
    "create_reference_model",
    "extract_prompt",
    "get_dataset",
    "get_kbit_device_map",
    "get_peft_config",
    "get_quantization_config",
    "get_training_chat_template",
    "init_zero_verbose",
    "is_conversational",
    "maybe_apply_chat_template",
    "maybe_convert_to_chatml",
    "maybe_extract_prompt",
    "maybe_unpair_preference_dataset",
    "pack_dataset",
    "prepare_multimodal_messages",
    "unpair_preference_dataset",
]


def get_kbit_device_map() -> dict[str, int] | None:
    """The whole model on this process's accelerator, None without one; TRL 1.16 has this function no more."""
    return {"": PartialState().local_process_index} if accelerator.is_available() else None
