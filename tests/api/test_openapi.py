"""OpenAPI: the description is a valid one, and programs that go by it find no answer that it does not say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.agents.editing.pieces import PIECE
from tests.api.library_hands import LibraryHands, picture
from tests.api.service import BRIEF, Service
from workers.store.webhooks import Webhooks

OPEN = {"/healthz", "/readyz", "/v1/problems/{code}"}
EXAMPLES = 25
CHECKS: Any = [status_code_conformance, content_type_conformance, response_schema_conformance]


def described(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.client("").get("/v1/openapi.json").json()
    return found


def webhook_of(service: Service) -> dict[str, str]:
    """A webhook of Alice's with a message, by the parameters that name them."""
    webhooks = Webhooks(service.database)
    made, _ = webhooks.create(service.alice_id, "https://hooks.example.org/", ["job.failed"])
    message = webhooks.ping(made.id, service.alice_id)
    return {"webhook_id": made.id, "secret_id": made.secrets[0].id, "message_id": message.id}


def test_it_is_openapi_3_1(service: Service) -> None:
    told = described(service)
    OpenAPIV31SpecValidator(told).validate()
    assert told["openapi"].startswith("3.1")


def test_every_operation_is_named_and_says_its_problems(service: Service) -> None:
    told = described(service)
    names = set()
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            name = operation["operationId"]
            assert re.fullmatch(r"[a-z][A-Za-z]+", name), where
            assert name not in names, where
            names.add(name)
            assert operation["summary"], where
            assert operation["description"], where
            answers = operation["responses"]
            assert "500" in answers, where
            if path not in OPEN:
                assert {"401", "403", "429", "503"} <= set(answers), where
                assert operation["security"], where
            if "{" in path:
                assert "404" in answers, where
            if "requestBody" in operation:
                assert {"400", "413", "415", "422"} <= set(answers), where
            for status, answer in answers.items():
                if method == "head":
                    assert "content" not in answer, (where, status)
                elif int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (where, status)
    assert {"createJob", "getJobEvents", "answerJob", "getDocument", "getArtifact", "createUpload"} <= names


def test_every_reference_leads_somewhere(service: Service) -> None:
    told = described(service)
    for reference in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(told)):
        assert reference in told["components"]["schemas"], reference


def test_examples_are_taken(service: Service) -> None:
    told = described(service)
    content = told["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert service.client().order(content["examples"]["text"]["value"]).status_code == 202


def test_no_answer_is_a_5xx_or_one_that_is_not_described(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(requests_per_minute=1_000_000_000)
    hands = LibraryHands(service, monkeypatch)
    library = hands.library()  # starts the application
    hands.ingest(library, hands.upload(picture(1)))
    pictures = service.client().get(f"/v1/libraries/{library}/pictures").json()["data"]
    known = {
        "job_id": service.create().id,
        "document_id": service.piece(PIECE),
        "block_id": PIECE.figures[0].id,
        "artifact_id": service.artifact(b"<p>words</p>"),
        "library_id": library,
        "picture_id": pictures[0]["id"],
        "batch_id": service.client().post("/v1/batches", json={"brief": BRIEF, "variants": 3}).json()["id"],
        "code": "job_unknown",
        **webhook_of(service),
        "schedule_id": schedule_of(service),
    }
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", service.app)
    asked: dict[str, int] = {}
    faults: list[str] = []

    for found in schema.get_all_operations():
        operation = found.ok()
        fitting = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        breaking = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=fitting | breaking)
        def probe(case: Any) -> None:
            label = case.operation.label
            asked[label] = count = asked.get(label, 0) + 1
            # Half of the time things that are there, or nothing behind the first check would be reached.
            for name, value in known.items():
                # One schedule is for all of its operations: what deletes it comes before the last of them.
                if name in (case.path_parameters or {}) and count % 2 and label != "DELETE /v1/schedules/{schedule_id}":
                    case.path_parameters[name] = value
            secret = service.admin if "/keys" in label or "/metrics" in label else service.alice
            answer = case.call(headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code < 500, answer.text
            case.validate_response(answer, checks=CHECKS)

        try:
            probe()
        except Exception as error:  # every operation is to be told of, not the first alone
            faults.append(f"{operation.label}: {error}")
    assert not faults, "\n\n".join(faults)
    assert len(asked) >= 34
    hands.close()


def schedule_of(service: Service) -> str:
    """A schedule that is there."""
    order = {"name": "n", "brief": {"instruction": "{{ date }}"}, "cron": "0 0 1 1 *"}
    made: str = service.client().post("/v1/schedules", json=order).json()["id"]
    return made
