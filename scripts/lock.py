"""Resolve pyproject.toml (all extras but postgres, dev) into requirements.lock without hosts, paths or local builds."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = """\
# What `make install` installs: pyproject.toml with all extras but postgres and the dev group, resolved together.
# Made by `make lock`; not written by hand. torch is pinned exactly: a looser range pulls gigabytes of CUDA.
"""


def main() -> None:
    print("resolving …", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
                *("--report", str(report), ".[service,video,quantized,tune]", "--group", "dev"),
            ],
            cwd=ROOT,
            check=True,
        )
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    # A local build tag (+cpu) exists on one machine only; the version is what counts.
    pins = {item["metadata"]["name"].lower(): item["metadata"]["version"].split("+")[0] for item in found}
    pins.pop("interleaf")
    if pins.get("torch") != "2.13.0":
        raise SystemExit(f"torch resolved to {pins.get('torch')}, not 2.13.0: nothing was written")
    LOCK.write_text(HEADER + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins)), encoding="utf-8")
    print(f"{LOCK.name}: {len(pins)} packages", file=sys.stderr)


if __name__ == "__main__":
    main()
