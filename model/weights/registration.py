"""Registration: transformers' Auto classes find the network and what feeds it by model_type, without remote code."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from model.network.config import XComposerConfig
from model.network.xcomposer import XComposerForConditionalGeneration
from model.prompts.processor import XComposerProcessor
from model.prompts.tokenizer import XComposerTokenizer

__all__ = ["register"]


def register() -> None:
    """Make the Auto classes know XComposer; calling it again does nothing."""
    AutoConfig.register(XComposerConfig.model_type, XComposerConfig, exist_ok=True)
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        auto.register(XComposerConfig, XComposerForConditionalGeneration, exist_ok=True)
    AutoTokenizer.register(XComposerConfig, tokenizer_class=XComposerTokenizer, exist_ok=True)
    AutoProcessor.register(XComposerConfig, XComposerProcessor, exist_ok=True)
