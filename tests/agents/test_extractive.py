"""The extractive writer and the fake keep the same contract."""

from __future__ import annotations

import pytest

from agents.context import Writer
from agents.extractive import ExtractiveWriter
from tests.contracts.writer import WriterContract
from tests.fakes import HashingEmbedder, ParrotWriter


class TestParrot(WriterContract):
    @pytest.fixture
    def writer(self) -> Writer:
        return ParrotWriter()


class TestExtractive(WriterContract):
    @pytest.fixture
    def writer(self) -> Writer:
        return ExtractiveWriter(HashingEmbedder())
