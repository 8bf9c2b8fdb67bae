"""Registration: transformers' Auto classes find the network by its model_type, without remote code."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from model.config import XComposerConfig
from model.xcomposer import XComposerForConditionalGeneration

__all__ = ["register"]


def register() -> None:
    """Make `AutoConfig` and the Auto models know XComposer; calling it again does nothing."""
    AutoConfig.register(XComposerConfig.model_type, XComposerConfig, exist_ok=True)
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        auto.register(XComposerConfig, XComposerForConditionalGeneration, exist_ok=True)
