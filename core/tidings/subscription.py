"""One stream's cursor on a journal, and how it is fed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from tidings.contracts import Notice, Page, Principal, Selection, Sink
from tidings.errors import NotFound, Unavailable
from tidings.event import Cursor, Entry
from tidings.selection import EVERYTHING

if TYPE_CHECKING:
    from tidings.fanout import Fanout

_LONGEST_QUEUE = 64  # frames kept for a client that lags; beyond, it reads the journal when it is back
_PAGE_ENTRIES = 200
_WRITE_BYTES = 32 * 1024
_FINISH_SECONDS = 2.0
_FIRST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 15.0


class LiveSubscription:
    """See `tidings.contracts.Subscription`.

    It is in one of three states: *reading* (a task reads the journal and offers what it finds), *live* (frames
    come from the fan-out), or *lagging* (live, but the client has not taken the last frame yet: a few frames
    queue up, and when the queue is full they are dropped and reading starts once the client is back).
    """

    __slots__ = (
        "_busy",
        "_closed",
        "_encode",
        "_epoch",
        "_fanout",
        "_live",
        "_queue",
        "_reader",
        "_rest",
        "_selection",
        "_sink",
        "_taken",
        "_written",
        "counted",
        "frames",
        "opened_at",
        "principal",
        "reason",
        "sent_seq",
        "transport",
    )

    def __init__(
        self,
        fanout: Fanout,
        principal: Principal,
        sink: Sink,
        after: Cursor,
        selection: Selection,
        encode: Callable[[Entry], bytes],
        transport: str,
    ) -> None:
        self.principal = principal
        self.transport = transport
        self.opened_at = fanout.clock.monotonic()
        self.frames = 0
        self.counted = 0  # of them, in the metrics
        self.reason = "client"  # why it ended
        self.sent_seq = after.seq
        self._fanout = fanout
        self._sink = sink
        self._selection = None if selection is EVERYTHING else selection
        self._encode = encode
        self._epoch = after.epoch
        self._written = after.seq  # offered to the sink or withheld, all up to here
        self._taken = after.seq  # the same, with what is queued
        self._queue: deque[tuple[int, bytes]] | None = None
        self._live = False
        self._busy = True  # not started, or the client has yet to take the last frame: nothing may be offered
        self._closed = False
        self._reader: anyio.CancelScope | None = None
        self._rest: Awaitable[None] | None = None  # of a frame that was offered while it reads

    @property
    def cursor(self) -> Cursor:
        """Everything up to here was sent or withheld by the selection."""
        return Cursor(self._epoch, self._written)

    @property
    def state(self) -> str:
        """`live`, `lagging` or `reading`."""
        if self._live:
            return "lagging" if self._busy else "live"
        return "reading"

    def start(self) -> None:
        """Begin to feed the sink; called once, when the transport has said what comes before."""
        self._busy = False
        if self.cursor == self._fanout.newest(self.principal.user_id):
            self._live = True
        else:
            self._fanout.start_soon(self._read, self)

    def offer(self, frame: bytes) -> bool:
        """See `tidings.contracts.Subscription.offer`."""
        if self._busy or self._closed:
            return False
        self._write(frame)
        return True

    def tell(self, notice: Notice) -> None:
        """Pass a notice on, if it is selected and the client keeps up."""
        if self._selection is None or self._selection.matches(notice.type, notice.platform):
            self.offer(self._sink.notice(notice))

    # --- live ---

    def take(self, entry: Entry, frames: dict[object, bytes]) -> None:
        """An entry from memory. `frames` holds its encodings, shared by all subscriptions."""
        if not self._live:
            return
        seq = entry.cursor.seq
        if seq != self._taken + 1:
            self.look(seq)
            return
        self._taken = seq
        if self._selection is not None and not self._selection.matches(entry.type, entry.platform):
            if not self._busy:
                self._written = seq
            return
        frame = frames.get(self._encode)
        if frame is None:
            frame = frames[self._encode] = self._encode(entry)
        if self._busy:
            self._enqueue(seq, frame)
        else:
            self._written = self.sent_seq = seq
            self.frames += 1
            self._write(frame)

    def look(self, newest: int) -> None:
        """There is something up to `newest` that can't come from memory: read it."""
        if self._live and newest > self._taken:
            self._live = False
            self._queue = None
            self._taken = self._written
            if not self._busy:
                self._fanout.start_soon(self._read, self)

    def _enqueue(self, seq: int, frame: bytes) -> None:
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) < _LONGEST_QUEUE:
            self._queue.append((seq, frame))
            return
        self._fanout.metrics.lagged.inc()
        self._live = False
        self._queue = None
        self._taken = self._written

    def _write(self, frame: bytes) -> None:
        try:
            rest = self._sink.offer(frame)
        except Exception as error:  # noqa: BLE001 - a defect of one transport must not stop the fan-out
            self._fanout.broken(self, error)
            return
        if rest is not None:
            self._busy = True
            if self._live:
                self._fanout.start_soon(lambda: self._wait(rest), self)
            else:
                self._rest = rest  # the reader waits for it before it writes

    async def _wait(self, rest: Awaitable[None]) -> None:
        """The client is slow: wait for it, then send what queued up, or read what did not."""
        with anyio.CancelScope() as self._reader:
            await rest
            while self._queue:
                seq, frame = self._queue.popleft()
                self._written = self.sent_seq = seq
                self.frames += 1
                more = self._sink.offer(frame)
                if more is not None:
                    await more
            self._busy = False
            if self._live:
                self._written = self._taken
                self._queue = None
        if not self._live and not self._closed:
            await self._read()

    # --- reading ---

    async def _read(self) -> None:
        """Read the journal until there is nothing newer, then be live."""
        retry_seconds = _FIRST_RETRY_SECONDS
        with anyio.CancelScope() as self._reader:
            while not self._closed:
                try:
                    async with self._fanout.reads:
                        page = await self._fanout.journal.read(
                            self.principal.user_id,
                            Cursor(self._epoch, self._written),
                            limit=_PAGE_ENTRIES,
                            selection=self._selection,
                        )
                except Unavailable:
                    # The stream stays open; what it missed is read when the database is back.
                    await self._fanout.clock.sleep(retry_seconds * random.uniform(0.5, 1))  # noqa: S311 - jitter
                    retry_seconds = min(retry_seconds * 2, _LONGEST_RETRY_SECONDS)
                    continue
                except NotFound:
                    self._fanout.start_soon(lambda: self.finish("user_removed"), self)
                    return
                retry_seconds = _FIRST_RETRY_SECONDS
                await self._send(page)
                # No await from here to `_live`: nothing can be committed unseen in between.
                if page.at_head and self._written >= self._fanout.newest(self.principal.user_id).seq:
                    self._taken = self._written
                    self._live = True
                    return

    async def _send(self, page: Page) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            await rest
            self._busy = False
        if page.gap is not None:
            floor = Cursor(page.cursor.epoch, page.gap.to_seq)
            await self._put(self._sink.gap(page.gap, floor))
            self._epoch = floor.epoch
            self._written = self.sent_seq = floor.seq
        self._epoch = page.cursor.epoch
        self._fanout.renew(self.principal.user_id, self._epoch)
        chunk: list[bytes] = []
        size = 0
        for entry in page.entries:
            frame = self._encode(entry)
            chunk.append(frame)
            size += len(frame)
            if size >= _WRITE_BYTES:
                await self._put(b"".join(chunk))
                self._written = self.sent_seq = entry.cursor.seq
                chunk, size = [], 0
        if chunk:
            await self._put(b"".join(chunk))
            self.sent_seq = page.entries[-1].cursor.seq
        self._written = page.cursor.seq
        self.frames += len(page.entries)

    async def _put(self, data: bytes) -> None:
        rest = self._sink.offer(data)
        if rest is not None:
            self._busy = True
            await rest
            self._busy = False

    # --- endings ---

    def close(self) -> None:
        """See `tidings.contracts.Subscription.close`."""
        if not self._closed:
            self._closed = True
            self._live = False
            self._queue = None
            if self._reader is not None:
                self._reader.cancel()
            self._fanout.forget(self)

    async def finish(self, reason: str) -> None:
        """End the stream from this side: tell the client why, or cut it off if it does not read."""
        if self.end(reason):
            await self.dismiss()

    def end(self, reason: str) -> bool:
        """Feed it no more; False if it had ended already. The client is still to be dismissed."""
        if self._closed:
            return False
        self.reason = reason
        self.close()
        return True

    async def dismiss(self) -> None:
        """Tell the client why the stream has ended, or cut it off if it does not read."""
        with anyio.move_on_after(_FINISH_SECONDS):
            await self._sink.finish(self.reason)
