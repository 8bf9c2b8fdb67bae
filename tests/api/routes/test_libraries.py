"""Picture libraries over REST: made, filled as a job, looked at, searched, deleted; whose they are; what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from interleaf.errors import PictureMissing, ServiceAway
from tests.api.library_hands import LibraryHands, drawn, picture, zipped
from tests.api.service import BRIEF, Service, problem
from workers.store.tables import LibraryRequestRow, LibraryRow

UNKNOWN = "lib_01kaj5v1c8m2n4p6q8r0s2t4v6"
NO_PICTURE = "0" * 64


@pytest.fixture
def hands(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[LibraryHands]:
    made = LibraryHands(service, monkeypatch)
    yield made
    made.close()


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def filled(hands: LibraryHands, name: str = "harbour", count: int = 5) -> tuple[str, list[dict[str, Any]]]:
    """A library, and its pictures as they are told, newest first."""
    library = hands.library(name)
    rows = "".join(f"p{i}.png,boat number {i} at the quay,{'CC0-1.0' if i % 2 else ''}\n" for i in range(count))
    files = {f"p{i}.png": picture(i) for i in range(count)}
    archive = zipped({**files, "manifest.csv": f"file,caption,licence\n{rows}".encode()})
    job = hands.ingest(library, hands.upload(archive, "boats.zip"), author="Jo Lind")
    assert job["state"] == "succeeded", job
    told = hands.service.client().get(f"/v1/libraries/{library}/pictures").json()["data"]
    assert len(told) == count
    return library, told


# Libraries


def test_a_library_is_made_looked_at_and_listed(service: Service) -> None:
    client = service.client()
    made = client.post("/v1/libraries", json={"name": "  old\tharbour ", "description": "Boats."})
    assert made.status_code == 201
    told = made.json()
    assert made.headers["Location"] == f"/v1/libraries/{told['id']}"
    assert (told["name"], told["description"], told["picture_count"], told["bytes"], told["encoder"]) == (
        *("old harbour", "Boats.", 0, 0, None),
    )
    looked = client.get(f"/v1/libraries/{told['id']}")
    assert looked.json() == told
    assert (
        client.get(f"/v1/libraries/{told['id']}", headers={"If-None-Match": looked.headers["ETag"]}).status_code == 304
    )
    ids = [told["id"], *(client.post("/v1/libraries", json={"name": f"n{i}"}).json()["id"] for i in range(4))]
    first = client.get("/v1/libraries?limit=2").json()
    second = client.get(f"/v1/libraries?limit=2&after={first['last_id']}").json()
    assert [one["id"] for one in first["data"] + second["data"]] == ids[:0:-1]
    assert second["has_more"]
    assert [one["id"] for one in client.get("/v1/libraries?name=old%20harbour").json()["data"]] == ids[:1]


def test_a_name_is_one_librarys_until_that_is_deleted(hands: LibraryHands) -> None:
    client, bob = hands.service.client(), hands.service.client(hands.service.bob)
    library = hands.library("harbour")
    assert problem(client.post("/v1/libraries", json={"name": "harbour "})) == (409, "name_taken")
    assert bob.post("/v1/libraries", json={"name": "harbour"}).status_code == 201
    assert client.delete(f"/v1/libraries/{library}").status_code == 204
    assert client.post("/v1/libraries", json={"name": "harbour"}).status_code == 201


def test_markup_in_a_name_is_text(hands: LibraryHands) -> None:
    name = "<script>alert(1)</script> ../../etc \u202egpj.exe"
    library = hands.library(name)
    told = hands.service.client().get(f"/v1/libraries/{library}").json()
    assert "<script>alert(1)</script>" in told["name"]
    job = hands.ingest(library, hands.upload(picture(1)))
    assert job["state"] == "succeeded"
    # Of all that a person says nothing becomes a part of a path.
    home = hands.service.settings.libraries_dir
    assert [folder.name for folder in home.iterdir()] == [hands.service.alice_id]
    assert not [path for path in home.rglob("*") if "script" in path.name or "etc" in path.name]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": " \n "}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "x", "description": "y" * 2001}, "/description"),
        ({"name": "x", "path": "/etc"}, "/path"),
        ({"name": 7}, "/name"),
    ],
)
def test_a_wrong_order_is_pointed_at(service: Service, body: Any, pointer: str) -> None:
    answer = service.client().post("/v1/libraries", json=body)
    assert problem(answer) == (422, "invalid_body")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_an_idempotency_key_makes_one_library(service: Service) -> None:
    client = service.client()
    asked = {"json": {"name": "harbour"}, "headers": {"Idempotency-Key": "a"}}
    first, second = client.post("/v1/libraries", **asked), client.post("/v1/libraries", **asked)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(client.get("/v1/libraries").json()["data"]) == 1


def test_a_key_needs_the_scope_to_change_libraries(hands: LibraryHands) -> None:
    service = hands.service
    library = hands.library()
    upload = hands.upload(picture(1))
    job = hands.ingest(library, upload)
    read_only = service.client(service.key("r", ("jobs:read", "jobs:write"))[1])
    for ask in (
        lambda: read_only.post("/v1/libraries", json={"name": "x"}),
        lambda: read_only.delete(f"/v1/libraries/{library}"),
        lambda: read_only.post(f"/v1/libraries/{library}/ingests", json={"uploads": [upload]}),
        lambda: read_only.delete(f"/v1/libraries/{library}/pictures/{NO_PICTURE}"),
    ):
        assert problem(ask()) == (403, "scope_missing")
    assert read_only.get("/v1/libraries").json()["data"] == []
    with_less = service.keys.create("less", ("jobs:write", "library:write"))[1]
    client = service.client(with_less)
    own = hands.library("own", client)
    theirs = hands.upload(picture(2), client=client)
    assert problem(client.get(f"/v1/libraries/{own}")) == (403, "scope_missing")
    assert client.post(f"/v1/libraries/{own}/ingests", json={"uploads": [theirs]}).status_code == 202
    assert service.client().post(f"/v1/jobs/{job['id']}/rerun").status_code == 202


# Ingests


def test_an_ingest_is_a_job_that_tells_what_became_of_every_file(hands: LibraryHands) -> None:
    client, library = hands.service.client(), hands.library()
    small = io.BytesIO()
    drawn(1).resize((48, 48)).save(small, "PNG")
    archive = zipped(
        {"a/one.png": picture(1), "a/copy.png": picture(1), "a/notes.docx": b"PK", "b/bad.png": b"\x89PNG"}
    )
    uploads = [hands.upload(archive, "all.zip"), hands.upload(small.getvalue(), "small.png")]
    job = hands.ingest(library, *uploads, licence="cc by 4.0", source_url="https://example.org/p")
    assert (job["kind"], job["state"], job["error"]) == ("ingest", "succeeded", None)
    report = job["result"]["report"]
    assert report["library_id"] == library
    assert report["counts"] == {
        "added": 1,
        "already_there": 0,
        "described": 0,
        "duplicates": 2,
        "refused": 1,
        "notes": 0,
        "ignored_files": 1,
    }
    assert {one["name"] for one in report["duplicates"]} == {"all.zip/a/one.png", "small.png"}
    assert report["refused"][0]["name"] == "all.zip/b/bad.png"
    told = client.get(f"/v1/libraries/{library}/pictures").json()["data"]
    assert [(one["id"], one["licence"], one["source_url"]) for one in told] == [
        (report["added"][0], "CC-BY-4.0", "https://example.org/p")
    ]
    names = [one["name"] for one in client.get(f"/v1/jobs/{job['id']}/events").json()["data"]]
    assert names[:3] == ["job.queued", "job.started", "stage.started"]
    assert names[-1] == "job.succeeded"
    looked = client.get(f"/v1/libraries/{library}").json()
    assert (looked["picture_count"], looked["bytes"]) == (1, told[0]["size_bytes"])
    assert looked["encoder"].startswith("hashing@")
    # The same once more changes nothing.
    again = hands.ingest(library, *uploads)["result"]["report"]["counts"]
    assert (again["added"], again["already_there"], again["duplicates"]) == (0, 1, 1)
    # Their copies do not stay in the work folder.
    assert not list(hands.service.settings.runs_dir.rglob("upl_*"))


def test_an_ingest_answers_at_once_and_once(hands: LibraryHands) -> None:
    client, library = hands.service.client(), hands.library()
    hands.idle = True
    asked = {"json": {"uploads": [f"upload:{hands.upload(picture(1))}"]}, "headers": {"Idempotency-Key": "a"}}
    path = f"/v1/libraries/{library}/ingests?external_id=mine&metadata=team:boats"
    first, second = client.post(path, **asked), client.post(path, **asked)
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    assert (first.json()["external_id"], first.json()["metadata"]) == ("mine", {"team": "boats"})
    assert first.headers["Location"] == f"/v1/jobs/{first.json()['id']}"
    assert [one["id"] for one in client.get("/v1/jobs?kind=ingest").json()["data"]] == [first.json()["id"]]
    assert client.post(f"/v1/jobs/{first.json()['id']}/cancel").json()["state"] == "canceled"
    assert problem(client.get(f"/v1/jobs/{first.json()['id']}/brief")) == (404, "object_unknown")


def test_an_ingest_is_done_again_and_gone_on_with(hands: LibraryHands) -> None:
    client, library = hands.service.client(), hands.library()
    upload = hands.upload(picture(1))
    job = hands.ingest(library, upload)
    other = hands.upload(picture(2))
    again = client.post(
        f"/v1/jobs/{job['id']}/rerun", json={"uploads": [upload, other]}, headers={"Prefer": "wait=60"}
    ).json()
    assert again["result"]["report"]["counts"]["added"] == 1
    assert problem(client.post(f"/v1/jobs/{job['id']}/rerun", json={"kind": "article"})) == (422, "invalid_body")
    assert problem(client.post(f"/v1/jobs/{job['id']}/rerun", json={"library_id": UNKNOWN})) == (404, "object_unknown")
    hands.idle = True
    queued = client.post(f"/v1/libraries/{library}/ingests", json={"uploads": [hands.upload(picture(3))]}).json()
    client.post(f"/v1/jobs/{queued['id']}/cancel")
    hands.idle = False
    retried = client.post(f"/v1/jobs/{queued['id']}/retry", headers={"Prefer": "wait=60"}).json()
    assert (retried["state"], retried["retry_of"]) == ("succeeded", queued["id"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"uploads": []},
        {"uploads": ["/etc/passwd"]},
        {"uploads": ["upl_../../etc"]},
        {"uploads": ["upl_01kaj5v1c8m2n4p6q8r0s2t4v6"], "dedupe": "loosely"},
        {"uploads": ["upl_01kaj5v1c8m2n4p6q8r0s2t4v6"], "library_id": UNKNOWN},
    ],
)
def test_a_wrong_ingest_is_refused(hands: LibraryHands, body: Any) -> None:
    answer = hands.service.client().post(f"/v1/libraries/{hands.library()}/ingests", json=body)
    assert problem(answer) == (422, "invalid_body")


def test_uploads_that_are_not_there_are_unknown(hands: LibraryHands) -> None:
    service, library = hands.service, hands.library()
    bobs = hands.upload(picture(1), client=service.client(service.bob))
    for upload in (bobs, "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"):
        answer = service.client().post(f"/v1/libraries/{library}/ingests", json={"uploads": [upload]})
        assert problem(answer) == (404, "object_unknown")


def test_an_upload_that_went_meanwhile_is_named(hands: LibraryHands) -> None:
    client, library = hands.service.client(), hands.library()
    hands.idle = True
    upload = hands.upload(picture(1))
    job = client.post(f"/v1/libraries/{library}/ingests", json={"uploads": [upload]}).json()
    assert client.delete(f"/v1/uploads/{upload}").status_code == 204
    hands.work.ingest(job["id"])
    told = client.get(f"/v1/jobs/{job['id']}").json()
    assert (told["state"], told["error"]["code"]) == ("failed", "invalid_request")
    assert upload in told["error"]["detail"]


# What is hostile


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(width + 1) * 64, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_bombs_and_paths_that_lead_out_harm_nobody(hands: LibraryHands, tmp_path: Path) -> None:
    library = hands.library()
    before = sorted(path for path in tmp_path.rglob("*") if "home0" not in path.parts)
    packed = zipped({"huge.png": b"\x89PNG\r\n\x1a\n" + bytes(64 * 2**20)}, zipfile.ZIP_DEFLATED)
    leading_out = zipped(
        {
            "../../../escape.png": picture(3),
            "/etc/cron.d/x.png": picture(4),
            "..\\..\\w.png": picture(5),
            "C:\\t.png": picture(6),
        }
    )
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", zipped({"p.png": picture(7)}))
    uploads = [
        hands.upload(packed, "bomb.zip"),
        hands.upload(bomb(60_000, 60_000), "pixels.png"),
        hands.upload(leading_out, "paths.zip"),
        hands.upload(linked.getvalue(), "links.zip"),
        hands.upload(b"# no picture\n", "words.md"),
        hands.upload(picture(1), "good.png"),
    ]
    job = hands.ingest(library, *uploads)
    assert job["state"] == "succeeded", job
    report = job["result"]["report"]
    reasons = {one["name"]: one["reason"] for one in report["refused"]}
    assert set(reasons) == {"bomb.zip/huge.png", "pixels.png", "links.zip/inner.zip", "words.md"}
    assert "packed more tightly" in reasons["bomb.zip/huge.png"]
    assert "megapixels" in reasons["pixels.png"]
    told = hands.service.client().get(f"/v1/libraries/{library}/pictures").json()["data"]
    assert {one["name"] for one in told} == {"good.png", "escape.png", "x.png", "w.png", "t.png"}
    assert before == sorted(path for path in tmp_path.rglob("*") if "home0" not in path.parts)
    root = hands.service.settings.libraries_dir / hands.service.alice_id
    assert {path.stem for path in (root / "pictures").rglob("*") if path.is_file()} == {one["id"] for one in told}


def test_an_ingest_of_no_picture_fails_and_says_why(hands: LibraryHands) -> None:
    library = hands.library()
    for content, name in ((b"only words", "a.txt"), (zipped({}), "empty.zip"), (zipped({"a.txt": b"x"}), "words.zip")):
        job = hands.ingest(library, hands.upload(content, name))
        assert (job["state"], job["error"]["code"]) == ("failed", "picture_unreadable")
        assert job["result"]["report"]["counts"]["added"] == 0
    assert hands.service.client().get(f"/v1/libraries/{library}").json()["picture_count"] == 0


def test_what_a_key_stores_is_bounded_with_its_pictures(hands: LibraryHands) -> None:
    service = hands.service
    # Noise, so that what is stored is about as large as what was sent.
    noise = [io.BytesIO() for _ in range(2)]
    for number, out in enumerate(noise):
        data = b"".join(hashlib.sha256(f"{number} {i}".encode()).digest() for i in range(200 * 200 * 3 // 32 + 1))
        Image.frombytes("RGB", (200, 200), data[: 200 * 200 * 3]).save(out, "PNG")
    size = len(noise[0].getvalue())
    _, secret = service.key("small", max_stored_bytes=int(size * 3.5))
    client = service.client(secret)
    library = hands.library("l", client)
    first = hands.ingest(library, hands.upload(noise[0].getvalue(), client=client), client=client)
    assert first["state"] == "succeeded"
    # One upload and one picture are there; another upload fits, and is one too many for a second picture.
    second = hands.upload(noise[1].getvalue(), client=client)
    ended = hands.ingest(library, second, client=client)
    assert ended["state"] == "succeeded"
    third = hands.ingest(library, second, client=client)
    assert (third["state"], third["error"]["code"]) == ("incomplete", "quota_reached")
    refused = client.post("/v1/uploads", files={"file": ("b.png", picture(9))})
    assert problem(refused) == (429, "quota_reached")
    assert client.delete(f"/v1/libraries/{library}").status_code == 204
    assert client.post("/v1/uploads", files={"file": ("b.png", picture(9))}).status_code == 201


def test_an_ingest_stops_where_the_quota_ends(hands: LibraryHands) -> None:
    pictures = {f"p{i:03}.png": picture(i) for i in range(120)}
    archive = zipped(pictures)
    room = sum(len(content) for content in list(pictures.values())[:50])
    _, secret = hands.service.key("small", max_stored_bytes=len(archive) + room)
    client = hands.service.client(secret)
    library = hands.library("l", client)
    job = hands.ingest(library, hands.upload(archive, "a.zip", client), client=client, dedupe="exact")
    assert (job["state"], job["error"]["code"]) == ("incomplete", "quota_reached")
    # What came until then is there, and counted.
    looked = client.get(f"/v1/libraries/{library}").json()
    assert 50 <= looked["picture_count"] < 120
    assert looked["bytes"] > room


# Pictures


def test_pictures_are_listed_page_by_page_and_filtered(hands: LibraryHands) -> None:
    library, told = filled(hands)
    client, path = hands.service.client(), f"/v1/libraries/{library}/pictures"
    assert {one["author"] for one in told} == {"Jo Lind"}
    assert {one["library_id"] for one in told} == {library}
    first = client.get(f"{path}?limit=2")
    assert 'rel="next"' in first.headers["Link"]
    second = client.get(f"{path}?limit=2&after={first.json()['last_id']}").json()
    assert first.json()["data"] + second["data"] == told[:4]
    back = client.get(f"{path}?limit=2&before={second['first_id']}").json()
    assert back["data"] == first.json()["data"]
    free = client.get(f"{path}?licence=open").json()["data"]
    assert [one["licence"] for one in free] == ["CC0-1.0", "CC0-1.0"]
    assert client.get(f"{path}?licence=CC0-*&licence=MIT").json()["data"] == free
    assert client.get(f"{path}?min_width_px=97").json()["data"] == []
    assert client.get(f"{path}?id_prefix={told[0]['id'][:10]}").json()["data"] == told[:1]
    assert client.get(f"{path}/{told[0]['id']}").json() == told[0]


@pytest.mark.parametrize(
    "query", ["after=x", f"after={NO_PICTURE}", f"before={NO_PICTURE}", "limit=0", "id_prefix=..", "min_width_px=0"]
)
def test_a_wrong_page_is_refused(hands: LibraryHands, query: str) -> None:
    library, _ = filled(hands, count=1)
    assert problem(hands.service.client().get(f"/v1/libraries/{library}/pictures?{query}")) == (422, "invalid_request")


def test_a_pictures_file_comes_whole_or_in_part(hands: LibraryHands) -> None:
    _, told = filled(hands, count=1)
    client, path = hands.service.client(), told[0]["url"]
    whole = client.get(path)
    assert whole.status_code == 200
    assert whole.headers["Content-Type"] == told[0]["media_type"]
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{told[0]["id"]}.png"'
    assert whole.headers["ETag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert Image.open(io.BytesIO(whole.content)).size == (96, 96)
    assert client.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    part = client.get(path, headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert problem(client.get(path, headers={"Range": "bytes=999999-"})) == (416, "range_unsatisfiable")
    lost = hands.service.settings.libraries_dir / hands.service.alice_id / "pictures"
    next(lost.rglob("*.png")).unlink()
    assert problem(client.get(path)) == (404, "picture_missing")


def test_a_picture_is_removed(hands: LibraryHands) -> None:
    library, told = filled(hands, count=2)
    client, path = hands.service.client(), f"/v1/libraries/{library}/pictures"
    assert client.delete(f"{path}/{told[0]['id']}").status_code == 204
    assert problem(client.delete(f"{path}/{told[0]['id']}")) == (404, "picture_missing")
    assert problem(client.get(told[0]["url"])) == (404, "picture_missing")
    assert client.get(path).json()["data"] == told[1:]
    looked = client.get(f"/v1/libraries/{library}").json()
    assert (looked["picture_count"], looked["bytes"]) == (1, told[1]["size_bytes"])
    for strange in ("x", "..%2f..%2fcatalog.sqlite", "%00", "0" * 64):
        assert client.get(f"{path}/{strange}").status_code == 404
        assert client.get(f"{path}/{strange}/file").status_code == 404
        assert client.delete(f"{path}/{strange}").status_code == 404


def test_a_picture_of_another_library_is_not_removed_by_a_late_request(hands: LibraryHands) -> None:
    library, told = filled(hands, count=1)
    other = hands.library("other")
    requests, owner = hands.store.library_requests, hands.service.alice_id
    # As when the picture left this library after the door had looked.
    late = requests.ask(owner, other, "remove", {"picture_id": told[0]["id"]}, 60)
    hands.deliver(late.id)
    with pytest.raises(PictureMissing):
        requests.answer(late.id)
    assert hands.service.client().get(f"/v1/libraries/{library}/pictures").json()["data"] == told


# Searches


def test_pictures_are_found_by_words(hands: LibraryHands) -> None:
    library, told = filled(hands)
    answer = hands.search(library, text="boat number 3", k=2)
    assert answer.status_code == 200, answer.text
    hits = answer.json()["hits"]
    assert len(hits) == 2
    assert hits[0]["picture"] == next(one for one in told if one["caption"] == "boat number 3 at the quay")
    assert hits[0]["score"] >= hits[1]["score"]
    free = hands.search(library, text="boat", licence_policy="open").json()["hits"]
    assert {hit["picture"]["licence"] for hit in free} == {"CC0-1.0"}
    assert hands.search(library, text="boat", min_width_px=97).json() == {"hits": []}
    assert hands.search(hands.library("empty"), text="boat").json() == {"hits": []}


def test_pictures_are_found_by_a_picture(hands: LibraryHands) -> None:
    library, _ = filled(hands)
    same = hands.search(library, picture=hands.upload(picture(2)), k=3).json()["hits"]
    assert same[0]["picture"]["caption"] == "boat number 2 at the quay"
    assert same[0]["score"] == 1.0
    smaller = io.BytesIO()
    drawn(4).resize((64, 64)).save(smaller, "JPEG", quality=80)
    like = hands.search(library, picture=f"upload:{hands.upload(smaller.getvalue(), 'b.jpg')}").json()["hits"]
    assert like[0]["picture"]["caption"] == "boat number 4 at the quay"
    bad = hands.search(library, picture=hands.upload(bomb(60_000, 60_000), "p.png"))
    assert problem(bad) == (422, "picture_unreadable")
    assert problem(hands.search(library, picture=hands.upload(b"words", "w.txt"))) == (422, "picture_unreadable")


def test_a_search_sees_the_library_as_it_is_now(hands: LibraryHands) -> None:
    library, _ = filled(hands, count=2)
    assert len(hands.search(library, text="boat").json()["hits"]) == 2
    archive = zipped({"n.png": picture(8), "n.png.json": json.dumps({"caption": "a boat of steel"}).encode()})
    hands.ingest(library, hands.upload(archive, "n.zip"))
    hits = hands.search(library, text="boat of steel").json()["hits"]
    assert (len(hits), hits[0]["picture"]["caption"]) == (3, "a boat of steel")
    hands.service.client().delete(f"/v1/libraries/{library}/pictures/{hits[0]['picture']['id']}")
    assert len(hands.search(library, text="boat").json()["hits"]) == 2


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"text": "a", "picture": "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"},
        {"text": ""},
        {"text": " \n"},
        {"text": "x" * 4_001},
        {"text": "a", "k": 0},
        {"text": "a", "k": 101},
        {"text": "a", "k": "many"},
        {"text": "a", "min_width_px": 0},
        {"text": "a", "collections": ["other"]},
        {"picture": "/etc/passwd"},
        {"text": "a", "licence_policy": {"allowed": 7}},
    ],
)
def test_a_wrong_search_is_refused(hands: LibraryHands, asked: Any) -> None:
    assert problem(hands.search(hands.library(), **asked)) == (422, "invalid_body")


def test_without_a_worker_a_search_ends_with_503(make_service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service: Service = make_service(library_wait_s=0.3)
    hands = LibraryHands(service, monkeypatch)
    library = hands.library()
    hands.idle = True
    answer = hands.search(library, text="boats")
    assert problem(answer) == (503, "library_unanswered")
    assert "no worker answered" in answer.json()["detail"]
    assert problem(service.client().get(f"/v1/problems/{answer.json()['code']}"))[1] == "library_unanswered"
    with service.database.reading() as session:  # nobody answers it later
        assert session.query(LibraryRequestRow).count() == 0
    hands.close()


def test_without_a_queue_a_search_ends_with_503(hands: LibraryHands) -> None:
    def away(named: str) -> None:
        raise ServiceAway("queue", "cannot be reached.", "")

    library = hands.library()
    hands.service.deliver = away  # type: ignore[method-assign]
    hands.service.__dict__.pop("app")
    hands.service.__dict__.pop("_portal")
    answer = hands.search(library, text="boats")
    assert problem(answer) == (503, "library_unanswered")
    assert "queue" in answer.json()["detail"]
    # An ingest is taken in all the same.
    taken = hands.service.client().post(
        f"/v1/libraries/{library}/ingests", json={"uploads": [hands.upload(picture(1))]}
    )
    assert taken.status_code == 202


def test_what_fails_inside_is_not_told(hands: LibraryHands, monkeypatch: pytest.MonkeyPatch) -> None:
    library, _ = filled(hands, count=1)

    def broken(*_: Any) -> Any:
        raise ValueError("/secret/path.py")

    monkeypatch.setattr("retrieval.library.PictureLibrary.search", broken)
    answer = hands.search(library, text="boat")
    assert answer.status_code == 500
    assert "secret" not in answer.text


# Whose it is


def test_nobody_sees_or_changes_what_is_anothers(hands: LibraryHands) -> None:
    library, told = filled(hands, count=2)
    bob = hands.service.client(hands.service.bob)
    upload = hands.upload(picture(1), client=bob)
    path = f"/v1/libraries/{library}"
    one = f"{path}/pictures/{told[0]['id']}"
    for answer in (
        bob.get(path),
        bob.delete(path),
        bob.post(f"{path}/ingests", json={"uploads": [upload]}),
        bob.get(f"{path}/pictures"),
        bob.get(one),
        bob.get(f"{one}/file"),
        bob.delete(one),
        bob.post(f"{path}/search", json={"text": "boat"}),
        bob.get("/v1/libraries/x"),
        bob.get(f"/v1/libraries/{UNKNOWN}"),
    ):
        assert problem(answer) == (404, "object_unknown")
    assert bob.get("/v1/libraries").json()["data"] == []
    own = hands.library("harbour", bob)
    # The same pixels in a library of his own, and of his own only.
    hands.ingest(own, hands.upload(picture(0), "his.png", client=bob), client=bob)
    hits = hands.search(own, bob, text="his").json()["hits"]
    assert [hit["picture"]["caption"] for hit in hits] == ["his"]
    assert bob.get(f"/v1/libraries/{own}/pictures/{told[0]['id']}").status_code == 404
    assert problem(hands.search(own, bob, picture=hands.upload(picture(1)))) == (404, "object_unknown")
    assert hands.service.client().get(f"{path}/pictures").json()["data"] == told


# Briefs


def test_a_brief_names_libraries_by_name_or_id(hands: LibraryHands) -> None:
    hands.idle = True
    library = hands.library("harbour")
    client = hands.service.client()
    for named in ("harbour", library):
        assert client.order(BRIEF | {"libraries": [named]}).status_code == 202
    hands.library("bobs", hands.service.client(hands.service.bob))
    for named in ("bobs", UNKNOWN, "/etc", "default"):
        answer = client.order(BRIEF | {"libraries": [library, named]})
        assert problem(answer) == (422, "invalid_brief")
        assert answer.json()["errors"][0]["pointer"] == "/libraries/1"


# Deletion


def test_a_deleted_library_is_gone_with_its_pictures(hands: LibraryHands) -> None:
    library, told = filled(hands, count=3)
    other, _ = filled(hands, "other", count=1)
    client = hands.service.client()
    assert client.delete(f"/v1/libraries/{library}").status_code == 204
    for path in (f"/v1/libraries/{library}", f"/v1/libraries/{library}/pictures", told[0]["url"]):
        assert problem(client.get(path)) == (404, "object_unknown")
    assert problem(client.delete(f"/v1/libraries/{library}")) == (404, "object_unknown")
    assert problem(client.order(BRIEF | {"libraries": ["harbour"]})) == (422, "invalid_brief")
    root = hands.service.settings.libraries_dir / hands.service.alice_id / "pictures"
    # What the other library shows stays.
    until(lambda: len(list(root.rglob("*.png"))) == 1)
    with hands.service.database.reading() as session:
        assert [row.id for row in session.query(LibraryRow)] == [other]
    assert len(client.get(f"/v1/libraries/{other}/pictures").json()["data"]) == 1


def test_a_message_that_was_lost_is_sent_again_for_a_deleted_library(hands: LibraryHands) -> None:
    library, _ = filled(hands, count=1)
    hands.idle = True
    assert hands.service.client().delete(f"/v1/libraries/{library}").status_code == 204
    assert list(hands.store.libraries.sweeps()) == [library]
    assert list(hands.store.libraries.sweeps()) == []  # until a minute has passed
    hands.work.sweep(library)
    assert hands.store.libraries.standing(library) is None


def test_an_ingest_into_a_library_that_went_fails(hands: LibraryHands) -> None:
    client, library = hands.service.client(), hands.library()
    hands.idle = True
    job = client.post(f"/v1/libraries/{library}/ingests", json={"uploads": [hands.upload(picture(1))]}).json()
    client.delete(f"/v1/libraries/{library}")
    hands.work.ingest(job["id"])
    told = client.get(f"/v1/jobs/{job['id']}").json()
    assert (told["state"], told["error"]["code"]) == ("failed", "object_unknown")
