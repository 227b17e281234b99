"""What the plug-ins of the chaos program do on the loop; copied into each of them, beside its copy of asyncslot.

Everything that the loop calls is a Code: a coroutine (Life), an asynchronous generator (Flow), a callback (Call). It
ticks after each await, and whoever ticks when the record of his lease is closed has been called after detach().

The classes are copied, too, and not the program's, because a copy of asyncslot may tell by the code of a callback whose
it is.
"""

import asyncio
import gc
import socket
import sys
import threading
import time

MESSAGE = b"chaos"

# Seconds after which a task that waits for others is to be ended by a timeout of its own.
LONG = 3600


class Code:
    """Something of a plug-in's that the loop calls.

    Attributes:
        is_from_thread: whether another thread has handed it over; what came after the end of the lease had begun is
            that thread's fault, and `is_late` says so, which is asked after it has been handed over.
    """

    def __init__(self, record, kind):
        self.record = record
        self.kind = kind
        self.is_from_thread = False
        self.is_late = None

    def tick(self):
        """Say that it has been called, and let the collector run at an odd moment now and then."""
        if self.record.is_closed:
            self.record.world.suspect(self)
        self.record.world.collect_sometimes()


class Call(Code):
    """A callback that must be called, unless the lease ends first."""

    def __init__(self, record, kind, after=0.0, error=None, then=None):
        super().__init__(record, kind)
        self.error = error
        self.then = then
        self.number = record.promise(f"the callback {kind} of {record.label}", after)

    def __call__(self, *_):
        self.tick()
        self.record.keep(self.number)
        if self.then is not None:
            self.then()
        if self.error is not None:
            raise self.error


class Life(Code):
    """A coroutine, the outermost one of a task.

    Attributes:
        state: "made", "runs" or "over".
        outcome: "returned", "cancelled", "raised"; "closed" if it was closed where it stood.
        is_willing: whether it ends soon when it is cancelled.
        may_be_cancelled: whether somebody of the plug-in's may cancel it.
        is_cancelled_twice: whether its parent cancels it, too, when both are cancelled at once.
        is_task: whether it has a task of its own.
        clean_up_state: "none" is needed, "wanted", "begun", "done", "interrupted".
        began_attached, ended_after_lease: whether it did.
    """

    def __init__(self, record, kind, may_be_cancelled=False, is_promised=True):
        super().__init__(record, kind)
        self.state = "made"
        self.outcome = None
        self.is_willing = True
        self.may_be_cancelled = may_be_cancelled
        self.is_cancelled_twice = False
        self.is_task = True
        self.clean_up_state = "none"
        self.began_attached = False
        self.ended_after_lease = False
        self.number = record.promise(f"the task {kind} of {record.label}") if is_promised else None
        record.lives.append(self)

    @property
    def name(self):
        """What the task is called."""
        return f"{self.record.label}:{self.kind}"

    async def run(self, fn, *args):
        """Await `fn(self, *args)`, and note what becomes of it."""
        self.state = "runs"
        self.began_attached = self.record.is_attached
        self.record.keep(self.number)
        self.tick()
        try:
            result = await fn(self, *args)
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            if self.record.is_attached and not self.may_be_cancelled:
                self.record.world.find("a task was cancelled, and not by its plug-in", f"{self.name}")
            raise
        except GeneratorExit:
            self.outcome = "closed"
            if self.record.is_attached:
                self.record.world.find("a task is lost while its lease is attached", f"{self.name}")
            raise
        except BaseException:
            self.outcome = "raised"
            raise
        else:
            self.outcome = "returned"
            return result
        finally:
            self.state = "over"
            self.ended_after_lease = not self.record.is_attached

    async def clean_up(self, rng):
        """Do what stands in a `finally`: some awaits, 20 ms at most."""
        await self.clean_up_by(self._rest, rng)

    async def _rest(self, rng):
        for _ in range(rng.randint(0, 4)):
            await asyncio.sleep(rng.choice((0, 0.001, 0.005)))
            self.tick()

    async def clean_up_by(self, fn, *args):
        """Await a function in a `finally`, and note what becomes of it."""
        # By the one cancellation that detach() has for it. Otherwise it was under way when that came, and is cut off as
        # by asyncio's own end of a program.
        is_by_detach = isinstance(sys.exc_info()[1], asyncio.CancelledError) and not self.record.is_attached
        self.clean_up_state = "begun"
        self.tick()
        try:
            await fn(*args)
        except asyncio.CancelledError:
            if not is_by_detach or self.is_cancelled_twice:
                self.clean_up_state = "interrupted"
            raise
        self.tick()
        self.clean_up_state = "done"


class Flow(Code):
    """An asynchronous generator with an await in its `finally`.

    Attributes:
        state: "made", "runs", "closing", "closed" or "interrupted".
    """

    def __init__(self, record, kind):
        super().__init__(record, kind)
        self.state = "made"
        record.flows.append(self)

    async def rows(self, rng):
        """Yield numbers."""
        self.state = "runs"
        try:
            for number in range(1000):
                await asyncio.sleep(rng.choice((0, 0.001)))
                self.tick()
                yield number
        finally:
            self.state = "closing"
            exc = sys.exc_info()[1]
            # It is being closed, or the task that iterates is cancelled by detach(): see Life.clean_up_by().
            must_end = isinstance(exc, GeneratorExit)
            must_end = must_end or (isinstance(exc, asyncio.CancelledError) and not self.record.is_attached)
            self.tick()
            try:
                for _ in range(rng.randint(1, 3)):
                    await asyncio.sleep(rng.choice((0, 0.001, 0.005)))
                    self.tick()
            except asyncio.CancelledError:
                self.state = "closing" if must_end else "interrupted"
                raise
            self.state = "closed"


class Work:
    """What a plug-in does under one lease. KINDS, below, names the coroutines."""

    def __init__(self, plugin, record):
        self.plugin = plugin
        self.record = record
        self.world = plugin.world
        self.lease = record.lease
        self.loop = record.lease.loop
        self.aio = plugin.aio
        self.sockets = record.sockets
        self.kept = record.kept
        self.coroutines = record.coroutines
        self.stuck_jobs = 0

    def set_factory(self, factory):
        """Have all tasks made by a factory, until the lease ends."""
        self.loop.set_task_factory(factory)

    # -- making tasks --------------------------------------------------------

    def spawn(self, kind, rng, how=None, may_be_cancelled=False, is_plain=False):
        """Start a task of this kind, in one of many ways; return its future, or None.

        Args:
            is_plain: whether it is plain code that calls this, which Qt has called, perhaps under somebody's step.
        """
        if not self.lease.is_attached:
            return None
        life = Life(self.record, kind, may_be_cancelled)
        life.is_cancelled_twice = may_be_cancelled
        is_inside = asyncio._get_running_loop() is self.loop
        how = how or rng.choice(WAYS)
        if not is_inside and how in ("asyncio", "ensure_future", "eager"):
            how = "loop"
        if is_plain and how in ("task", "eager") and self.loop._as_owner.get() is not None:
            # asyncio.Task() copies the context that it finds, which is that of the task further out on the stack, and
            # asks no loop. Nobody can tell that it is not that task's.
            how = "loop"
        if how == "eager" and sys.version_info < (3, 12):
            how = "task"
        if how in self.world.plan.without:
            how = "lease"
        self.world.log(f"{life.name} by {how}")
        task = self._make(life, life.run(getattr(self, kind), rng), how)
        if kind in KEPT:
            self.kept.append(task)
        return task

    def _make(self, life, coro, how):
        if how == "lease":
            return self.lease.create_task(coro, name=life.name)
        if how == "module":
            return self.aio.create_task(coro, name=life.name)
        if how == "run_task":
            return self.lease.run_task(coro, name=life.name)
        if how == "loop":
            return self.loop.create_task(coro)
        if how == "asyncio":
            return asyncio.get_event_loop().create_task(coro)
        if how == "ensure_future":
            return asyncio.ensure_future(coro)
        if how == "threadsafe":
            self.coroutines.append((life, coro))
            return asyncio.run_coroutine_threadsafe(coro, self.loop)
        options = {"loop": self.loop}
        if sys.version_info >= (3, 8):
            options["name"] = life.name
        if how == "eager":
            options["eager_start"] = True
        return asyncio.Task(coro, **options)

    async def heart(self, life):
        """Show that the loop goes on."""
        while True:
            self.record.beats += 1
            self.world.has_stepped = True
            life.tick()
            await asyncio.sleep(0.002)

    # -- tasks ---------------------------------------------------------------

    async def sleeper(self, life, rng):
        """Sleep a little, some times."""
        for _ in range(rng.randint(1, 30)):
            await asyncio.sleep(rng.choice((0, 0, 0.001, 0.005)))
            life.tick()

    async def cleaner(self, life, rng):
        """Sleep for long, and clean up."""
        life.clean_up_state = "wanted"
        try:
            await asyncio.sleep(LONG)
        finally:
            await life.clean_up(rng)

    async def suppressor(self, life, rng):
        """Clean up, and end as if nobody had cancelled it."""
        life.clean_up_state = "wanted"
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await life.clean_up(rng)

    async def stubborn(self, life, rng):
        """Refuse to end."""
        life.is_willing = False
        while True:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                life.tick()

    async def raiser(self, life, rng):
        """Raise what a plug-in should not."""
        await asyncio.sleep(rng.choice((0, 0.001)))
        life.tick()
        raise self.world.planned(rng, self.record)

    async def late_raiser(self, life, rng):
        """Raise where it cleans up."""
        life.clean_up_state = "wanted"
        try:
            await asyncio.sleep(LONG)
        finally:
            await life.clean_up(rng)
            raise self.world.planned(rng, self.record)

    async def parent(self, life, rng):
        """Wait for two cleaners, in one of the ways that asyncio has."""
        first, second = (Life(self.record, "child", True, is_promised=False) for _ in range(2))
        life.clean_up_state = "wanted"
        try:
            await self._wait(rng, (first, self.cleaner_child, rng), (second, self.cleaner_child, rng))
        finally:
            await life.clean_up(rng)

    async def cleaner_child(self, life, rng):
        """Sleep a little or for long, and clean up."""
        life.clean_up_state = "wanted"
        try:
            await asyncio.sleep(rng.choice((0.002, 0.01, LONG)))
        finally:
            await life.clean_up(rng)

    async def failing_group(self, life, rng):
        """Have a task group whose first child fails at once, perhaps in its eager first step."""
        failing, other = (Life(self.record, kind, True, is_promised=False) for kind in ("failing", "child"))
        try:
            await self._wait(rng, (failing, self.raise_at_once), (other, self.cleaner_child, rng), way="group")
        except BaseException as exc:
            if not self.world.is_planned(exc):
                raise
        life.tick()

    async def raise_at_once(self, life):
        """Raise."""
        raise self.world.Planned(self.world.PLANNED + life.name)

    async def canceller(self, life, rng):
        """Cancel a task of its own."""
        task = self.spawn("cleaner", rng, "lease", may_be_cancelled=True)
        await asyncio.sleep(rng.choice((0, 0.001, 0.003)))
        life.tick()
        if task is not None:
            task.cancel()

    async def leaver(self, life, rng):
        """Leave another task behind in its last step."""
        life.clean_up_state = "wanted"
        try:
            await asyncio.sleep(rng.choice((0.005, LONG)))
        finally:
            await life.clean_up(rng)
            self._leave_child(rng)

    def _leave_child(self, rng):
        if asyncio._get_running_loop() is not self.loop:
            return  # it is being closed where it stood
        life = Life(self.record, "left behind", is_promised=False)
        self.kept.append(self.loop.create_task(life.run(self.cleaner, rng)))

    async def queue_user(self, life, rng):
        """Hand things over to another task."""
        queue = asyncio.Queue(2)
        other = Life(self.record, "consumer", True, is_promised=False)
        task = asyncio.ensure_future(other.run(self._consume, queue))
        try:
            for number in range(rng.randint(1, 20)):
                await queue.put(number)
                life.tick()
        finally:
            task.cancel()

    async def _consume(self, life, queue):
        while True:
            await queue.get()
            life.tick()

    async def _wait(self, rng, *children, way=None):
        """Run children, each (life, function, arguments ...), and wait for them in one of asyncio's ways."""
        way = way or rng.choice(("gather", "wait_for", "group", "wait", "await", "shield"))
        if way == "group" and not hasattr(asyncio, "TaskGroup"):
            way = "gather"
        for life, *_ in children:
            # gather() goes on with the first child that has ended, and leaves the others to their clean-up.
            life.is_cancelled_twice = way in ("group", "wait_for", "gather")
        coros = [life.run(*rest) for life, *rest in children]
        if way == "group":
            async with asyncio.TaskGroup() as group:
                for coro in coros:
                    try:
                        group.create_task(coro)
                    except RuntimeError as exc:
                        # asyncio's: a child that was eager has failed, and the group takes no other.
                        if "is shutting down" not in str(exc):
                            raise
                        coro.close()
            return
        tasks = [asyncio.ensure_future(coro) for coro in coros]
        if way == "gather":
            await asyncio.gather(*tasks)
        elif way == "wait":
            await asyncio.wait(tasks)
        for task in tasks:
            if way == "wait_for":
                await asyncio.wait_for(task, 60)
            elif way == "shield":
                await asyncio.shield(task)
            else:
                await task

    # -- asynchronous generators ---------------------------------------------

    async def reader_of_rows(self, life, rng):
        """Iterate over a generator that nobody else refers to."""
        flow = Flow(self.record, "rows")
        async for number in flow.rows(rng):
            await asyncio.sleep(rng.choice((0, 0.002)))
            life.tick()
            if number > 40:
                break

    async def keeper_of_rows(self, life, rng):
        """Begin a generator, and keep it."""
        rows = Flow(self.record, "kept rows").rows(rng)
        self.kept.append(rows)
        await rows.__anext__()
        life.tick()

    async def dropper_of_rows(self, life, rng):
        """Begin a generator, and drop it."""
        await Flow(self.record, "dropped rows").rows(rng).__anext__()
        life.tick()

    # -- dialogs -------------------------------------------------------------

    async def dialog(self, life, rng):
        """Open a dialog, and sit in it."""
        await asyncio.sleep(0)
        life.tick()
        self.world.dialog(rng)
        if rng.random() < 0.5:
            life.clean_up_state = "wanted"
            try:
                await asyncio.sleep(rng.choice((0, 0.003)))
            finally:
                await life.clean_up(rng)

    async def events(self, life, rng):
        """Let Qt's events through."""
        for _ in range(rng.randint(1, 3)):
            self.world.process_events()
            await asyncio.sleep(0)
            life.tick()

    async def waiter_for_dialog(self, life, rng):
        """Wait for a task that sits in a dialog."""
        other = Life(self.record, "dialog", True, is_promised=False)
        life.clean_up_state = "wanted"
        try:
            await self._wait(rng, (other, self.dialog, rng))
        finally:
            await life.clean_up(rng)

    async def modal(self, life, rng):
        """Await a dialog without being on its stack."""
        await self.aio.asyncModal(self.world.dialog, rng)
        life.tick()

    async def modal_of_nobody(self, life, rng):
        """As before, in a task to which nobody refers, with the collector at work."""
        self.loop.call_soon(Call(self.record, "collect", then=gc.collect))
        await self.aio.asyncModal(self.world.dialog, rng)
        life.tick()

    async def in_progress(self, life, rng):
        """Show how far it is."""
        life.may_be_cancelled = True  # Qt 6 closes all windows when it quits, which is the user's Cancel
        if not self.lease.is_attached:
            return
        async with self.lease.progress("chaos", total=3) as progress:
            for _ in range(3):
                progress.advance()
                await asyncio.sleep(0.002)
                life.tick()

    # -- the end, from inside ------------------------------------------------

    async def detacher(self, life, rng):
        """Detach its own plug-in."""
        await self._end(life, rng, self.plugin.detach)

    async def reloader(self, life, rng):
        """Have its own plug-in reloaded."""
        await self._end(life, rng, self.plugin.reload)

    async def quitter(self, life, rng):
        """End the application."""
        await self._end(life, rng, lambda _: self.world.quit())

    async def _end(self, life, rng, end):
        await asyncio.sleep(rng.choice((0, 0, 0.002)))
        life.tick()
        life.clean_up_state = "wanted"
        try:
            end(rng)
            if rng.random() < 0.3:
                self.world.dialog(rng)
            if rng.random() < 0.5:
                await asyncio.sleep(LONG)
        finally:
            await life.clean_up(rng)
            if rng.random() < 0.3:
                self._leave_child(rng)
            if rng.random() < 0.2:
                await self._drop_rows(rng)

    async def _drop_rows(self, rng):
        await Flow(self.record, "rows of the last step").rows(rng).__anext__()

    # -- threads, processes, sockets -----------------------------------------

    async def quick_job(self, life, rng):
        """Run something in a thread."""
        run = rng.choice((self.lease.to_thread, self._in_executor))
        for _ in range(rng.randint(1, 3)):
            if not self.lease.is_attached:
                return
            await run(time.sleep, rng.choice((0, 0.001)))
            life.tick()

    def _in_executor(self, fn, *args):
        return self.loop.run_in_executor(None, fn, *args)

    async def stuck_job(self, life, rng):
        """Run something in a thread that does not end; but leave some of the executor's threads to others."""
        if self.stuck_jobs < MOST_STUCK_JOBS and self.lease.is_attached:
            self.stuck_jobs += 1
            await self.lease.to_thread(self.world.stuck.wait, 60)
        life.tick()

    async def cleaner_by_thread(self, life, rng):
        """Clean up in a thread."""
        life.clean_up_state = "wanted"
        try:
            await asyncio.sleep(rng.choice((0.01, LONG)))
        finally:
            await life.clean_up_by(self._in_executor, time.sleep, 0.001)

    async def subprocess(self, life, rng):
        """Talk to a child, or have one that stays."""
        options = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        process = await asyncio.create_subprocess_exec("cat", **options)
        life.tick()
        if rng.random() < 0.5:
            await process.communicate(MESSAGE)
        else:
            await process.wait()
        life.tick()

    async def server(self, life, rng):
        """Have a server and a client that talk to each other."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        life.tick()
        address = server.sockets[0].getsockname()[:2]
        writer = None
        try:
            reader, writer = await asyncio.open_connection(*address)
            for _ in range(rng.randint(1, 20)):
                number = self.record.promise(f"an echo of {life.name}")
                writer.write(MESSAGE)
                await reader.readexactly(len(MESSAGE))
                self.record.keep(number)
                life.tick()
            if rng.random() < 0.5:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            if self.record.is_attached:
                raise
        finally:
            if writer is not None:
                writer.close()
            server.close()

    async def _answer(self, reader, writer):
        life = Life(self.record, "handler", may_be_cancelled=True, is_promised=False)
        await life.run(self._echo, reader, writer)

    async def _echo(self, life, reader, writer):
        try:
            while True:
                data = await reader.read(100)
                life.tick()
                if not data:
                    break
                writer.write(data)
        except (ConnectionError, asyncio.CancelledError):
            pass  # CPython 3.11 and older report a handler that ends as cancelled
        finally:
            writer.close()

    def add_reader(self, rng):
        """Watch a descriptor, with a callback that may raise, and be called again."""
        ours, theirs = socket.socketpair()
        self.sockets += (ours, theirs)
        ours.setblocking(False)
        calls = [Call(self.record, "reader") for _ in range(rng.randint(1, 4))]
        errors = [self.world.planned(rng, self.record) if rng.random() < 0.3 else None for _ in calls]

        def on_readable():
            if not calls:
                Call(self.record, "reader again").tick()
                return
            calls.pop()()
            if not calls:
                self.loop.remove_reader(ours)
            error = errors.pop()
            if error is not None:
                raise error

        self.loop.add_reader(ours, on_readable)
        theirs.send(MESSAGE)

    def start_thread(self, rng):
        """Have a thread that hands things over to the loop, and emits where that is safe."""
        # PySide2 and PySide6 crash while a thread emits and receivers or senders are made or collected, without us: see
        # reports. There, what a thread emits is emitted while the GUI thread waits for it: World.burst().
        emits = self.world.threads_may_emit and rng.random() < 0.6
        count, record, loop = rng.randint(1, 20), self.record, self.loop
        pauses = [rng.choice((0, 0, 0.001, 0.002)) for _ in range(count)]
        seeds = [rng.random() for _ in range(count)]

        def run():
            for pause, seed in zip(pauses, seeds):
                if not record.is_attached or self.world.is_over:
                    break
                try:
                    if emits and seed < 0.5:
                        self.world.thread_sender.number.emit(1)
                    elif seed < 0.8:
                        self._post(Call, "from a thread", loop.call_soon_threadsafe)
                    else:
                        self._post_coroutine(seed)
                except RuntimeError:
                    break  # the loop is closed
                time.sleep(pause)

        thread = threading.Thread(target=run, name="chaos", daemon=True)
        self.world.threads.append(thread)
        thread.start()

    def _post(self, make, kind, post):
        code = make(self.record, kind)
        code.is_from_thread = True
        try:
            post(code)
        finally:
            code.is_late = not self.record.is_attached
            self._let_off(code)

    def _post_coroutine(self, seed):
        import random

        rng = random.Random(seed)
        life = Life(self.record, "sleeper")
        life.is_from_thread = True
        coro = life.run(self.sleeper, rng)
        self.coroutines.append((life, coro))
        try:
            asyncio.run_coroutine_threadsafe(coro, self.loop)
        finally:
            life.is_late = not self.record.is_attached
            self._let_off(life)

    def _let_off(self, code):
        """Promise nothing that was handed over while the lease ended."""
        if not self.record.is_attached:
            self.record.keep(code.number)

    # -- signals -------------------------------------------------------------

    async def awaiter(self, life, rng):
        """Await a signal of its own or of the host's."""
        try:
            for _ in range(rng.randint(1, 3)):
                signal = rng.choice((self.plugin.sender.number, self.world.sender.number, self.plugin.sender.text))
                waiting = self.aio.asyncSignal(signal)
                del signal
                if rng.random() < 0.5:
                    await asyncio.wait_for(waiting, rng.choice((0.001, 0.02, 5)))
                else:
                    await waiting
                life.tick()
                if not self.lease.is_attached:
                    return  # below Python 3.12, wait_for() may have kept the cancellation to itself
        except asyncio.TimeoutError:
            pass
        except (self.aio.SenderDeletedError, RuntimeError):
            life.tick()  # the sender has been deleted
        except asyncio.CancelledError:
            # The future that it awaits is cancelled by detach(), and a future's end as cancelled is the task's.
            life.tick()
            raise

    async def listener(self, life, rng):
        """Iterate over emissions."""
        senders = [self.plugin.sender, self.world.sender]
        if self.world.threads_may_emit:
            senders.append(self.world.thread_sender)
        signal = rng.choice(senders).number
        senders.clear()
        try:
            async for _ in self.aio.asyncSignals(signal):
                life.tick()
        except (self.aio.SenderDeletedError, RuntimeError):
            life.tick()

    async def qt_thread(self, life, rng):
        """Have a QThread that hands something over."""
        call = Call(self.record, "from a QThread")
        call.is_from_thread = True

        def run():
            try:
                self.loop.call_soon_threadsafe(call)
            except RuntimeError:
                pass
            call.is_late = not self.record.is_attached
            self._let_off(call)

        thread = self.world.start_qt_thread(run)
        while not thread.isFinished():
            await asyncio.sleep(0.001)
            life.tick()

    # -- slots ---------------------------------------------------------------

    def _dialog_of(self, receiver, rng):
        receiver.dialogs += 1
        try:
            self.world.dialog(rng)
        finally:
            receiver.dialogs -= 1

    async def slot(self, life, rng, receiver):
        """Answer an emission, in one of many ways."""
        what = rng.choice([what for what in SLOT_ACTIONS if f"slot_{what}" not in self.world.plan.without])
        if what == "dialog":
            self._dialog_of(receiver, rng)
        elif what == "delete" and self.world.may_delete(receiver):
            receiver.is_deleted = True
            receiver.deleteLater()
            self.world.mute(lambda: self._dialog_of(receiver, rng))
        elif what == "raise":
            raise self.world.planned(rng, self.record)
        elif what == "end":
            if rng.random() < 0.3 * self.world.rate_of_ends:
                await self._end(life, rng, rng.choice((self.plugin.detach, lambda _: self.world.quit())))
        elif what == "job":
            await self.quick_job(life, rng)
        elif what == "clean":
            await self.cleaner_child(life, rng)
        await asyncio.sleep(rng.choice((0, 0.001, 0.004)))
        life.tick()


# Stuck jobs of a lease, whose executor has at least five threads.
MOST_STUCK_JOBS = 2

# Tasks that wait for something to which perhaps only they themselves refer: asyncio does not keep them either.
KEPT = {"queue_user", "stuck_job", "subprocess", "server", "awaiter", "listener", "in_progress"}

# How a task can be made. Not all are possible everywhere; see Work.spawn().
WAYS = ("lease", "lease", "module", "run_task", "loop", "asyncio", "ensure_future", "threadsafe", "task", "eager")

SLOT_ACTIONS = ("nothing", "nothing", "nothing", "dialog", "delete", "raise", "end", "job", "clean")

# Coroutines that spawn() can start, with how often each is wanted.
KINDS = {
    "sleeper": 6,
    "cleaner": 10,
    "suppressor": 2,
    "raiser": 3,
    "late_raiser": 2,
    "parent": 5,
    "failing_group": 2,
    "canceller": 3,
    "leaver": 3,
    "queue_user": 2,
    "reader_of_rows": 6,
    "keeper_of_rows": 3,
    "dropper_of_rows": 2,
    "dialog": 9,
    "events": 3,
    "waiter_for_dialog": 5,
    "modal": 4,
    "modal_of_nobody": 2,
    "in_progress": 1,
    "quick_job": 3,
    "stuck_job": 1,
    "cleaner_by_thread": 3,
    "subprocess": 1,
    "server": 3,
    "awaiter": 4,
    "listener": 3,
    "qt_thread": 1,
}
