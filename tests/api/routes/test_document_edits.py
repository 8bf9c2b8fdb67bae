"""Edits over REST: at once or by a job, only of the version that was read, each a version that can be looked at, told
from others and taken back."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from interleaf.schema import Article
from interleaf.text import clean
from tests.agents.editing.pieces import BOAT, HARBOUR, LOCK, MILL, PIECE
from tests.api.library_hands import LibraryHands, picture, zipped
from tests.api.service import Service, problem
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.store.ids import is_id

WISH = {"op": "rewrite", "block_id": "b-p1", "wish": "for children"}


def typed(text: str, block_id: str = "b-p2") -> dict[str, Any]:
    return {"op": "set_text", "block_id": block_id, "text": text}


@pytest.fixture
def at(service: Service) -> str:
    """A document's path; it is at version 1."""
    return f"/v1/documents/{service.piece(PIECE)}"


def test_an_edit_is_a_version_and_everything_else_stays_byte_for_byte(service: Service, at: str) -> None:
    client = service.client()
    read = client.get(at)
    assert read.headers["ETag"].startswith('"1-')
    first = {one["format"]: one["id"] for one in read.json()["artifacts"]}
    assert set(first) == {"html", "json", "md"}
    answer = client.post(f"{at}/edits", json=typed("Mills turn."), headers={"If-Match": read.headers["ETag"]})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["version"], told["artifacts"], answer.headers["Location"]) == (2, [], at)
    assert answer.headers["ETag"].startswith('"2-')
    new = Article.model_validate(told["article"])
    assert next(block.text for block in new.text_blocks if block.id == "b-p2") == "Mills turn."
    assert [b.model_dump_json() for b in new.blocks if b.id != "b-p2"] == [
        b.model_dump_json() for b in PIECE.blocks if b.id != "b-p2"
    ]
    assert new.report.words == told["article"]["report"]["words"] != PIECE.report.words
    # Its files are made by a job, whose message goes out.
    job = client.get(f"/v1/jobs/{told['render_job_id']}").json()
    assert (job["kind"], job["state"]) == ("render", "queued")
    client.get("/v1/jobs")
    assert told["render_job_id"] in service.sent
    assert client.get(at).json()["render_job_id"] == job["id"]
    # The version before is what it was, with its files.
    before = client.get(f"{at}/versions/1").json()
    assert Article.model_validate(before["article"]) == PIECE
    assert {one["format"]: one["id"] for one in before["artifacts"]} == first
    lines = client.get(f"{at}/versions").json()["data"]
    assert [(line["version"], line["how"], (line["edit"] or {}).get("op")) for line in lines] == [
        (2, "edit", "set_text"),
        (1, "made", None),
    ]
    page = client.get(f"{at}/versions?limit=1").json()
    assert (page["has_more"], page["last_id"]) == (True, "2")
    assert [one["version"] for one in client.get(f"{at}/versions?after=2").json()["data"]] == [1]
    assert [one["version"] for one in client.get(f"{at}/versions?before=1").json()["data"]] == [2]
    assert problem(client.get(f"{at}/versions?after=x")) == (422, "invalid_request")
    # One job makes the files of what follows, too.
    again = client.post(f"{at}/edits", json=typed("Mills stop."), headers={"If-Match": '"2"'}).json()
    assert again["render_job_id"] == job["id"]
    diff = client.get(f"{at}/diff?from=1").json()
    assert (diff["from_version"], diff["to_version"]) == (1, 3)
    assert [(one["kind"], one["block_id"]) for one in diff["changes"]] == [("changed", "b-p2")]
    assert "[-" in diff["text"]
    assert "{+" in diff["text"]
    assert client.get(f"{at}/diff").json()["from_version"] == 2
    assert client.get(f"{at}/diff?from=3&to=3").json()["changes"] == []
    assert problem(client.get(f"{at}/diff?to=1")) == (422, "invalid_request")
    assert problem(client.get(f"{at}/diff?from=9")) == (404, "object_unknown")


def test_a_change_says_which_version_it_changes_and_is_refused_when_there_is_a_newer_one(
    service: Service, at: str
) -> None:
    client = service.client()
    for path, body in (("edits", typed("x")), ("undo", None), ("redo", None), ("restore", {"version": 1})):
        for header in ({}, {"If-Match": "*"}):
            assert problem(client.post(f"{at}/{path}", json=body, headers=header)) == (428, "version_unsaid")
        for tag in ('"2"', '"2-abc"', '"x"', "x", 'W/"7", "9"'):
            answer = client.post(f"{at}/{path}", json=body, headers={"If-Match": tag})
            assert problem(answer) == (412, "version_stale"), (path, tag)
    assert client.get(at).json()["version"] == 1
    for number, tag in enumerate(('"1"', 'W/"2-00ff"', '"7", "3-ab"'), 2):
        assert client.post(f"{at}/edits", json=typed(str(number)), headers={"If-Match": tag}).status_code == 201
    assert client.get(at).json()["version"] == 4


def test_undo_redo_and_restore_bring_back_content_and_files(service: Service, at: str) -> None:
    client = service.client()
    first = client.get(at).json()

    def post(path: str, version: int, body: Any = None) -> dict[str, Any]:
        answer = client.post(f"{at}/{path}", json=body, headers={"If-Match": f'"{version}"'})
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        assert told["version"] == version + 1
        return told

    assert problem(client.post(f"{at}/undo", headers={"If-Match": '"1"'})) == (422, "edit_refused")
    post("edits", 1, typed("Two."))
    edited = post("edits", 2, {"op": "delete", "block_id": "b-q1"})
    post("undo", 3)
    undone = post("undo", 4)
    assert undone["article"] == first["article"]
    assert undone["artifacts"] == first["artifacts"], "they were made for this content"
    assert problem(client.post(f"{at}/undo", headers={"If-Match": '"5"'})) == (422, "edit_refused")
    post("redo", 5)
    assert post("redo", 6)["article"] == edited["article"]
    assert problem(client.post(f"{at}/redo", headers={"If-Match": '"7"'})) == (422, "edit_refused")
    assert post("restore", 7, {"version": 1})["article"] == first["article"]
    assert problem(client.post(f"{at}/restore", json={"version": 8}, headers={"If-Match": '"8"'})) == (
        422,
        "edit_refused",
    )
    assert problem(client.post(f"{at}/restore", json={"version": 99}, headers={"If-Match": '"8"'})) == (
        404,
        "object_unknown",
    )
    lines = client.get(f"{at}/versions").json()["data"][::-1]
    assert [(one["how"], one["same_as"]) for one in lines] == [
        ("made", None),
        ("edit", None),
        ("edit", None),
        ("undo", 2),
        ("undo", 1),
        ("redo", 2),
        ("redo", 3),
        ("restore", 1),
    ]
    rendered = client.post(f"{at}/render").json()
    assert (rendered["render_job_id"] is None) == (not service.sent)


def test_pictures_of_the_piece_are_shown_at_once_and_others_are_brought_by_a_job(service: Service, at: str) -> None:
    client = service.client()
    told = client.get(f"{at}/blocks/b-f1/alternatives").json()
    assert (told["picture"]["id"], [one["id"] for one in told["alternatives"]]) == (HARBOUR.id, [MILL.id])
    assert told["alternatives"][0]["score"] == 0.3
    assert told["alternatives"][0]["url"] == f"{at}/pictures/{MILL.id}/file"
    assert problem(client.get(told["picture"]["url"])) == (404, "picture_missing")
    assert problem(client.get(f"{at}/pictures/{BOAT.id}/file")) == (404, "picture_missing")
    assert problem(client.get(f"{at}/blocks/b-p1/alternatives")) == (422, "edit_refused")
    assert problem(client.get(f"{at}/blocks/b-none/alternatives")) == (404, "block_unknown")
    swapped = client.post(
        f"{at}/edits",
        json={"op": "swap_picture", "block_id": "b-f1", "picture_id": MILL.id},
        headers={"If-Match": '"1"'},
    )
    assert swapped.status_code == 201
    figure = Article.model_validate(swapped.json()["article"]).figures[0]
    assert (figure.id, figure.picture_id, figure.alternatives[0].picture_id) == ("b-f1", MILL.id, HARBOUR.id)
    taken = {"op": "swap_picture", "block_id": "b-f1", "picture_id": LOCK.id}
    assert problem(client.post(f"{at}/edits", json=taken, headers={"If-Match": '"2"'})) == (422, "edit_refused")
    found = client.post(f"{at}/edits", json=taken | {"picture_id": BOAT.id}, headers={"If-Match": '"2"'})
    assert (found.status_code, found.json()["kind"], found.json()["state"]) == (202, "edit", "queued")
    assert found.headers["Location"] == f"/v1/jobs/{found.json()['id']}"
    sent = {"op": "insert_picture", "place": {"after": "b-p1"}, "upload_id": "upl_" + "0" * 26}
    assert problem(client.post(f"{at}/edits", json=sent, headers={"If-Match": '"2"'})) == (404, "object_unknown")
    none = client.post(f"{at}/blocks/b-f1/search", json={})
    assert problem(none) == (422, "invalid_request")
    assert problem(client.post(f"{at}/blocks/b-f1/search", json={"libraries": ["x"]})) == (422, "invalid_brief")


def test_a_writers_edit_is_a_job_and_is_refused_at_once_where_it_cannot_fit(service: Service, at: str) -> None:
    client = service.client()
    answer = client.post(f"{at}/edits", json=WISH, headers={"If-Match": '"1"'})
    assert answer.status_code == 202
    job = answer.json()
    assert client.get(at).json()["version"] == 1, "nothing is written before it is done"
    assert problem(client.get(f"/v1/jobs/{job['id']}/brief")) == (404, "object_unknown")
    assert problem(client.post(f"/v1/jobs/{job['id']}/rerun", json={})) == (409, "job_final")
    order = service.jobs.brief(job["id"], service.alice_id)
    assert (order["version"], order["writer"], order["edit"]["wish"]) == (1, "extractive", "for children")
    by = client.post(f"{at}/edits?writer=tiny", json=WISH, headers={"If-Match": '"1"'}).json()
    assert service.jobs.brief(by["id"], service.alice_id)["writer"] == "tiny"
    for body, expected in (
        (WISH | {"block_id": "b-h1"}, (422, "edit_refused")),
        (WISH | {"block_id": "b-none"}, (404, "block_unknown")),
        (WISH | {"block_id": "../x"}, (422, "invalid_body")),
        ({"op": "nothing"}, (422, "invalid_body")),
        ({"op": "insert", "place": {"after": "b-p1"}, "wish": "x", "text": "y"}, (422, "invalid_body")),
    ):
        assert problem(client.post(f"{at}/edits", json=body, headers={"If-Match": '"1"'})) == expected
    waited = client.post(f"{at}/edits", json=WISH, headers={"If-Match": '"1"', "Prefer": "wait=1"})
    assert (waited.status_code, waited.headers["Preference-Applied"]) == (202, "wait=1")


def test_the_same_request_edits_once(service: Service, at: str) -> None:
    client = service.client()
    headers = {"If-Match": '"1"', "Idempotency-Key": "k-1"}
    first = client.post(f"{at}/edits", json=typed("Once."), headers=headers)
    again = client.post(f"{at}/edits", json=typed("Once."), headers=headers)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert client.get(at).json()["version"] == 2
    other = client.post(f"{at}/edits", json=typed("Once."), headers=headers | {"If-Match": '"2"'})
    assert problem(other) == (422, "idempotency_mismatch")
    job = client.post(f"{at}/edits", json=WISH, headers={"If-Match": '"2"', "Idempotency-Key": "k-2"})
    same = client.post(f"{at}/edits", json=WISH, headers={"If-Match": '"2"', "Idempotency-Key": "k-2"})
    assert (same.status_code, same.json()["id"]) == (202, job.json()["id"])


def test_two_who_edit_at_once_never_overwrite_each_other(service: Service, at: str) -> None:
    clients = [service.client() for _ in range(4)]
    clients[0].get(at)
    for version in range(1, 4):
        answers: list[Any] = [None] * 4
        gate = threading.Barrier(4)

        def edit(number: int, version: int = version, answers: list[Any] = answers, gate: Any = gate) -> None:
            gate.wait()
            body = typed(f"{version} by {number}")
            answers[number] = clients[number].post(f"{at}/edits", json=body, headers={"If-Match": f'"{version}"'})

        threads = [threading.Thread(target=edit, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        codes = [answer.status_code for answer in answers]
        assert sorted(codes) == [201, 412, 412, 412]
        text = f"{version} by {codes.index(201)}"
        blocks = clients[0].get(at).json()["article"]["blocks"]
        assert text in [block.get("text") for block in blocks]
    assert clients[0].get(at).json()["version"] == 4


def test_what_is_anothers_is_not_there(service: Service, at: str) -> None:
    bob = service.client(service.bob)
    match = {"If-Match": '"1"'}
    for answer in (
        bob.post(f"{at}/edits", json=typed("x"), headers=match),
        bob.post(f"{at}/edits", json=WISH, headers=match),
        bob.post(f"{at}/undo", headers=match),
        bob.post(f"{at}/redo", headers=match),
        bob.post(f"{at}/restore", json={"version": 1}, headers=match),
        bob.post(f"{at}/render"),
        bob.get(f"{at}/versions"),
        bob.get(f"{at}/versions/1"),
        bob.get(f"{at}/diff"),
        bob.get(f"{at}/blocks/b-f1/alternatives"),
        bob.post(f"{at}/blocks/b-f1/search", json={}),
        bob.get(f"{at}/pictures/{MILL.id}/file"),
        bob.delete(at),
    ):
        assert problem(answer) == (404, "object_unknown"), answer.request.url
    _, reader = service.key("reader", ("jobs:read",))
    for path in ("edits", "undo", "redo", "restore", "render"):
        answer = service.client(reader).post(f"{at}/{path}", json=typed("x"), headers=match)
        assert problem(answer) == (403, "scope_missing")
    assert problem(service.client(reader).delete(at)) == (403, "scope_missing")


def test_a_deleted_document_takes_its_files_and_its_run_folder_with_it(service: Service, at: str) -> None:
    client = service.client()
    told = client.get(at).json()
    run = service.settings.runs_dir / service.jobs.get(told["job_id"], service.alice_id).run_id
    (run / "library").mkdir(parents=True)
    assert client.delete(f"/v1/jobs/{told['job_id']}").status_code == 204
    assert run.is_dir(), "an edit needs it"
    other = client.get(f"/v1/documents/{service.piece(PIECE)}").json()
    assert problem(client.delete(f"/v1/documents/{other['id']}", headers={"If-Match": '"2"'})) == (412, "version_stale")
    kept = service.store.list("jobs")
    assert len(list(kept)) == 3
    assert client.delete(at, headers={"If-Match": '"1"'}).status_code == 204
    assert not run.exists()
    assert problem(client.get(at)) == (404, "object_unknown")
    assert client.delete(f"/v1/documents/{other['id']}").status_code == 204
    assert list(service.store.list("jobs")) == []
    assert client.get(f"/v1/jobs/{other['job_id']}").json()["state"] == "succeeded", "its record stays"


def test_hostile_text_is_kept_as_text_and_what_cannot_be_edited_says_so(service: Service, at: str) -> None:
    client = service.client()
    hostile = "<script>alert(1)</script>\x00\ud800 [x](javascript:alert(1))"
    answer = client.post(
        f"{at}/edits", content=b'{"op":"set_text","block_id":"b-p2","text":' + _json(hostile) + b"}", headers=_JSON
    )
    assert answer.status_code == 201, answer.text
    text = next(b["text"] for b in answer.json()["article"]["blocks"] if b["id"] == "b-p2")
    assert text == clean(hostile)
    assert "<script>" in text
    assert not {"\0", "\ud800"} & set(text)
    foreign = f"/v1/documents/{service.document()}"
    assert problem(client.post(f"{foreign}/edits", json=typed("x"), headers={"If-Match": '"2"'})) == (
        422,
        "edit_refused",
    )
    assert problem(client.get(f"{foreign}/diff")) == (422, "edit_refused")


def test_a_place_is_searched_in_the_briefs_libraries_and_shows_what_was_found(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = LibraryHands(service, monkeypatch)
    others = hands.deliver

    def deliver(named: str) -> None:
        job = hands.store.results.job(named) if is_id("job", named) else None
        kind = "" if job is None else job.kind
        if kind == "edit":
            hands.work.edit(named)
        elif kind != "render":
            others(named)

    service.deliver = deliver  # type: ignore[method-assign,assignment]
    client, names = service.client(), ("a harbour at low tide", "a water mill", "an espresso machine")
    rows = "".join(f'p{number}.png,"{name}"\n' for number, name in enumerate(names))
    files = {f"p{number}.png": picture(number) for number in range(len(names))}
    library = hands.library("coast")
    archive = zipped({**files, "manifest.csv": f"file,caption\n{rows}".encode()})
    assert hands.ingest(library, hands.upload(archive, "coast.zip"))["state"] == "succeeded"
    at = f"/v1/documents/{service.piece(PIECE, libraries=['coast'])}"
    # By the words around it: the paragraph after the figure tells of mills.
    found = client.post(f"{at}/blocks/b-f1/search", json={"k": 2})
    assert found.status_code == 200, found.text
    assert found.json()["hits"][0]["picture"]["caption"] == "a water mill"
    hit = client.post(f"{at}/blocks/b-f1/search", json={"text": "espresso", "libraries": [library], "k": 1}).json()
    chosen = hit["hits"][0]["picture"]
    assert chosen["caption"] == "an espresso machine"
    swap = {"op": "swap_picture", "block_id": "b-f1", "picture_id": chosen["id"]}
    swapped = client.post(f"{at}/edits", json=swap, headers={"If-Match": '"1"', "Prefer": "wait=30"})
    assert (swapped.status_code, swapped.headers["Preference-Applied"]) == (201, "wait=30"), swapped.text
    assert swapped.json()["version"] == 2
    piece = Article.model_validate(swapped.json()["article"])
    assert (piece.figures[0].picture_id, piece.figures[0].caption) == (chosen["id"], "an espresso machine")
    assert piece.picture(chosen["id"]).collection == "coast", "a piece names libraries as people do"
    file = client.get(f"{at}/pictures/{chosen['id']}/file")
    assert (file.status_code, file.content) == (200, client.get(chosen["url"]).content)
    again = client.post(f"{at}/blocks/b-f1/search", json={"text": "espresso", "k": 9}).json()["hits"]
    assert chosen["id"] not in [one["picture"]["id"] for one in again], "it is shown already"
    # A picture of somebody else's library is nowhere; nothing tells that it is there.
    secret = service.client(service.bob)
    theirs = hands.library("theirs", secret)
    hands.ingest(theirs, hands.upload(picture(9), "x.png", secret), client=secret)
    hidden = secret.get(f"/v1/libraries/{theirs}/pictures").json()["data"][0]["id"]
    refused = client.post(
        f"{at}/edits", json=swap | {"picture_id": hidden}, headers={"If-Match": '"2"', "Prefer": "wait=30"}
    )
    assert (refused.status_code, refused.json()["state"]) == (202, "failed")
    assert refused.json()["error"]["code"] == "picture_missing"
    assert client.get(at).json()["version"] == 2
    # What is sent is taken in; what is no picture is refused, and the document stays.
    upload = client.post("/v1/uploads", files={"file": ("y.png", picture(11))}).json()["id"]
    more = {"op": "insert_picture", "place": {"before": "b-p1"}, "upload_id": upload}
    sent = client.post(f"{at}/edits", json=more, headers={"If-Match": '"2"', "Prefer": "wait=30"})
    assert sent.status_code == 201, sent.text
    new = Article.model_validate(sent.json()["article"]).figures[0]
    assert client.get(f"{at}/pictures/{new.picture_id}/file").status_code == 200
    upload = client.post("/v1/uploads", files={"file": ("z.md", b"# no picture")}).json()["id"]
    none = client.post(
        f"{at}/edits", json=more | {"upload_id": upload}, headers={"If-Match": '"3"', "Prefer": "wait=30"}
    )
    assert (none.status_code, none.json()["error"]["code"]) == (202, "picture_unreadable")
    # The piece keeps what it shows when the library goes.
    assert client.delete(f"/v1/libraries/{library}").status_code == 204
    hands.work.sweep(library)
    assert problem(client.get(chosen["url"])) == (404, "object_unknown")
    assert not list((service.settings.libraries_dir / service.alice_id / "pictures").rglob(f"{chosen['id']}*"))
    assert client.get(f"{at}/pictures/{chosen['id']}/file").content == file.content
    run_id = service.jobs.get(client.get(at).json()["job_id"], service.alice_id).run_id
    shelf = PictureShelf(
        RunFolder.at(service.settings.runs_dir, run_id), service.settings.libraries_dir / service.alice_id
    )
    assert shelf.path(chosen["id"]).read_bytes() == file.content
    hands.close()


_JSON = {"If-Match": '"1"', "Content-Type": "application/json"}


def _json(text: str) -> bytes:
    return b'"' + "".join(f"\\u{ord(char):04x}" for char in text).encode() + b'"'
