"""Key file: a key that a command takes from a file, so that no list of processes shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["key_in"]

MAX_KEY_FILE_BYTES: Final = 4_096
MIN_KEY_CHARS: Final = 16


def key_in(file: Path) -> str:
    """The file's text without the blanks around it. SettingInvalid when it cannot be read or is no key."""
    from interleaf.errors import SettingInvalid

    try:
        with file.open("rb") as opened:
            key = opened.read(MAX_KEY_FILE_BYTES + 1).decode("ascii").strip()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})."
        raise SettingInvalid(str(file), problem, "Name a file that holds the key.") from error
    except UnicodeDecodeError as error:
        problem = "holds no key: it has bytes beyond ASCII."
        raise SettingInvalid(str(file), problem, "Write one line of letters and digits.") from error
    if not MIN_KEY_CHARS <= len(key) <= MAX_KEY_FILE_BYTES or not key.isprintable() or " " in key:
        raise SettingInvalid(str(file), "holds no key.", "Write one line of 16 letters or more, such as random hex.")
    return key
