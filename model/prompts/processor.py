"""Processor: prompts and pictures to the tensors that the network takes.

Every picture's size is read and every token counted before a pixel is decoded, so that a prompt that does not fit is
refused at once. Nothing is ever cut off. Letters: B prompts, L tokens, S tiles of all pictures, P edge of a tile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from interleaf.errors import PromptInvalid, PromptTooLong, WeightsUnusable
from model.json_file import read_object
from model.network.config import XComposerConfig
from model.prompts.image_processor import XComposerImageProcessor
from model.prompts.partition import Layout, Partition
from model.prompts.picture import PictureSource, PreparedPicture
from model.prompts.prompt import PICTURE, Part, PicturePlace, Plumbing, Prompt, Turn, chat, trusted
from model.prompts.tokenizer import XComposerTokenizer
from model.prompts.video import VideoComposite

__all__ = ["XComposerInputs", "XComposerProcessor"]

Source = PictureSource | VideoComposite


class XComposerInputs(BatchFeature):
    """What the processor makes: `input_ids` and `attention_mask` (B, L), and with pictures `pixel_values`
    (S, 3, P, P) and `image_grids` (n, 2). Beside these, which `generate(**inputs)` takes, `pictures` holds each
    prepared picture (its tiles are views of `pixel_values`) with its key for a cache of features."""

    def __init__(self, data: dict[str, Any], pictures: Sequence[PreparedPicture]) -> None:
        super().__init__(data)
        self.pictures = tuple(pictures)

    @property
    def picture_keys(self) -> list[str]:
        """The key of each picture of the batch, in order: equal keys have equal vectors."""
        return [picture.key for picture in self.pictures]


@dataclass(frozen=True)
class _Planned:
    """One prompt with its pictures' layouts: everything but pixels."""

    ids: list[int]
    sources: list[Source]
    layouts: list[Layout]


class XComposerProcessor(ProcessorMixin):
    """Tokenizer and picture preparation of one model. `from_folder` for a converted model's folder.

    `image_token_id`: stands in `input_ids` once for each vector of a picture; `context_length`: most tokens, prompt
    and answer; `bos_per_segment`: whether text behind a picture begins with BOS again, as the 2 and 2-VL code did in
    chat (training did not)."""

    def __init__(
        self,
        image_processor: XComposerImageProcessor,
        tokenizer: XComposerTokenizer,
        image_token_id: int,
        context_length: int,
        bos_per_segment: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, **kwargs)  # type: ignore[no-untyped-call]
        self.image_token_id, self.context_length = image_token_id, context_length
        self.bos_per_segment = bos_per_segment

    @classmethod
    def from_config(cls, config: XComposerConfig, tokenizer: XComposerTokenizer, bos_per_segment: bool = False) -> Self:
        """The processor that fits a network. WeightsUnusable when words could become the picture placeholder."""
        if config.image_token_id < len(tokenizer) and config.image_token_id not in tokenizer.control_ids:
            name = tokenizer.convert_ids_to_tokens(config.image_token_id)
            raise WeightsUnusable(
                "tokenizer",
                f"has the piece {name!r} at {config.image_token_id}, the id that stands for pictures.",
                "Take the tokenizer of the model's own family.",
            )
        images = XComposerImageProcessor.from_config(config)
        return cls(images, tokenizer, config.image_token_id, config.context_length, bos_per_segment)

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Of a folder with tokenizer files and either what `save_pretrained` wrote or a model's config.json."""
        tokenizer = XComposerTokenizer.from_folder(folder)
        if not (folder / "processor_config.json").is_file():
            return cls.from_config(XComposerConfig.from_pretrained(folder, local_files_only=True), tokenizer)
        said = read_object(folder / "processor_config.json")
        try:
            images = XComposerImageProcessor(**{k: v for k, v in said["image_processor"].items() if "_type" not in k})
            return cls(images, tokenizer, said["image_token_id"], said["context_length"], said["bos_per_segment"])
        except (KeyError, TypeError, AttributeError) as error:
            raise WeightsUnusable(
                "processor_config.json", f"lacks or misnames a value ({error}).", "Write it again with save_pretrained."
            ) from error

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Self:
        """As `from_folder`: only local folders; downloads are made by `interleaf models add`."""
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            raise WeightsUnusable(str(pretrained_model_name_or_path), "is no folder.", "Run: interleaf models add")
        return cls.from_folder(folder)

    # Inputs

    def __call__(
        self,
        images: Any = None,
        text: str | Prompt | Sequence[str | Prompt] | None = None,
        *,
        partition: str | Partition | None = None,
        answer_tokens: int = 0,
        pixels: bool = True,
        return_tensors: str = "pt",
        padding: bool = True,
    ) -> XComposerInputs:
        """Prompts, padded on the left, with their pictures.

        `text`: a prompt or several; a str is trusted plumbing in which `<ImageHere>` is a picture's place, a
        `Prompt` keeps a person's words apart. `images`: the prompt's pictures (paths, bytes, Pillow pictures,
        VideoComposite); with several prompts a list for each. `partition`: the budget by name or itself; None takes
        the published one for the prompt's number of pictures. `answer_tokens`: room to leave for the answer.
        `pixels`: False leaves `pixel_values` and `image_grids` out, for callers who keep features of `pictures`.

        PromptInvalid when a prompt says nothing or places and pictures differ in number; PromptTooLong names the
        lengths; PictureUnreadable names the picture."""
        if return_tensors != "pt" or not padding:
            raise PromptInvalid("return_tensors", f"is {return_tensors!r}, padding {padding}.", "Ask for padded 'pt'.")
        prompts = [text] if isinstance(text, str | Prompt) else list(text or ())
        if not prompts:
            raise PromptInvalid("text", "holds no prompt.", "Give at least one.")
        given = self._pictures_by_prompt(images, prompts, single=isinstance(text, str | Prompt))
        planned = [self._planned(p, own, partition) for p, own in zip(prompts, given, strict=True)]
        for plan in planned:
            self._refuse_too_long(plan, answer_tokens)
        pictures = [
            self.image_processor.prepare(source, layout, f"picture {number}")
            for plan in planned
            for number, (source, layout) in enumerate(zip(plan.sources, plan.layouts, strict=True), 1)
        ]
        data: dict[str, Any] = self._padded([plan.ids for plan in planned])
        if pictures and pixels:
            data["pixel_values"] = torch.cat([picture.tiles for picture in pictures])
            data["image_grids"] = torch.tensor([picture.grid for picture in pictures], dtype=torch.int64)
            parts = data["pixel_values"].split([len(picture.tiles) for picture in pictures])
            pictures = [PreparedPicture(t, p.grid, p.key) for t, p in zip(parts, pictures, strict=True)]
        return XComposerInputs(data, pictures)

    def count(
        self,
        text: str | Prompt,
        images: Any = None,
        *,
        partition: str | Partition | None = None,
        answer_tokens: int | None = None,
    ) -> int:
        """How many tokens a prompt has with its pictures, of which only sizes are read. With `answer_tokens`:
        PromptTooLong when that many do not fit behind it."""
        (own,) = self._pictures_by_prompt(images, [text], single=True)
        plan = self._planned(text, own, partition)
        if answer_tokens is not None:
            self._refuse_too_long(plan, answer_tokens)
        return len(plan.ids)

    def ids(self, text: str | Prompt, images: Any = None, *, partition: str | Partition | None = None) -> list[int]:
        """A prompt's ids with the placeholders of its pictures, of which only sizes are read."""
        (own,) = self._pictures_by_prompt(images, [text], single=True)
        return self._planned(text, own, partition).ids

    def apply_chat_template(  # type: ignore[override]
        self,
        conversation: Sequence[Mapping[str, Any]],
        *,
        tokenize: bool = True,
        answer_start: str = "",
        **options: Any,
    ) -> XComposerInputs | Prompt:
        """Messages in transformers' form (`role`, `content` as text or parts of type text and image) as inputs.

        Their texts are words, never plumbing. Without `tokenize` the Prompt itself, for `processor(text=…)`."""
        if not conversation or not all(isinstance(message, Mapping) for message in conversation):
            raise PromptInvalid("conversation", "is no list of messages.", "Give messages with role and content.")
        system, turns, pictures = "", [], []
        for number, message in enumerate(conversation):
            parts, own = _content(message.get("content"))
            if number == 0 and message.get("role") == "system":
                if own:
                    raise PromptInvalid("system", "holds a picture.", "Put pictures into a user's turn.")
                system = "".join(part for part in parts if isinstance(part, str))
                continue
            turns.append(Turn(message.get("role", ""), tuple(parts)))
            pictures += own
        prompt = chat(turns, system=system, answer_start=answer_start)
        for name in ("add_generation_prompt", "return_dict", "return_tensors"):
            options.pop(name, None)
        return self(images=pictures, text=prompt, **options) if tokenize else prompt

    # Inside

    def _pictures_by_prompt(self, images: Any, prompts: Sequence[Any], single: bool) -> list[list[Source]]:
        if images is None:
            return [[] for _ in prompts]
        if not isinstance(images, list | tuple):
            images = [images]
        if single:
            return [list(images)]
        if len(images) != len(prompts) or not all(isinstance(own, list | tuple) for own in images):
            raise PromptInvalid(
                "images", f"do not say which of {len(prompts)} prompts they belong to.", "Give a list for each prompt."
            )
        return [list(own) for own in images]

    def _planned(self, text: str | Prompt, sources: list[Source], partition: str | Partition | None) -> _Planned:
        prompt = (trusted(text) if isinstance(text, str) else text).with_pictures(len(sources))
        self._refuse_empty(prompt)
        layouts = [
            self.image_processor.layout(source, len(sources), partition, f"picture {number}")
            for number, source in enumerate(sources, 1)
        ]
        return _Planned(self._ids(prompt, layouts), sources, layouts)

    def _refuse_empty(self, prompt: Prompt) -> None:
        words = (
            "".join(p for p in self.tokenizer.split_plumbing(part.text) if isinstance(p, str))
            if isinstance(part, Plumbing)
            else part
            for part in prompt.parts
            if not isinstance(part, PicturePlace)
        )
        if not prompt.places and not any(said.strip() for said in words):
            raise PromptInvalid("prompt", "says nothing: it is empty or only blanks.", "Ask something.")

    def _ids(self, prompt: Prompt, layouts: Sequence[Layout]) -> list[int]:
        """All ids of a prompt: text between pictures is cut as one, each picture is so many placeholders."""
        ids: list[int] = []
        segment: list[int | str] = []
        left = iter(layouts)
        first = True

        def end_segment() -> None:
            nonlocal first, segment
            if first or (segment and self.bos_per_segment):
                ids.append(self.tokenizer.bos_token_id)
            ids.extend(self.tokenizer.encode_parts(segment))
            segment, first = [], False

        for part in prompt.parts:
            if isinstance(part, PicturePlace):
                end_segment()
                ids.extend([self.image_token_id] * self.image_processor.vectors(next(left)))
            else:
                segment += self._cut(part)
        end_segment()
        return ids

    def _cut(self, part: Part) -> list[int | str]:
        if isinstance(part, Plumbing):
            cut: list[int | str] = self.tokenizer.split_plumbing(part.text)
            if self.image_token_id in cut:
                raise PromptInvalid("prompt", "holds the placeholder of pictures itself.", "Write <ImageHere> instead.")
            return cut
        return [part] if isinstance(part, str) and part else []

    def _refuse_too_long(self, plan: _Planned, answer_tokens: int) -> None:
        total = len(plan.ids) + answer_tokens
        if total <= self.context_length:
            return
        of_pictures = plan.ids.count(self.image_token_id)
        shown = f", {of_pictures:,} of them for {len(plan.layouts)} pictures," if plan.layouts else ""
        remedy = "Shorten the text, or ask for a shorter answer."
        if plan.layouts:
            remedy = "Give fewer pictures or a smaller budget of tiles, shorten the text, or ask for a shorter answer."
        raise PromptTooLong(
            "prompt",
            f"has {len(plan.ids):,} tokens{shown} and {answer_tokens:,} are kept for the answer; "
            f"{self.context_length:,} fit in all.",
            remedy,
        )

    def _padded(self, rows: list[list[int]]) -> dict[str, Tensor]:
        longest = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        ids = [[pad] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def _content(content: Any) -> tuple[list[str | PicturePlace], list[Source]]:
    """A message's words and places of pictures, and the pictures."""
    if isinstance(content, str):
        return [content], []
    parts: list[str | PicturePlace] = []
    pictures: list[Source] = []
    for item in content if isinstance(content, list | tuple) else [content]:
        said: Mapping[str, Any] = item if isinstance(item, Mapping) else {}
        source = said.get("image", said.get("path"))
        if said.get("type") == "text" and isinstance(said.get("text"), str):
            parts.append(said["text"])
        elif said.get("type") == "image" and source is not None:
            parts.append(PICTURE)
            pictures.append(source)
        else:
            raise PromptInvalid(
                "content",
                f"holds {type(item).__name__} {said.get('type', '')}".rstrip() + ".",
                "Use parts of type text, with text, and image, with image.",
            )
    return parts, pictures
