"""`interleaf jobs`: the jobs of a service: looked at, followed, answered, stopped, fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import typer

from interleaf.cli.job_course import ASKED, fetch_files, respond
from interleaf.cli.job_table import event_line, job_sheet, job_table, tell_moved
from interleaf.cli.printing import json_line, say
from interleaf.cli.question_display import answer_of, tell_question
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Jobs of a service: list, show, events, wait, cancel, retry, rerun, answer, fetch, delete.",
    epilog="""
Where the service is and your key stand in INTERLEAF_SERVER and INTERLEAF_API_KEY, or --server and --api-key-file.

Start here: interleaf compose brief.yaml --detach     prints a job's id; then: interleaf jobs wait JOB && \
interleaf jobs fetch JOB --out out/

Exit codes: 0 done · 2 the request must change, or there is no such job · 4 the job gave up · 5 the service is away or \
busy · 6 the job was canceled · 7 the job waits for your answer.
""",
)

_JOB: Final = typer.Argument(..., metavar="JOB", help="A job's id, as it was printed.")
_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")


@app.command(
    "list",
    epilog="""
Examples:

  interleaf jobs list

  interleaf jobs list --state running --state awaiting_input

  interleaf jobs list --limit 100 --json | jq -r '.jobs[].id'
""",
)
def list_(
    state: list[str] = typer.Option([], "--state", help="Only jobs in this state. Repeatable."),
    kind: list[str] = typer.Option([], "--kind", help="Only jobs of this kind. Repeatable."),
    name: str | None = typer.Option(None, "--external-id", help="Only jobs that you gave this name."),
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="JOB", help="Go on after this job: older ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List your jobs, newest first."""
    states: Any = state
    with opened_client(server, api_key_file) as client:
        page = client.jobs.list(limit=limit, after=after, states=states, kinds=kind, external_id=name)
    if as_json:
        jobs = [job.model_dump(mode="json") for job in page.data]
        typer.echo(json_line({"jobs": jobs, "next": page.last_id if page.has_more else None}))
        return
    if not page.data:
        say("no jobs")
        return
    job_table(page.data)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(epilog="Examples: interleaf jobs show JOB     interleaf jobs show JOB --brief > brief.json")
def show(
    job: str = _JOB,
    brief: bool = typer.Option(False, "--brief", help="What it was asked, as a brief file in JSON."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Show a job: its state, times, files, and why it failed."""
    with opened_client(server, api_key_file) as client:
        found = client.jobs.get(job)
        if brief:
            typer.echo(found.brief().model_dump_json(exclude_defaults=True, indent=1))
        elif as_json:
            typer.echo(found.record.model_dump_json())
        else:
            job_sheet(found.record)


@app.command(epilog="Examples: interleaf jobs events JOB     interleaf jobs events JOB --follow     … --json")
def events(
    job: str = _JOB,
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until the job has ended."),
    after: int = typer.Option(0, min=0, help="Only events after this one."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line, for machines."),
) -> None:
    """Tell what a job has told. Ctrl-C leaves the job as it is."""
    with opened_client(server, api_key_file) as client:
        found = client.jobs.get(job)
        last = found.record.last_event_id
        if not follow and after >= last:
            return
        try:
            for event in found.events(after):
                typer.echo(event.model_dump_json() if as_json else event_line(event))
                if not follow and event.id >= last:
                    break
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


@app.command(epilog="Example: interleaf jobs wait JOB --timeout 600 && interleaf jobs fetch JOB --out out/")
def wait(
    job: str = _JOB,
    timeout: float | None = typer.Option(None, min=0, help="Seconds; then exit code 5, and the job goes on."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Wait until a job has ended, and end as it did; exit code 7 when it asks something."""
    from interleaf.errors import JobActive

    with opened_client(server, api_key_file) as client:
        found = client.jobs.get(job)
        try:
            found.wait(timeout, until="asked")
        except JobActive as error:
            _tell(found.refresh().record.model_dump_json() if as_json else "", error.message)
            raise typer.Exit(5) from None
        except KeyboardInterrupt:
            say(f"{job} goes on", "yellow", error=True)
            raise typer.Exit(130) from None
        if not as_json:
            typer.echo(found.state)
        elif found.state in ("succeeded", "incomplete", "awaiting_input"):
            typer.echo(found.record.model_dump_json())
        if not found.final:
            say(f"it asks something: interleaf jobs answer {job}", "yellow", error=True)
            raise typer.Exit(ASKED)
        if not as_json:
            tell_moved(found.record)
        found.raise_for_state()


@app.command(epilog="Example: interleaf jobs cancel JOB")
def cancel(
    job: str = _JOB,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Stop a job: at once, or as soon as its worker sees it."""
    with opened_client(server, api_key_file) as client:
        found = client.jobs.cancel(job)
    typer.echo(found.record.model_dump_json() if as_json else found.state)


@app.command(epilog="Example: interleaf jobs wait $(interleaf jobs retry JOB)")
def retry(
    job: str = _JOB,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Go on where a job stopped that failed, expired, was canceled or is incomplete; prints the new job's id."""
    with opened_client(server, api_key_file) as client:
        found = client.jobs.retry(job)
    typer.echo(found.record.model_dump_json() if as_json else found.id)


@app.command(epilog="Examples: interleaf jobs rerun JOB     interleaf jobs rerun JOB --set seed=7 --set formats=[html]")
def rerun(
    job: str = _JOB,
    changes: list[str] = typer.Option(
        [], "--set", metavar="FIELD=VALUE", help="A field of the brief to replace; the value as YAML. Repeatable."
    ),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Do a job anew from the beginning, with the same brief or with some of its fields replaced; prints the new job's
    id. What is not as it was then (a library, the writer, …) is told by `wait` and `show`."""
    overrides = dict(_change(change) for change in changes)
    with opened_client(server, api_key_file) as client:
        found = client.jobs.rerun(job, overrides or None)
    typer.echo(found.record.model_dump_json() if as_json else found.id)


@app.command(
    epilog="""
Examples:

  interleaf jobs answer JOB                     shows what it asks; exit code 7

  interleaf jobs answer JOB --approve

  interleaf jobs answer JOB --json > question.json    edit .needs_input.outline, then:

  interleaf jobs answer JOB --answer edited.yaml      a file with `outline:`, or `pictures:` (place → picture or null)
"""
)
def answer(
    job: str = _JOB,
    approve: bool = typer.Option(False, "--approve", help="Yes to what it asks."),
    cancel: bool = typer.Option(False, "--cancel", help="No: the job is canceled."),
    file: Path | None = typer.Option(None, "--answer", metavar="FILE", help="A YAML/JSON file with an edited answer."),
    request: str | None = typer.Option(
        None, "--request", metavar="ID", help="The question that you answer; refused when it is no longer asked."
    ),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """See what a job asks, or answer it."""
    said = answer_of(approve, cancel, file)
    with opened_client(server, api_key_file) as client:
        found = client.jobs.get(job)
        if said is None:
            question = found.question()
            tell_question(job, question.question, f"interleaf jobs answer {job}", as_json)
            raise typer.Exit(ASKED)
        respond(found, said, request)
    typer.echo(found.record.model_dump_json() if as_json else found.state)


@app.command(epilog="Example: interleaf jobs fetch JOB --out out/     prints the path of each file")
def fetch(
    job: str = _JOB,
    out: Path = typer.Option(Path("out"), "--out", "-o", help="Folder for article.json and the formats."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Fetch a job's files, whole and checked; those that are there already while it runs."""
    from interleaf.errors import ObjectUnknown

    with opened_client(server, api_key_file) as client:
        found = client.jobs.get(job)
        files = fetch_files(client, found, out)
        if not files:
            found.raise_for_state()
            raise ObjectUnknown(f"files of {job}", f"there are none (it is {found.state}).", "Wait for it.")
    if as_json:
        typer.echo(json_line({"run_id": job, "state": found.state, "files": files}))
        return
    for path in files:
        typer.echo(str(path))


@app.command(epilog="Example: interleaf jobs delete JOB")
def delete(
    job: str = _JOB,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Delete a job that has ended, with its brief, events and files. Its document stays."""
    with opened_client(server, api_key_file) as client:
        client.jobs.delete(job)
    typer.echo(json_line({"deleted": job}) if as_json else f"{job} is deleted")


# Inside


def _tell(line: str, problem: str) -> None:
    if line:
        typer.echo(line)
    else:
        say(problem, "yellow", error=True)


def _change(text: str) -> tuple[str, Any]:
    """`FIELD=VALUE`. InvalidBrief."""
    import yaml

    from interleaf.errors import InvalidBrief

    field, sign, value = text.partition("=")
    if not sign or not field.strip():
        raise InvalidBrief("--set", f"{text!r} names no field and value.", "Write it as seed=7.")
    try:
        return field.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InvalidBrief(f"--set {field.strip()}", "has a value that is no YAML.", "Quote it.") from error
