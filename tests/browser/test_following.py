"""Following on the page what needs no account: its connector says what to ask for, and nobody needs curl."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from browsing import cards, overflow
from places import Place, placed
from tidings.accounts import resolve_user
from tidings.connectors import Follows
from tidings.context import Context
from tidings.contracts import Account, Api, Asked, Connector, Http, Polled, Polls
from tidings.errors import Rejected
from tidings.event import Event
from tidings.hooks import Plugin, hookimpl

CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
plugins:
  connectors: {board: {}, github: {}}
  transports: {sse: {}}
  extras: {dashboard: {}}
"""


class Board(Follows, Polls):
    """A notice board: a text that anybody may read, one notice a line."""

    platform = "board"
    display_name = "Notice boards"
    asks_for = "The address of a notice board"
    poll_every_seconds = 3600.0

    def __init__(self, http: Http) -> None:
        self._http = http

    async def _read(self, url: str) -> list[str]:
        if not url.startswith("http://127.0.0.1:"):
            raise Rejected("That is no address of a notice board.", status=400)
        answer = await self._http.send("GET", url)
        if answer.status != 200:
            raise Rejected(f"The board's server answers {answer.status}.", status=400)
        return answer.body.decode().splitlines()

    async def follow(self, address: str) -> Account:
        title, *_ = await self._read(address)
        return Account(key=address, name=title, url=address)

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        _, *notices = await self._read(api.account_key)
        known = asked.checkpoint.get("known", len(notices))
        events = [
            Event(
                id=f"board:{number}",
                type="org.example.notice",
                source="//board",
                platform="board",
                data={"title": notice},
            )
            for number, notice in enumerate(notices)
            if number >= known
        ]
        yield Polled(events=events, checkpoint={"known": len(notices)})


class BoardPlugin(Plugin):
    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        return [Board(context.http)]


class Town:
    """A site with one board.

    Attributes:
        lines: Its title and its notices.
    """

    def __init__(self) -> None:
        self.lines = ["The board of Little Fenby", "The bridge is closed"]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        body = "\n".join(self.lines).encode()
        status = b"200 OK" if path == b"/board" else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
        )
        await writer.drain()
        writer.close()


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path_factory.mktemp("site") / "board-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: board\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tidings.connectors]\nboard = board_plant:BoardPlugin\n")
    monkeypatch.syspath_prepend(info.parent)
    monkeypatch.setitem(sys.modules, "board_plant", sys.modules[__name__])


@pytest.fixture
async def place(browser: Browser, tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(browser, tmp_path, config=CONFIG, is_admin=False) as place:
        yield place


@pytest.fixture
async def town() -> AsyncIterator[tuple[Town, str]]:
    """A site, and its address."""
    town = Town()
    async with await asyncio.start_server(town.answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield town, f"http://{host}:{port}"


async def test_what_needs_no_account_is_followed_by_its_address_and_its_news_is_in_the_feed(
    place: Place, town: tuple[Town, str]
) -> None:
    (site, address), page = town, place.page
    await page.locator("#empty").get_by_role("link", name="Follow: Notice boards").click()
    card = page.locator("[data-platform=board]")
    await expect(card).to_contain_text("No account is needed")
    await card.get_by_label("The address of a notice board").fill(f"  {address}/board ")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="The board of Little Fenby")).to_be_visible()
    await expect(page.locator(".connection-head .chip")).to_have_text("Connected")
    await place.watched_by("polling")
    await expect(page.get_by_role("link", name="Connect again")).to_have_count(0)  # nobody consents
    await expect(page.get_by_role("heading", name="What tidings may do there")).to_have_count(0)

    site.lines.append("The bridge is open")
    await page.get_by_role("button", name="Sync now").click()
    await page.locator("#to-feed").click()
    await expect(cards(page).filter(has_text="The bridge is open")).to_have_count(1)
    assert await cards(page).filter(has_text="The bridge is closed").count() == 0  # was there before
    await page.locator("#to-connections").click()
    await expect(card).to_contain_text("One is followed.")
    await expect(card.get_by_role("textbox")).to_be_empty()


async def test_what_can_t_be_followed_is_said_beside_the_form_and_what_was_typed_stays(
    place: Place, town: tuple[Town, str]
) -> None:
    place.visitor.foresee(r"status of 400 \(Bad Request\)")
    page, (_, address) = place.page, town
    await page.locator("#to-connections").click()
    form = page.get_by_role("form", name="Follow: Notice boards")
    button = form.get_by_role("button", name="Follow")
    await button.click()
    await expect(form.get_by_role("textbox")).to_be_focused()  # it is needed
    for typed, said in (
        ("the town hall", "Not followed. That is no address of a notice board."),
        (f"{address}/fountain", "Not followed. The board's server answers 404."),
    ):
        await form.get_by_role("textbox").fill(typed)
        await button.click()
        await expect(form.get_by_role("alert")).to_have_text(said)
        await expect(form.get_by_role("textbox")).to_have_value(typed)
    await hears_of_news(place)
    await expect(form.get_by_role("textbox")).to_have_value(f"{address}/fountain")
    await form.get_by_role("textbox").focus()
    await is_told_news(place)
    await expect(form.get_by_role("textbox")).to_be_focused()
    for width in (320, 390, 1024):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await overflow(page) <= 0


@asynccontextmanager
async def draws_the_list_anew(page: Page) -> AsyncIterator[None]:
    before = page.locator("ul.platforms.before")
    await page.locator("ul.platforms").evaluate("list => list.classList.add('before')")
    yield
    await expect(before).to_have_count(0)


async def hears_of_news(place: Place) -> None:
    """The list is drawn anew, as it is with any news."""
    async with draws_the_list_anew(place.page):
        await place.page.locator("#compose-open").click()
        await place.page.get_by_label("Title").fill("news")
        await place.page.keyboard.press("Enter")


async def is_told_news(place: Place) -> None:
    """The same while one is in the middle of something else."""
    me = await (await place.page.request.get(f"{place.server.url}/api/me")).json()
    user = await place.server.services.database.read(lambda sql: resolve_user(sql, me["user"]["name"]))
    headers = {"authorization": f"Bearer {await place.server.add_token(user, 'send')}"}
    async with draws_the_list_anew(place.page):
        message = {"message": {"title": "news"}}
        answer = await place.server.client.post("/api/sse/send", json=message, headers=headers)
        assert answer.status_code < 300
