"""A verdict is wrong when one of its lines is, and says which."""

from __future__ import annotations

from tests.chaos.verdict import Verdict


def test_what_only_informs_is_never_wrong() -> None:
    verdict = Verdict("told")
    verdict.tell("jobs", 3)
    assert verdict.exit_code == 0
    assert verdict.table == "told\n  jobs  3\nAll is right."


def test_a_line_that_is_not_as_it_must_be_is_named() -> None:
    verdict = Verdict("held")
    verdict.equal("rows", 2, 2)
    verdict.none("lost", [])
    verdict.hold("seconds", 7, True, "at most 9")
    assert verdict.exit_code == 0
    verdict.equal("pieces", 2, 3)
    verdict.none("torn", ["a", "b"])
    verdict.hold("seconds", 12, False, "at most 9")
    assert verdict.exit_code == 1
    assert verdict.wrong == [
        "pieces: 2 (must be 3)",
        "torn: 2 (a; b) (must be 0)",
        "seconds: 12 (must be at most 9)",
    ]
    assert verdict.table.count("WRONG") == 3
    assert verdict.table.endswith("3 not right.")
