"""The routes: every file is served with its type and its tag, and nothing else is."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tidings.contracts import Extra
from tidings.hooks import Options
from tidings_dashboard import DashboardExtra, DashboardPlugin

SCRIPTS = (
    "account",
    "activity",
    "api",
    "app",
    "charts",
    "compose",
    "connection",
    "connections",
    "device",
    "dom",
    "feed",
    "formats",
    "limits",
    "live",
    "notifications",
    "older",
    "platforms",
    "presence",
    "reading",
    "roll",
    "row",
    "sandbox",
    "settings",
    "sieve",
    "toasts",
    "views",
    "words",
    "worker",
)
CLIENT = Path(__file__).parents[3] / "clients" / "javascript" / "src"
PATHS = {
    "/": "text/html; charset=utf-8",
    "/sw.js": "text/javascript; charset=utf-8",
    "/static/dashboard/manifest.webmanifest": "application/manifest+json",
    **{f"/static/dashboard/icon-{name}.png": "image/png" for name in ("192", "512", "maskable", "touch")},
    "/static/dashboard/favicon.svg": "image/svg+xml",
    **{f"/static/dashboard/{name}.js": "text/javascript; charset=utf-8" for name in SCRIPTS},
    **{
        f"/static/dashboard/client/{file.name}": "text/javascript; charset=utf-8"
        for file in sorted(CLIENT.iterdir())
    },
    **{
        f"/static/dashboard/{name}.css": "text/css; charset=utf-8"
        for name in ("activity", "connections", "sandbox", "style")
    },
}


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(routes=DashboardExtra().routes())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tidings.test")


def test_the_plugin_offers_one_extra_and_takes_no_options() -> None:
    plugin = DashboardPlugin(Options())
    [extra] = plugin.tidings_extras(context=None)  # type: ignore[arg-type]  # it uses nothing of it
    assert isinstance(extra, Extra)
    assert DashboardPlugin.options_model.model_fields == {}


def test_exactly_the_files_of_the_page_have_routes() -> None:
    routes = DashboardExtra().routes()
    assert sorted(PATHS) == sorted(route.path for route in routes if isinstance(route, Route))
    assert len(PATHS) == len(routes)


@pytest.mark.parametrize(("path", "media_type"), PATHS.items())
async def test_a_file_comes_with_its_type_a_strong_tag_and_the_wish_to_be_asked_again(
    client: httpx.AsyncClient, path: str, media_type: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"].startswith('"')
    assert len(answer.content) == int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("path", PATHS)
async def test_head_says_what_get_would_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{} , "third"', "*"])
async def test_a_browser_that_holds_the_file_gets_an_empty_304(client: httpx.AsyncClient, form: str) -> None:
    etag = (await client.get("/")).headers["etag"]
    answer = await client.get("/", headers={"If-None-Match": form.format(etag)})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("tag", ['"other"', "", 'W/"other"', '"other", "third"'])
async def test_a_browser_that_holds_another_file_gets_this_one(client: httpx.AsyncClient, tag: str) -> None:
    answer = await client.get("/", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.content


async def test_files_that_differ_have_tags_that_differ(client: httpx.AsyncClient) -> None:
    tags = {(await client.get(path)).headers["etag"] for path in PATHS}
    assert len(tags) == len(PATHS)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
async def test_files_can_only_be_read(client: httpx.AsyncClient, path: str, method: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/static/dashboard/",
        "/static/dashboard/index.html",
        "/static/dashboard/sw.js",
        "/static/dashboard/../__init__.py",
        "/static/dashboard/%2e%2e/__init__.py",
        "/static/dashboard/..%2fassets.py",
    ],
)
async def test_nothing_beside_the_page_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


def test_a_wheel_brings_the_page_and_the_client_along(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CLIENT.parents[2], check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    show = "import tidings_dashboard as d; print(d.__file__, *(route.path for route in d.DashboardExtra().routes()))"
    done = subprocess.run(
        [sys.executable, "-c", show],
        env={"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    package, *paths = done.stdout.split()
    assert Path(package).is_relative_to(tmp_path)
    assert sorted(paths) == sorted(PATHS)
    packed = tmp_path / "installed" / "tidings_dashboard" / "client"
    assert {file.name: file.read_bytes() for file in packed.iterdir()} == {
        file.name: file.read_bytes() for file in sorted(CLIENT.iterdir())
    }


async def test_the_service_worker_names_every_other_file_of_the_page(client: httpx.AsyncClient) -> None:
    first, _, _ = (await client.get("/sw.js")).text.partition("\n")
    shell = json.loads(first.removeprefix("const SHELL = ").removesuffix(";"))
    assert sorted(shell["paths"]) == sorted(PATHS.keys() - {"/sw.js"})
    assert len(shell["version"]) == 32
