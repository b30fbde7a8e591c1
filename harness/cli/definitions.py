"""What can be replayed: list, show, schema."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from harness.cli.application import (
    IncidentName,
    Json,
    Settings,
    Without,
    app,
    out,
    print_json,
    resolved,
)
from harness.incident import FAMILIES, Incident, dump_incident, library, load_incident, schema_text
from harness.incident.units import format_duration
from harness.timemap import build_timemap

FAMILY_WORDS = {
    "postmortem": "after a postmortem",
    "catalogue": "other ways to die",
    "benign": "benign controls",
}


@app.command("list", epilog="Example: pooldrill list --json")
def list_(as_json: Json = False) -> None:
    """The incidents that can be replayed."""
    incidents = sorted(
        (load_incident(name) for name in library()),
        key=lambda incident: (FAMILIES.index(incident.family), incident.name),
    )
    if as_json:
        print_json([_listed(incident) for incident in incidents])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("incident", "title", "lasts", "replay"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "title")
    family = ""
    for incident in incidents:
        if incident.family != family:
            family = incident.family
            table.add_row(f"[bold]{FAMILY_WORDS[family]}[/]")
        row = _listed(incident)
        table.add_row(
            f"  {row['name']}",
            row["title"],
            format_duration(row["duration_s"]),
            f"{row['replay_s']:.0f} s",
        )
    out.print(table)


@app.command(epilog="Example: pooldrill show undersized-pool --set service.pool.size=40")
def show(
    incident: IncidentName,
    settings: Settings = None,
    without: Without = None,
    as_json: Json = False,
) -> None:
    """An incident's resolved definition, or every problem it has."""
    found = resolved(incident, settings, without)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print(dump_incident(found), end="")


@app.command(epilog="Example: pooldrill schema > incident.schema.json")
def schema(as_json: Json = False) -> None:
    """The JSON Schema of an incident file."""
    del as_json  # it is JSON either way
    print(schema_text())


def _listed(incident: Incident) -> dict[str, Any]:
    return {
        "name": incident.name,
        "family": incident.family,
        "title": incident.title,
        "duration_s": incident.clock.duration_s,
        "replay_s": build_timemap(incident).replay_length_s,
        "users_affected": incident.expect.users_affected.share,
    }
