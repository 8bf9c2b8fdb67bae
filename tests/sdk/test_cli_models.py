"""`interleaf models` as a person and a program use it: what it says, what it does, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interleaf.cli.models import app
from interleaf.errors import CheckpointInvalid, InterleafError, ModelMissing, RequestRefused, Unsupported
from model.weights.seeded import write_checkpoint
from tests.model.tiny_vlms import tiny_vlm
from workers.settings import settings

ROOT = Path(__file__).resolve().parents[2]


class Cli:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [*words, "--models", str(self.folder)], input=stdin)

    def json(self, *words: str) -> Any:
        result = self(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, kind: type[InterleafError], *words: str) -> str:
        result = self(*words)
        assert isinstance(result.exception, kind), result.output
        return result.exception.message


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "models")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("source") / "tiny", shards=2)


def test_adding_and_listing(cli: Cli, source: Path) -> None:
    assert "no models yet" in cli("list").stdout
    said = cli("add", str(source), "--name", "mine")
    assert said.exit_code == 0
    assert "mine: 2d5-7b" in said.stdout and "adapters: lora_sft (rank 6)" in said.stdout
    listed = cli("list").stdout
    assert "interleaf compose brief.yaml --writer mine" in listed
    assert "mine" in listed and "base, write, web" in listed and "bfloat16" in listed
    found = cli.json("list")["models"]
    assert [(m["name"], m["family"], m["merged_task"]) for m in found] == [("mine", "2d5-7b", "base")]
    assert cli.json("add", str(source), "--name", "mine")["name"] == "mine"


def test_merging_and_casting(cli: Cli, source: Path) -> None:
    added = cli.json("add", str(source), "--merge", "web", "--dtype", "fp32")
    assert (added["merged_task"], added["dtype"], added["adapters"]) == ("web", "float32", {})
    assert "merged for web" in cli("add", str(source), "--merge", "web", "--dtype", "fp32").stdout
    assert cli("add", str(source), "--merge", "poem").exit_code == 2


def test_converting_into_a_folder_of_ones_own(cli: Cli, source: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tensors"] > 100 and (tmp_path / "out" / "interleaf.json").is_file()
    assert "2d5-7b" in CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "out")]).stdout


def test_verifying_tells_what_is_wrong_and_ends_with_1(cli: Cli, source: Path) -> None:
    assert "no models yet" in cli("verify").stdout
    cli("add", str(source), "--name", "good")
    cli("add", str(source), "--name", "bad")
    assert cli.json("verify") == {"models": {"bad": [], "good": []}, "ok": True}
    path = cli.folder / "bad" / "adapters" / "lora_web.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said = cli("verify")
    assert said.exit_code == 1
    assert "bad: adapters/lora_web.safetensors: has changed since it was converted" in said.stdout
    assert "bad: 1 problems" in said.stdout and "good: nothing is wrong" in said.stdout
    assert cli("verify", "good").exit_code == 0
    (cli.folder / "bad" / "interleaf.json").unlink()
    assert cli("verify", "bad").exit_code == 1
    assert "interleaf.json" in cli("list").stdout
    cli.refused(ModelMissing, "verify", "none")


def test_a_chat_model_of_another_family_is_copied_listed_verified_and_removed(cli: Cli, tmp_path: Path) -> None:
    tiny_vlm("llava", tmp_path / "Tiny Llava")
    said = cli("add", str(tmp_path / "Tiny Llava"))
    assert said.exit_code == 0, said.output
    assert "tiny-llava: llava, a chat model of transformers · " in said.stdout and "copied as it is" in said.stdout
    listed = cli("list").stdout
    assert "tiny-llava" in listed and "not checked" in listed and "--writer tiny-llava" in listed
    (found,) = cli.json("list")["models"]
    assert (found["model_type"], found["writer"]) == ("llava", True) and found["bytes"] > 10_000
    assert cli.json("verify") == {"models": {"tiny-llava": []}, "ok": True}
    assert "tiny-llava: it opens; there is nothing to hold its weights against" in cli("verify").stdout
    weights = cli.folder / "tiny-llava" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    broken = cli("verify")
    assert broken.exit_code == 1 and "cut off" in broken.stdout
    assert "task adapters" in cli.refused(Unsupported, "add", str(tmp_path / "Tiny Llava"), "--merge", "write")
    assert "copied as it is" in cli.refused(Unsupported, "add", str(tmp_path / "Tiny Llava"), "--dtype", "bf16")
    assert cli("add", str(tmp_path / "Tiny Llava"), "--replace").exit_code == 0 and cli("verify").exit_code == 0
    assert "kB freed" in cli("remove", "tiny-llava", "--yes").stdout
    assert cli.json("list")["models"] == []


def test_removing_asks_first(cli: Cli, source: Path) -> None:
    cli("add", str(source), "--name", "mine")
    assert cli("remove", "mine", stdin="n\n").exit_code == 1
    assert cli.json("list")["models"]
    assert cli("remove", "mine", stdin="y\n").exit_code == 0
    assert cli.json("list")["models"] == []
    assert "there are none yet" in cli.refused(ModelMissing, "remove", "mine", "--yes")


def test_a_hub_id_needs_the_users_word(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The flag and the setting are both named; either is the word, and without one nothing is fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    asked: list[str] = []

    def fetch(hub_id: str, folder: Path, **options: object) -> str:
        asked.append(hub_id)
        shutil.copytree(write_checkpoint(tmp_path / "fetched", "2-7b"), folder)
        return "0" * 40

    monkeypatch.setattr("model.weights.download.fetch", fetch)
    message = cli.refused(RequestRefused, "add", "owner/name")
    assert "--download" in message and "INTERLEAF_DOWNLOADS=true" in message and asked == []
    assert cli.json("add", "owner/name", "--download", "--name", "one")["source"]["revision"] == "0" * 40
    monkeypatch.setenv("INTERLEAF_DOWNLOADS", "true")
    settings.cache_clear()
    try:
        cli.json("add", "owner/name", "--name", "two")
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert asked == ["owner/name", "owner/name"]


def test_bad_checkpoints_end_with_2_and_a_sentence(cli: Cli, source: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(source, tmp_path / "bad"))
    (bad / "pytorch_model-00002-of-00002.bin").unlink()
    assert "names 2 shards, of which 1 is not there" in cli.refused(CheckpointInvalid, "add", str(bad))
    (bad / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "awq", "bits": 4}}))
    assert "4-bit AWQ" in cli.refused(Unsupported, "add", str(bad))
    assert CheckpointInvalid.exit_code == Unsupported.exit_code == 2


def test_the_program_itself(source: Path, tmp_path: Path) -> None:
    """Through the installed command: exit codes, the data folder of the settings, JSON errors on standard output."""
    environment = os.environ | {"INTERLEAF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "interleaf", "models", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, cwd=ROOT)

    done = run("add", str(source), "--name", "[red]")
    assert done.returncode == 2 and "[red]" in done.stderr and "Traceback" not in done.stderr
    assert run("add", str(source), "--name", "mine").returncode == 0
    assert (tmp_path / "home" / "models" / "mine" / "model.safetensors").is_file()
    refused = run("add", str(tmp_path / "nothing"), "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == "request_refused"


def test_help_teaches() -> None:
    for command in ("add", "verify", "convert"):
        said = CliRunner().invoke(app, [command, "--help"]).stdout
        assert "Exit codes" in said and "interleaf models" in said, command
    assert "interleaf models add" in CliRunner().invoke(app, ["--help"]).stdout
