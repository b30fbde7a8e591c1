"""A range of a Prometheus becomes a recording, whole, or nothing is left of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl
import pytest

from harness.alerts import importing
from harness.alerts.engine import RuleEngine
from harness.alerts.importing import import_range
from harness.alerts.remote import Access
from harness.alerts.series import Grid, SeriesTable, labels_of
from harness.alerts.subjects import Settings, load_recordings
from harness.errors import (
    ExitCode,
    ImportRefusedError,
    PooldrillError,
    RunDirectoryError,
    UsageError,
)
from harness.recording import RecordingWriter, read_recording
from harness.timemap import build_timemap
from harness.verdicts.evidence import measure

SCRAPES = 100
STEP_S = 15.0
BEGIN = datetime(2025, 1, 7, 9, 0, tzinfo=UTC)
END = BEGIN + timedelta(seconds=(SCRAPES - 1) * STEP_S)


def series(name: str, **labels: str) -> tuple[tuple[str, str], ...]:
    return labels_of({"__name__": name, **labels})


COUNT = series("db_client_connection_count", job="auth", instance="replica-1", state="used")
LIMIT = series("db_client_connection_max", job="auth", instance="replica-1")
LOGINS = series("auth_logins_total", job="au\\th", instance='10.0.0.1:"8000"\n', outcome="ok")
UP = series("up", job="gateway")
BARE = series("gateway_in_flight")
FOREIGN = series("go_goroutines", job="auth", instance="replica-1")


def stored() -> SeriesTable:
    """What production's Prometheus holds: a gap, a NaN, an infinity, a counter's reset."""
    scrape = np.arange(SCRAPES)
    used = (scrape % 11).astype(float)
    used[70:75] = np.nan
    logins = scrape * 7.0
    logins[40:] = (scrape[40:] - 40) * 3.0
    rows = {
        COUNT: used,
        LIMIT: np.full(SCRAPES, np.inf),
        LOGINS: logins,
        UP: np.where(scrape < 50, 1.0, 0.0),
        BARE: -scrape / 8,
        FOREIGN: np.ones(SCRAPES),
    }
    present = np.ones((len(rows), SCRAPES), dtype=bool)
    present[0, 20:30] = False
    present[3, 90:] = False
    return SeriesTable(
        Grid(0.0, STEP_S, SCRAPES), tuple(rows), np.array(list(rows.values())), present
    )


@dataclass(frozen=True)
class Production:
    """A real Prometheus and the instant at which its series begin."""

    url: str
    begin: datetime
    table: SeriesTable

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(seconds=(SCRAPES - 1) * STEP_S)

    def minute(self, number: float) -> datetime:
        return self.begin + timedelta(minutes=number)


@pytest.fixture(scope="module")
def production() -> Iterator[Production]:
    table = stored()
    with RuleEngine([table], gap_s=300) as engine:
        assert engine._server is not None
        begin = datetime.fromtimestamp(engine._zeros[0], UTC)
        yield Production(engine._server.url, begin, table)


# -- from a real Prometheus --------------------------------------------------------------------


@pytest.mark.prometheus
def test_what_was_stored_is_what_the_lab_sees(production: Production, tmp_path: Path) -> None:
    directory = import_range(
        production.url, begin=production.begin, end=production.end, name="payday", out=tmp_path
    )
    assert directory.parent == tmp_path
    loaded = load_recordings([directory], settings=Settings())
    (table,) = loaded.tables
    assert table.grid == production.table.grid
    # A label that a series lacks is said to be empty, which to Prometheus is no label.
    seen = [tuple((key, text) for key, text in each if text) for each in table.labels]
    assert set(seen) == set(production.table.labels) - {FOREIGN}
    for index, labels in enumerate(seen):
        row = production.table.labels.index(labels)
        there = production.table.present[row]
        assert table.present[index].tolist() == there.tolist(), labels
        expected = production.table.values[row]
        np.testing.assert_allclose(table.values[index][there], expected[there], atol=1e-9)


@pytest.mark.prometheus
def test_samples_are_spelt_as_in_any_recording(production: Production, tmp_path: Path) -> None:
    directory = import_range(
        production.url, begin=production.begin, end=production.end, name="payday", out=tmp_path
    )
    samples = read_recording(directory).samples
    assert samples["time_s"].is_sorted()
    assert samples["time_s"].max() == (SCRAPES - 1) * STEP_S
    spelt = samples.select("target", "metric", "labels").unique().sort("metric").rows()
    assert spelt == [
        ('10.0.0.1:"8000"\n', "auth_logins_total", 'job="au\\\\th",outcome="ok"'),
        ("replica-1", "db_client_connection_count", 'job="auth",state="used"'),
        ("replica-1", "db_client_connection_max", 'job="auth"'),
        ("-", "gateway_in_flight", 'instance="",job=""'),
        ("gateway", "up", 'instance="",job="gateway"'),
    ]
    used = samples.filter(pl.col("metric") == "db_client_connection_count")
    assert used["value"].is_nan().sum() == 5
    assert used.height == SCRAPES - 10


@pytest.mark.prometheus
def test_an_import_is_a_benign_control_unless_users_were_harmed(
    production: Production, tmp_path: Path
) -> None:
    harmed = (production.minute(5), production.minute(12.5))
    calm, bad = (
        import_range(
            production.url,
            begin=production.begin,
            end=production.end,
            name=name,
            window=window,
            out=tmp_path,
        )
        for name, window in (("calm", None), ("bad", harmed))
    )
    loaded = load_recordings([calm, bad], settings=Settings())
    benign, incident = loaded.subjects
    assert (benign.benign, benign.harm_s) == (True, None)
    assert (incident.benign, incident.harm_s, incident.recovered_s) == (False, 300.0, 750.0)
    assert (incident.onset_s, incident.outage_end_s, incident.source) == (300.0, 750.0, "import")
    recording = loaded.recordings[1]
    assert recording.info.t0_epoch == production.begin.timestamp()
    assert recording.info.end_s == recording.incident.clock.duration_s == (SCRAPES - 1) * STEP_S
    assert recording.info.status == "complete"
    assert recording.environment["import"]["url"] == production.url
    assert recording.environment["import"]["series"] == 5


@pytest.mark.prometheus
def test_an_import_can_be_measured(production: Production, tmp_path: Path) -> None:
    directory = import_range(
        production.url,
        begin=production.begin,
        end=production.end,
        name="payday",
        window=(production.minute(5), production.minute(10)),
        out=tmp_path,
    )
    recording = read_recording(directory)
    evidence = measure(recording)
    assert evidence.arrivals.scheduled == 0
    assert evidence.users.affected_ratio is None
    identity = build_timemap(recording.incident, full_length=True)
    assert evidence.timemap.replay_length_s == identity.replay_length_s
    assert evidence.timemap.to_incident_s(700.0) == identity.to_incident_s(700.0) == 700.0


@pytest.mark.prometheus
def test_chunks_and_selectors_meet_without_seam(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(name: str, selectors: Sequence[str]) -> pl.DataFrame:
        directory = import_range(
            production.url,
            begin=production.begin,
            end=production.end,
            name=name,
            selectors=selectors,
            out=tmp_path,
        )
        return read_recording(directory).samples

    whole = imported("whole", ['{__name__=~".+"}'])
    assert whole.height == int(stored().present.sum())
    monkeypatch.setattr(importing, "CHUNK_POINTS", 7)
    pieces = imported("pieces", ['{job=~".+"}', "up", 'gateway_in_flight{job=""}'])
    assert pieces.equals(whole)


@pytest.mark.prometheus
def test_a_range_without_series_is_refused(production: Production, tmp_path: Path) -> None:
    begin = production.begin + timedelta(days=3)
    with pytest.raises(ImportRefusedError, match="holds no series that match up from") as caught:
        import_range(
            production.url,
            begin=begin,
            end=begin + timedelta(hours=1),
            name="payday",
            selectors=["up"],
            out=tmp_path / "runs",
        )
    assert "UTC" in caught.value.remedy
    assert caught.value.exit_code == ExitCode.INVALID
    assert not (tmp_path / "runs").exists()


@pytest.mark.prometheus
def test_prometheus_own_refusal_is_told(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_POINTS", 12_000)
    with pytest.raises(ImportRefusedError, match=r"refused .*HTTP 400.*11,000 points"):
        import_range(
            production.url,
            begin=production.begin,
            end=production.begin + timedelta(days=3),
            name="payday",
            out=tmp_path / "runs",
        )
    assert not (tmp_path / "runs").exists()


# -- from servers that are no Prometheus -------------------------------------------------------


@dataclass
class Stub:
    """A server that answers everything alike, and what it was asked."""

    status: int = 200
    body: str = ""
    kind: str = "application/json"
    location: str = ""
    url: str = ""
    asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = field(default_factory=list)


@contextmanager
def answering(stub: Stub) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            stub.asked.append((parts.path, parse_qs(parts.query), dict(self.headers)))
            authorization = self.headers.get("Authorization", "")
            body = stub.body.replace("AUTHORIZATION", authorization).encode()
            self.send_response(stub.status)
            self.send_header("Content-Type", stub.kind)
            self.send_header("Content-Length", str(len(body)))
            if stub.location:
                self.send_header("Location", stub.location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests are silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield stub
        finally:
            server.shutdown()


def matrix(*result: dict[str, Any], warnings: Sequence[str] = ()) -> str:
    data = {"resultType": "matrix", "result": list(result)}
    return json.dumps({"status": "success", "data": data, "warnings": list(warnings)})


def one_point(at: float = BEGIN.timestamp(), **metric: str) -> dict[str, Any]:
    return {"metric": metric or {"__name__": "up", "job": "auth"}, "values": [[at, "1"]]}


def take(url: str, out: Path, **changed: Any) -> Path:
    arguments: dict[str, Any] = {"begin": BEGIN, "end": END, "name": "payday", "out": out}
    return import_range(url, **{**arguments, **changed})


ERROR = json.dumps({"status": "error", "errorType": "bad_data", "error": "no such thing"})


@pytest.mark.parametrize(
    ("stub", "said", "remedy"),
    [
        (Stub(body="<html>", kind="text/html"), "no Prometheus: HTTP 200, text/html", "base addr"),
        (Stub(status=404, body="nothing", kind="text/plain"), "HTTP 404, text/plain", "prefix"),
        (Stub(status=401, body="no"), r"does not let us in \(HTTP 401\)", "token"),
        (Stub(status=403, body=ERROR), r"does not let us in \(HTTP 403\)", "token"),
        (Stub(status=400, body=ERROR), r"refused .* \(HTTP 400\): no such thing", "selector"),
        (Stub(status=503, body="busy"), r"failed at .* \(HTTP 503\)", "later"),
        (Stub(status=503, body=ERROR), r"\(HTTP 503\): no such thing", "later"),
        (Stub(status=302, location="http://else.where/"), "leads elsewhere", "address that it"),
        (Stub(body='{"status": "success"}'), "its answer holds no series", "base address"),
        (Stub(body="[]"), "is no Prometheus", "base address"),
        (Stub(body=matrix(one_point(job="auth"))), "no name", "base address"),
        (Stub(body=matrix()), "holds no series that match", "range"),
        (Stub(body=matrix(one_point(BEGIN.timestamp() + 7))), "other instants", "multiple"),
        (Stub(body=matrix(one_point(BEGIN.timestamp() - 60))), "other instants", "multiple"),
        (
            Stub(body=matrix({**one_point(), "values": [[BEGIN.timestamp()]]})),
            "no pairs of numbers",
            "base address",
        ),
        (
            Stub(body=matrix({"metric": {"__name__": "up"}, "histograms": []})),
            "1 left out: native histograms",
            "range",
        ),
        (Stub(body=matrix(one_point(__name__="a.b"))), "1 left out: names beyond", "range"),
    ],
)
def test_what_no_recording_comes_from_leaves_none(
    stub: Stub, said: str, remedy: str, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    with answering(stub), pytest.raises(ImportRefusedError, match=said) as caught:
        take(stub.url, out)
    assert remedy in caught.value.remedy
    assert stub.url in str(caught.value)
    assert not out.exists()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else takes the port
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ImportRefusedError, match=f"{url} cannot be asked"):
            take(url, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_base_address_may_have_a_prefix(tmp_path: Path) -> None:
    with answering(Stub(body=matrix(one_point(), warnings=["partial"]))) as stub:
        directory = take(f"{stub.url}/team/prometheus/", tmp_path, selectors=["up"])
    ((path, query, headers),) = stub.asked
    assert path == "/team/prometheus/api/v1/query_range"
    assert query["query"] == ["up"]
    assert (query["start"], query["step"]) == ([f"{BEGIN.timestamp():.3f}"], ["15.000"])
    assert "Authorization" not in headers
    told = read_recording(directory).environment["import"]
    assert told["url"] == f"{stub.url}/team/prometheus"
    assert told["warnings"] == ["partial"]
    assert told["selectors"] == ["up"]


SECRET = "s3cr@t/väl:ue"


@pytest.mark.parametrize(
    ("access", "userinfo", "header"),
    [
        (Access(token="abc.def-123"), "", "Bearer abc.def-123"),
        (Access(token="abc.def-123\n"), "", "Bearer abc.def-123"),
        (Access(user="me", password=SECRET), "", "Basic bWU6czNjckB0L3bDpGw6dWU="),
        (Access(), "me:s3cr%40t%2Fv%C3%A4l%3Aue@", "Basic bWU6czNjckB0L3bDpGw6dWU="),
    ],
)
def test_credentials_are_sent_and_never_shown(
    access: Access, userinfo: str, header: str, tmp_path: Path
) -> None:
    secrets = [header.partition(" ")[2], *([] if access.token else [SECRET])]

    def shown(text: str) -> bool:
        return any(secret in text for secret in secrets)

    assert not shown(repr(access))
    with answering(Stub(body=matrix(one_point()))) as stub:
        directory = take(stub.url.replace("://", f"://{userinfo}"), tmp_path, access=access)
        assert stub.asked[0][2]["Authorization"] == header
        files = [path for path in directory.rglob("*") if path.is_file()]
        assert not any(shown(path.read_text("utf-8", errors="replace")) for path in files)
    echo = json.dumps({"error": f"not let in: AUTHORIZATION ({secrets[-1]})"})
    with answering(Stub(status=400, body=echo)) as stub:
        url = stub.url.replace("://", f"://{userinfo}")
        with pytest.raises(ImportRefusedError, match=r"refused .*not let in: .*\*\*\*") as caught:
            take(url, tmp_path, name="again", access=access)
        assert not shown(str(caught.value))
        assert f"{stub.url} refused" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "access"),
    [
        ("monitoring:9090", Access()),
        ("ftp://host", Access()),
        ("http://", Access()),
        ("http://me:hunter2/x@host:9090", Access()),
        ("http://me:hunter2@host:port", Access()),
        ("http://me:hunter2@host/?token=hunter2", Access()),
        ("http://me:hunter2@host", Access(token="x")),
        ("http://host", Access(token="hunter2", user="me")),
        ("http://host", Access(token="hunter2 hunter2")),
        ("http://host", Access(token="hunter2ä")),
        ("http://host", Access(password="hunter2")),
    ],
)
def test_addresses_and_credentials_that_cannot_be_used(
    url: str, access: Access, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        take(url, tmp_path / "runs", access=access)
    assert caught.value.remedy
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"end": BEGIN}, "ends before it begins"),
        ({"end": BEGIN - timedelta(hours=1)}, "ends before it begins"),
        ({"end": BEGIN + timedelta(seconds=14)}, "shorter than one step of 15 s"),
        ({"begin": BEGIN.replace(tzinfo=None)}, "no time zone"),
        ({"step_s": 0.0}, "no step"),
        ({"step_s": float("nan")}, "no step"),
        ({"step_s": 1 / 3}, "no step"),
        ({"selectors": []}, "no series are asked for"),
        ({"selectors": ["up{"]}, "not PromQL"),
        ({"selectors": ["rate(up[5m])"]}, "no selection of series"),
        ({"selectors": ["up offset 5m"]}, "no selection of series"),
        ({"window": (BEGIN - timedelta(seconds=1), END)}, "does not lie in the range"),
        ({"window": (BEGIN, END + timedelta(seconds=1))}, "does not lie in the range"),
        ({"window": (END, BEGIN)}, "does not lie in the range"),
        ({"window": (BEGIN, BEGIN)}, "does not lie in the range"),
        ({"name": "Pay Day"}, "'Pay Day' cannot be an incident's name"),
        ({"name": "../x"}, "cannot be an incident's name"),
    ],
)
def test_arguments_that_make_no_sense(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        take("http://127.0.0.1:1", tmp_path / "runs", **changed)
    assert caught.value.remedy
    assert caught.value.exit_code == ExitCode.USAGE
    assert not (tmp_path / "runs").exists()


def test_a_range_is_said_in_any_zone(tmp_path: Path) -> None:
    tokyo = timezone(timedelta(hours=9))
    with answering(Stub(body=matrix(one_point()))) as stub:
        directory = take(stub.url, tmp_path, begin=BEGIN.astimezone(tokyo))
    assert directory.name == "20250107T090000Z-payday-0"
    assert read_recording(directory).incident.clock.starts_at == BEGIN


def test_the_same_range_is_imported_once(tmp_path: Path) -> None:
    with answering(Stub(body=matrix(one_point()))) as stub:
        directory = take(stub.url, tmp_path)
        before = sorted(path.name for path in directory.iterdir())
        with pytest.raises(UsageError, match="is there already"):
            take(stub.url, tmp_path)
    assert sorted(path.name for path in directory.iterdir()) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_written_whole_is_gone(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: RecordingWriter, name: str, frame: pl.DataFrame) -> None:
        raise error

    monkeypatch.setattr(RecordingWriter, "table", fails)
    expected = RunDirectoryError if isinstance(error, OSError) else KeyboardInterrupt
    with answering(Stub(body=matrix(one_point()))) as stub, pytest.raises(expected):
        take(stub.url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_much_is_refused_before_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MOST_SAMPLES", 1)
    body = matrix(one_point(), one_point(__name__="up", job="gateway"))
    with answering(Stub(body=body)) as stub, pytest.raises(PooldrillError, match="more than 1 "):
        take(stub.url, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
