"""Documents: read with their blocks, by version, and not twice what is known."""

from __future__ import annotations

from tests.api.service import Service, problem


def test_a_document_is_read_by_version_and_by_etag(service: Service) -> None:
    client = service.client()
    document = service.document()
    artifact = service.artifact(b"<p>", document_id=document)
    at = f"/v1/documents/{document}"
    answer = client.get(at)
    told = answer.json()
    assert (told["version"], told["article"]["blocks"][0]["id"]) == (2, "b-1")
    assert [one["id"] for one in told["artifacts"]] == [artifact]
    etag = answer.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        same = client.get(at, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag)
    assert client.get(at, headers={"If-None-Match": '"x"'}).status_code == 200
    earlier = client.get(f"{at}?version=1")
    assert earlier.json()["article"] == {"title": "old"}
    assert earlier.headers["ETag"] != etag
    assert problem(client.get(f"{at}?version=3")) == (404, "object_unknown")


def test_documents_are_listed_by_page(service: Service) -> None:
    client = service.client()
    made = [service.document(title=f"<script>{number}") for number in range(5)][::-1]
    first = client.get("/v1/documents?limit=2").json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (made[:2], True)
    rest = client.get(f"/v1/documents?after={first['last_id']}").json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (made[2:], False)
    newer = client.get(f"/v1/documents?limit=1&before={made[2]}").json()
    assert ([one["id"] for one in newer["data"]], newer["has_more"]) == ([made[1]], True)
    assert problem(client.get("/v1/documents?after=doc_1")) == (422, "invalid_request")
    assert problem(client.get(f"/v1/documents?after={made[0]}&before={made[1]}")) == (422, "invalid_request")
