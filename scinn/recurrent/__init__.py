"""Recurrent networks that are undone to the last bit, with what they forget on a tape: RevGRU, RevLSTM, and their uses.

Names are loaded at their first use, so that importing this package loads no more than what is used of it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.recurrent.attention import Attention
    from scinn.recurrent.decoding import Hypothesis, beam_search, greedy_search
    from scinn.recurrent.fixed_point import forgetting_limits, from_fixed, to_fixed
    from scinn.recurrent.heads import EmbeddingStream, SoftmaxHead
    from scinn.recurrent.language_model import Evaluation, LanguageModel, LanguageStep
    from scinn.recurrent.language_training import QuarterRate, clip_gradients, train_language_model
    from scinn.recurrent.layer_adapter import ReversibleLayer
    from scinn.recurrent.memory import MemoryReport
    from scinn.recurrent.memory_plan import MemoryPlan, plan_memory
    from scinn.recurrent.network import ReversibleNetwork
    from scinn.recurrent.no_forgetting import (
        RepeatResult,
        decode_sequence,
        sequence_ceiling,
        train_repeat_task,
    )
    from scinn.recurrent.ordinary import OrdinaryNetwork
    from scinn.recurrent.reversible import RevGRU, RevLSTM
    from scinn.recurrent.seq2seq import Seq2Seq
    from scinn.recurrent.streaming import Gradients, InputStream, StreamResult, Trace
    from scinn.recurrent.tape import Tape, make_tape
    from scinn.recurrent.tapes import Tapes
    from scinn.recurrent.translation import Translation, corpus_bleu, replace_unknown, translate
    from scinn.recurrent.translation_training import HalveOnRise, evaluate_translation, train_translation

_HOME = {
    "Attention": "attention",
    "EmbeddingStream": "heads",
    "Evaluation": "language_model",
    "Gradients": "streaming",
    "HalveOnRise": "translation_training",
    "Hypothesis": "decoding",
    "InputStream": "streaming",
    "LanguageModel": "language_model",
    "LanguageStep": "language_model",
    "MemoryPlan": "memory_plan",
    "MemoryReport": "memory",
    "OrdinaryNetwork": "ordinary",
    "QuarterRate": "language_training",
    "RepeatResult": "no_forgetting",
    "RevGRU": "reversible",
    "RevLSTM": "reversible",
    "ReversibleLayer": "layer_adapter",
    "ReversibleNetwork": "network",
    "Seq2Seq": "seq2seq",
    "SoftmaxHead": "heads",
    "StreamResult": "streaming",
    "Tape": "tape",
    "Tapes": "tapes",
    "Trace": "streaming",
    "Translation": "translation",
    "beam_search": "decoding",
    "clip_gradients": "language_training",
    "corpus_bleu": "translation",
    "decode_sequence": "no_forgetting",
    "evaluate_translation": "translation_training",
    "forgetting_limits": "fixed_point",
    "from_fixed": "fixed_point",
    "greedy_search": "decoding",
    "make_tape": "tape",
    "plan_memory": "memory_plan",
    "replace_unknown": "translation",
    "sequence_ceiling": "no_forgetting",
    "to_fixed": "fixed_point",
    "train_language_model": "language_training",
    "train_repeat_task": "no_forgetting",
    "train_translation": "translation_training",
    "translate": "translation",
}
_SUBMODULES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))

__all__ = [
    "Attention",
    "EmbeddingStream",
    "Evaluation",
    "Gradients",
    "HalveOnRise",
    "Hypothesis",
    "InputStream",
    "LanguageModel",
    "LanguageStep",
    "MemoryPlan",
    "MemoryReport",
    "OrdinaryNetwork",
    "QuarterRate",
    "RepeatResult",
    "RevGRU",
    "RevLSTM",
    "ReversibleLayer",
    "ReversibleNetwork",
    "Seq2Seq",
    "SoftmaxHead",
    "StreamResult",
    "Tape",
    "Tapes",
    "Trace",
    "Translation",
    "beam_search",
    "clip_gradients",
    "corpus_bleu",
    "decode_sequence",
    "evaluate_translation",
    "forgetting_limits",
    "from_fixed",
    "greedy_search",
    "make_tape",
    "plan_memory",
    "replace_unknown",
    "sequence_ceiling",
    "to_fixed",
    "train_language_model",
    "train_repeat_task",
    "train_translation",
    "translate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        globals()[name] = getattr(importlib.import_module(f"scinn.recurrent.{_HOME[name]}"), name)
        return globals()[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.recurrent.{name}")
    raise AttributeError(f"module 'scinn.recurrent' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
