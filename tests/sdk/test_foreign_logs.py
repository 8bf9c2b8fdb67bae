"""Libraries that warn at import of what is not the user's matter are quiet; their errors still come through."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_is_said_while_the_model_and_the_encoder_are_imported() -> None:
    code = (
        "import model.network.xcomposer, model.weights.weight_only, logging\n"
        "import torchao.quantization, sentence_transformers\n"
        "logging.getLogger('torchao').error('this is an error')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    assert done.stdout == "" and done.stderr.splitlines() == ["this is an error"]
    assert logging.getLogger("torchao").level in (logging.NOTSET, logging.ERROR)
