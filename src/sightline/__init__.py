"""Post-train and evaluate vision-language models, computing once whatever a batch shares."""

# Modules in C alone: what takes time to import comes at first use, as Ctrl-C before __main__ runs ends in a traceback.
import sys
from _frozen_importlib_external import PathFinder  # importlib.machinery's
from _thread import RLock

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from typing import Any

    from sightline.answering.ask import ask
    from sightline.evaluation.comparison.run import run_compare
    from sightline.evaluation.eval_config import EvalConfig
    from sightline.evaluation.requests import Asking
    from sightline.evaluation.run import run_eval
    from sightline.evaluation.sources import DataChoice
    from sightline.models.load import load_vlm
    from sightline.settings.loading import LoadingOptions
    from sightline.training.dpo import DPOConfig, DPOTrainer
    from sightline.training.sft import SFTConfig, SFTTrainer

__all__ = [
    "Asking",
    "DPOConfig",
    "DPOTrainer",
    "DataChoice",
    "EvalConfig",
    "LoadingOptions",
    "SFTConfig",
    "SFTTrainer",
    "ask",
    "load_vlm",
    "run_compare",
    "run_eval",
]

_HOMES = {
    "Asking": "sightline.evaluation.requests",
    "DataChoice": "sightline.evaluation.sources",
    "EvalConfig": "sightline.evaluation.eval_config",
    "ask": "sightline.answering.ask",
    "LoadingOptions": "sightline.settings.loading",
    "load_vlm": "sightline.models.load",
    "run_compare": "sightline.evaluation.comparison.run",
    "run_eval": "sightline.evaluation.run",
    "SFTConfig": "sightline.training.sft",
    "SFTTrainer": "sightline.training.sft",
    "DPOConfig": "sightline.training.dpo",
    "DPOTrainer": "sightline.training.dpo",
}
# What scripts for TRL import beside its trainers, from `sightline.training.scripts`.
_OF_SCRIPTS = (
    "BEMACallback DataCollatorForLanguageModeling DataCollatorForPreference "
    "DataCollatorForVisionLanguageModeling DataCollatorForVisionPreference DatasetMixtureConfig "
    "LogCompletionsCallback ModelConfig RichProgressCallback ScriptArguments SyncRefModelCallback "
    "TrlParser apply_chat_template clone_chat_template create_reference_model extract_prompt get_dataset "
    "get_kbit_device_map get_peft_config get_quantization_config get_training_chat_template "
    "init_zero_verbose is_conversational maybe_apply_chat_template maybe_convert_to_chatml "
    "maybe_extract_prompt maybe_unpair_preference_dataset pack_dataset prepare_multimodal_messages "
    "unpair_preference_dataset"
).split()
_ENDED = {
    "DataCollatorForCompletionOnlyLM": "rows of prompt and completion train the completions alone, and "
    "SFTConfig(assistant_only_loss=True) the assistant's turns of messages; a collator of your own may be passed",
    "ConstantLengthDataset": "SFTConfig(packing=True) packs rows",
    "setup_chat_format": "trl.clone_chat_template gives a tokenizer the template of another",
    "SFTScriptArguments": "ScriptArguments has its fields",
    "DPOScriptArguments": "ScriptArguments has its fields",
    "DPODataCollatorWithPadding": "DPOTrainer makes its batches; leave data_collator out",
    "PaddingFreeCollator": "padding_free=True of the config does its work",
    "AutoModelForCausalLMWithValueHead": "its trainer (PPO) is gone",
    "is_xpu_available": "torch.xpu.is_available() tells",
    "is_peft_available": "peft is always installed with Sightline",
}


_one_thread = RLock()  # transformers (5.23) fails where two threads import its parts for the first time


def __getattr__(name: str) -> "Any":
    """Public names, imported at first use, so that `import sightline` loads no torch; TRL's own names, too.

    Raises:
        ImportError: the name is TRL's alone, or was TRL's.
    """
    import importlib
    import importlib.util

    if name in _HOMES:
        with _one_thread:
            return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ENDED:
        raise ImportError(f"sightline has no {name}, nor has TRL 1.16: {_ENDED[name]}.")
    if name in _OF_SCRIPTS:
        return getattr(importlib.import_module("sightline.training.scripts"), name)
    is_ours = name.startswith("_") or importlib.util.find_spec(f"sightline.{name}") is not None
    if not is_ours and name in dir(importlib.import_module("trl")):
        raise ImportError(f"sightline has no {name}. Import it from TRL: from trl import {name}")
    raise AttributeError(f"module 'sightline' has no attribute '{name}'")


class _DeclaringFinder:
    """Declares operators that torchvision's build may lack whenever it is first imported, by whatever comes first."""

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_declared(module: "Any") -> None:
                from sightline.models.torchvision_schemas import declare_torchvision_operators

                declare_torchvision_operators()
                run(module)

            spec.loader.exec_module = run_declared  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _DeclaringFinder())
