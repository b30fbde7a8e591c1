"""nginx's files together: what is included holds where it is included, and never in a circle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.joining.nginx_files import included
from harness.audit.loaders import kubernetes, nginx
from harness.audit.parts import Gateway
from harness.audit.reading import Reading
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

SITE = "server {\n  location / {\n    %s\n    proxy_pass http://app;\n  }\n}\n"
SLOW = "proxy_read_timeout 90s;\n"


def readings(files: dict[str, str]) -> dict[str, Reading]:
    loaded = [read(nginx, name, text) for name, text in files.items()]
    return dict(zip(files, included(loaded), strict=True))


def only(files: dict[str, str]) -> Gateway:
    (found,) = [gateway for each in readings(files).values() for gateway in each.gateways]
    return found


@pytest.mark.parametrize(
    ("path", "site", "part"),
    [
        ("snippets/proxy.conf", "nginx/site.conf", "nginx/snippets/proxy.conf"),
        ("/etc/nginx/snippets/proxy.conf", "nginx/site.conf", "nginx/snippets/proxy.conf"),
        ("snippets/proxy.conf", "nginx/conf.d/site.conf", "nginx/snippets/proxy.conf"),
        ("/etc/nginx/conf.d/proxy.inc", "nginx/site.conf", "nginx/proxy.inc"),
        ("proxy.inc", "site.conf", "proxy.inc"),
        ("./snippets/*.conf", "nginx/site.conf", "nginx/snippets/a.conf"),
        ("/etc/nginx/snippets/[ab].c*", "nginx/site.conf", "nginx/snippets/a.conf"),
    ],
)
def test_what_is_included_holds_where_it_is(path: str, site: str, part: str) -> None:
    found = only({site: SITE % f"include {path};", part: "# a part\n" + SLOW})
    assert (found.timeout_s.known, found.place.file, found.place.line) == (90, site, 4)
    assert found.timeout_s.place is not None
    assert (found.timeout_s.place.file, found.timeout_s.place.line) == (part, 2)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("snippets/proxy.conf", "nginx/other/proxy.conf"),
        ("snippets/proxy.conf", "shop/snippets/proxy.conf"),
        ("/etc/nginx/conf.d/*.inc", "nginx/proxy.inc"),
        ("$snippets/proxy.conf", "nginx/snippets/proxy.conf"),
        ("snippets/*.conf", "nginx/snippets/more/proxy.conf"),
    ],
)
def test_a_file_that_is_not_audited_may_say_it(path: str, part: str) -> None:
    found = only({"nginx/site.conf": SITE % f"include {path};", part: SLOW})
    assert "included" in found.timeout_s.why


def test_the_nearest_file_of_that_name_is_meant() -> None:
    found = only(
        {
            "a/nginx/site.conf": SITE % "include snippets/proxy.conf;",
            "a/nginx/snippets/proxy.conf": SLOW,
            "a/snippets/proxy.conf": "proxy_read_timeout 1s;\n",
        }
    )
    assert found.timeout_s.known == 90


def test_what_is_said_around_holds_for_what_is_included() -> None:
    files = {
        "nginx/nginx.conf": f"http {{\n{SLOW}include /etc/nginx/conf.d/*.conf;\n}}\n",
        "nginx/conf.d/app.conf": SITE % "",
        "nginx/conf.d/up.conf": "upstream app { server one:80; server two:80; }\n",
    }
    found = readings(files | {"nginx/conf.d/up.conf": files["nginx/conf.d/up.conf"] + SLOW})
    assert not found["nginx/conf.d/app.conf"].gateways, "it stands in the other's"
    (gateway,) = found["nginx/nginx.conf"].gateways
    assert (gateway.timeout_s.known, gateway.upstreams) == (90, ("one", "two"))
    assert gateway.place.file == "nginx/conf.d/app.conf"


def test_a_part_may_be_in_several_and_has_parts() -> None:
    site = SITE % "include snippets/proxy.conf;"
    found = readings(
        {
            "n/a.conf": site,
            "n/b.conf": site,
            "n/snippets/proxy.conf": "include snippets/slow.inc;\nproxy_buffering off;\n",
            "n/snippets/slow.inc": SLOW,
        }
    )
    assert [g.timeout_s.known for each in found.values() for g in each.gateways] == [90, 90]


@pytest.mark.parametrize("second", ["a.conf", "b.conf"])
def test_a_circle_is_said(second: str) -> None:
    files = {
        "a.conf": SITE % "include b.conf;",
        "b.conf": f"{SLOW}include {second};\n",
    }
    found = readings(files)
    (unread,) = [each for reading in found.values() for each in reading.unread]
    assert (unread.file, unread.line, unread.why) == ("b.conf", 2, "it includes itself")
    assert [g.timeout_s.known for each in found.values() for g in each.gateways] == [90]


def test_parts_that_double_each_other_end() -> None:
    files = {f"p{n}.conf": f"{SLOW}" + f"include p{n + 1}.conf;\n" * 2 for n in range(30)}
    files["p30.conf"] = SLOW
    unread = [each.why for reading in readings(files).values() for each in reading.unread]
    assert unread
    assert all("directives" in why for why in unread)


def test_a_long_chain_ends() -> None:
    files = {f"p{n}.conf": f"{SLOW}include p{n + 1}.conf;\n" for n in range(60)}
    unread = {each.why for reading in readings(files).values() for each in reading.unread}
    assert unread == {"it is included by 50 files, one in the other"}


def test_a_text_within_a_manifest_is_no_file_that_others_name() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  nginx.conf: |\n"
    text += "".join(f"    {line}\n" for line in (SITE % "include more/b.conf;").splitlines())
    manifest = kubernetes.load(source("k8s/map.yaml", text))
    part = read(nginx, "k8s/more/b.conf", SLOW)
    (gateway,) = included([manifest, part])[0].gateways
    assert "included" in gateway.timeout_s.why


def test_others_stay_as_they_are() -> None:
    alone = read(nginx, "a.conf", SITE % "include /etc/nginx/proxy_params;")
    assert included([alone, Reading()]) == [alone, Reading()]


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("proxy.inc", "proxy_set_header Host $host;\n", True),
        ("ssl.conf", "ssl_protocols TLSv1.3; # only\n", True),
        ("headers.conf", 'add_header X-Frame-Options "DENY" always;\n', True),
        ("nginx.conf", "server {\n  location / { root /srv; }\n}\n", True),
        ("site.conf", "server {\n  location / { root /srv; }\n}\n", False),
        ("limits.conf", "nginx soft nofile 1024\n", False),
        ("app.conf", "proxy_read_timeout = 5\n", False),
        ("main.c", "proxy_init (x);\n", False),
    ],
)
def test_a_part_is_recognised_by_a_line(name: str, text: str, known: bool) -> None:
    assert nginx.recognises(source(name, text)) is known


def test_what_only_looks_like_a_part_is_no_failure() -> None:
    assert nginx.load(source("odd.conf", f"{SLOW}what {{ else\n")) == Reading()


def test_no_secret_is_repeated() -> None:
    part = f"proxy_read_timeout {SECRET};\nproxy_set_header Authorization {SECRET};\n"
    files = {
        "a.conf": SITE % "include p.conf;",
        "p.conf": f"{part}include p.conf;\ninclude {SECRET};\n",
    }
    for each in readings(files).values():
        assert SECRET not in texts(each)
        assert SECRET not in repr(each)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3), min_size=3, max_size=3))
def test_no_circle_makes_it_fall(links: list[list[str]]) -> None:
    files = {
        f"{name}.conf": SLOW + "".join(f"include {each}.conf;\n" for each in to)
        for name, to in zip("abc", links, strict=True)
    }
    readings(files)
