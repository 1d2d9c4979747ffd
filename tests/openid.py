"""A real OpenID provider in a process of its own: npm's `oidc-provider`, which is certified, and its own pages."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx

import npm
from connecting import Browser

SOURCE = Path(__file__).parent / "oidc"
FILES = ("package.json", "package-lock.json", "provider.js")
# Of the standard's alphabet for secrets, what an encoding can get wrong.
SECRET = "s e+c%41r:e/t&=?~"
WHAT = "the OpenID provider"


@dataclasses.dataclass(frozen=True)
class Provider:
    """A provider at work, with what its discovery document says."""

    discovery: Mapping[str, Any]
    client: httpx.AsyncClient

    async def act(self, *words: str | float) -> Any:
        """Have it do what only time or an account's owner could; see `oidc/provider.js`."""
        path = "/".join(quote(str(word), safe="") for word in words)
        answer = await self.client.post(f"{self.discovery['issuer']}/test/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def token_requests(self) -> Sequence[Mapping[str, Any]]:
        """What came to its token endpoint since this was asked last, or `act("requests")`."""
        return [one for one in await self.act("requests") if one["route"] == "token"]

    def config(self, method: str = "client_secret_basic", secret: str = SECRET) -> str:
        """A `config.yaml` with its connector, whose client proves itself by that method."""
        said = self.discovery
        kind = {"client_secret_basic": "basic", "client_secret_post": "body", "none": "none"}[method]
        return f"""\
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited, sessions: unlimited}}
plugins:
  connectors:
    oidc:
      client_id: tidings {method}
      client_secret: {'""' if method == "none" else repr(secret)}
      client_authentication: {kind}
      issuer: {said["issuer"]}
      authorization_endpoint: {said["authorization_endpoint"]}
      token_endpoint: {said["token_endpoint"]}
      userinfo_endpoint: {said["userinfo_endpoint"]}
      revocation_endpoint: {said["revocation_endpoint"]}
"""


@contextmanager
def provider_process(cache: Path) -> Iterator[str]:
    """Start it, installed below `cache`; gives its address.

    Skips the test where there is no node or npm, or no network to install it by.
    """
    folder = _installed(cache)
    with subprocess.Popen(
        ["node", "provider.js", SECRET],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "The provider did not start; what it said stands in the captured stderr."
            yield url
        finally:
            process.stdin.close()  # so it ends, as it would if these tests were killed
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def discover(url: str) -> Mapping[str, Any]:
    """What the provider says about itself (OpenID Connect Discovery)."""
    answer = httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False)
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


async def consent(viewer: Browser, url: str, login: str, *, cancel_at: str = "") -> str:
    """Go through the provider's login and consent pages; returns the address to come back to.

    Args:
        viewer: Whose browser; signed in at the provider, it sees no login page.
        url: Where tidings sends it.
        login: Typed into the login page.
        cancel_at: The page to click Cancel on: `login` or `consent`.
    """
    home = f"{viewer.client.base_url}".rstrip("/")
    while not url.startswith(f"{home}/"):
        answer = await viewer.client.get(url)
        if not answer.is_redirect:
            answer = await _decide(viewer, url, answer, login, cancel_at)
        url = urljoin(url, answer.headers["location"])
    return url


async def _decide(
    viewer: Browser, url: str, page: httpx.Response, login: str, cancel_at: str
) -> httpx.Response:
    assert page.status_code == 200, page.text
    prompt = _found(r'name="prompt" value="(\w+)"', page.text)
    if prompt == cancel_at:
        answer = await viewer.client.get(urljoin(url, _found(r'href="([^"]+)">\[ Cancel \]', page.text)))
    else:
        form = {"prompt": prompt, **({"login": login, "password": "any"} if prompt == "login" else {})}
        action = _found(r'<form [^>]*action="([^"]+)"', page.text)
        answer = await viewer.client.post(urljoin(url, action), data=form)
    assert answer.is_redirect, answer.text
    return answer


def _found(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    assert match is not None, page
    return html.unescape(match[1])


def _installed(cache: Path) -> Path:
    """A folder with the provider and the packages it needs; made once for each state of `FILES`."""
    npm.check_node(WHAT)
    sources = {name: (SOURCE / name).read_bytes() for name in FILES}
    folder = cache / hashlib.sha256(b"\0".join(sources.values())).hexdigest()[:16]
    if folder.is_dir():
        return folder
    # Others may be at it in this moment: a folder gets its name when it is complete.
    making = Path(tempfile.mkdtemp(dir=cache))
    try:
        for name, content in sources.items():
            (making / name).write_bytes(content)
        npm.install(making, WHAT)
        making.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)  # where another was faster, or it failed
    return folder
