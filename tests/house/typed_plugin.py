"""What a type checker makes of a plug-in: read by mypy (scripts/check.py), never run.

A line that must be refused carries the error as an ignore: --strict complains of
one that is not needed.
"""

import asyncio
from typing import TYPE_CHECKING

import asyncslot

if TYPE_CHECKING:
    from typing_extensions import assert_type


async def count() -> int:
    """Return a number."""
    return 1


def spell(number: int, language: str) -> str:
    """Return a word."""
    return f"{number} in {language}"


def results_keep_their_types(lease: asyncslot.Lease) -> None:
    """What a coroutine or a function returns is known behind the task or future."""
    assert_type(lease.create_task(count()), "asyncio.Task[int]")
    assert_type(lease.run_task(count(), name="counter"), "asyncio.Task[int]")
    assert_type(asyncslot.create_task(count()), "asyncio.Task[int]")
    assert_type(lease.loop.run_task(count()), "asyncio.Task[int]")
    assert_type(lease.to_thread(spell, 1, "Latin"), "asyncio.Future[str]")
    assert_type(lease.run_until_complete(count(), timeout=1.0), int)


def arguments_are_checked(lease: asyncslot.Lease) -> None:
    """They must be those of the function, as for asyncio's own methods."""
    lease.to_thread(spell, "Latin", 1)  # type: ignore[arg-type]
    lease.loop.call_soon(spell, 1)  # type: ignore[arg-type]
    lease.loop.call_soon_threadsafe(spell, 1, 2)  # type: ignore[arg-type]
    lease.loop.call_at(0.0, spell, 1, 2)  # type: ignore[arg-type]
    lease.create_task(count)  # type: ignore[arg-type]


class Dock:
    """Slots of every kind."""

    @asyncslot.asyncSlot
    async def refresh(self, rows: int, *, fast: bool = False) -> str:
        """Return a text."""
        return str(rows)

    @asyncslot.asyncSlot(on_repeat="drop")
    async def save(self) -> int:
        """Return a number."""
        return 1

    @asyncslot.asyncSlot
    @staticmethod
    async def load(path: str) -> bytes:
        """Return what is there."""
        return path.encode()

    @asyncslot.asyncSlot
    @classmethod
    async def open(cls, path: str) -> bytes:
        """Return what is there."""
        return path.encode()


async def slots_keep_their_types(dock: Dock, lease: asyncslot.Lease) -> None:
    """Their arguments, and the result of who awaits their task."""
    assert_type(await dock.refresh(1, fast=True), str)
    assert_type(await dock.save(), int)
    assert_type(await Dock.load("path"), bytes)
    assert_type(await Dock.open("path"), bytes)
    assert_type(dock.save(), "asyncio.Future[int]")
    assert_type(await asyncslot.asyncSlot(count, on_repeat="queue")(), int)
    assert_type(await lease.slot(count)(), int)
    assert_type(await lease.slot(on_repeat="restart")(count)(), int)
    assert_type(dock.save().done(), bool)
    dock.refresh("all")  # type: ignore[arg-type]
    dock.save(1)  # type: ignore[call-arg]
    asyncslot.asyncSlot(spell)  # type: ignore[arg-type]
    asyncslot.asyncSlot(int)  # type: ignore[arg-type]
    lease.slot(spell)  # type: ignore[arg-type]


async def a_dialog_keeps_its_types() -> None:
    """Of the function that opens it."""
    assert_type(await asyncslot.asyncModal(spell, 1, language="Latin"), str)
    await asyncslot.asyncModal(spell, "Latin", 1)  # type: ignore[arg-type]


class Box:
    """What a type checker knows of a dialog, of whichever binding."""

    def exec(self) -> int:
        """Return a code."""
        return 1

    def accept(self) -> None:
        """End."""

    def reject(self) -> None:
        """End."""

    def isHidden(self) -> bool:
        """Return whether it is closed."""
        return True


async def a_dialog_is_asked_for_and_not_what_executes_it(box: Box) -> None:
    """The answer is Qt's: no checker can know which binding's."""
    if await asyncslot.asyncDialog(box):
        await asyncslot.asyncDialog(box.exec())  # type: ignore[arg-type]
        await asyncslot.asyncDialog(box.exec)  # type: ignore[arg-type]
        await asyncslot.asyncDialog(Box)  # type: ignore[arg-type]


def a_loop_is_asyncios(lease: asyncslot.Lease) -> asyncio.AbstractEventLoop:
    """It goes wherever an event loop is wanted."""
    return lease.loop


def what_is_imported_late_has_its_type() -> None:
    """And what there is not is still refused."""
    assert_type(asyncslot.report(), str)
    assert_type(asyncslot.AsyncSlotRunner(), asyncslot.AsyncSlotRunner)
    asyncslot.moniter()  # type: ignore[attr-defined]


def a_report_is_text(report: asyncslot.DetachReport) -> str:
    """And numbers."""
    assert_type(report.seconds, float)
    return f"{report}: {report.ended}"
