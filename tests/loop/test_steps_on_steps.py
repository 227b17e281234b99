"""Steps within steps, the running loop, and first steps that are run at once. No Qt, no time."""

import asyncio
import contextvars
import sys

# -- the running loop ---------------------------------------------------------


def test_the_loop_is_running_during_a_step_only(loop):
    """And not between steps: another plug-in's asyncio.run() works."""
    seen = []
    loop.call_soon(lambda: seen.append(asyncio._get_running_loop()))
    loop.turns()
    assert seen == [loop]
    assert asyncio._get_running_loop() is None


def test_what_was_running_before_is_put_back(loop):
    """A step inside another loop's task leaves that loop and that task as they were."""
    inside = []

    async def host_of_another_kind():
        loop.call_soon(lambda: inside.append((asyncio._get_running_loop(), asyncio.current_task(loop))))
        task = asyncio.current_task()
        loop.turns()
        assert asyncio.current_task() is task
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    other = asyncio.new_event_loop()
    assert other.run_until_complete(host_of_another_kind()) is other
    other.close()
    assert inside == [(loop, None)]


def test_async_generator_hooks_last_as_long_as_a_step(loop):
    """The hooks of whoever is running otherwise are put back."""
    before = sys.get_asyncgen_hooks()
    seen = []
    loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks().firstiter))
    loop.turns()
    assert seen == [loop._asyncgen_firstiter_hook]
    assert sys.get_asyncgen_hooks() == before


def test_a_loop_that_was_unpublished_by_a_neighbour_is_published_anew(loop):
    """Python 3.13: a foreign run_forever() that fails its check clears the running loop."""
    loop.call_soon(asyncio._set_running_loop, None)
    loop.turns()
    seen = []
    loop.call_soon(lambda: seen.append(asyncio._get_running_loop()))
    loop.turns()
    assert seen == [loop]


# -- nesting --------------------------------------------------------------------


def test_other_tasks_go_on_inside_a_nested_loop(loop):
    """A task that opens a dialog stands still; the others do not, and the first goes on afterwards."""
    log = []

    async def opens_dialog():
        me = asyncio.current_task()
        log.append("open")
        for _ in range(3):
            loop.turn()
        log.append("closed")
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        log.append("after")

    async def other():
        for number in range(3):
            log.append(number)
            await asyncio.sleep(0)

    tasks = [loop.create_task(opens_dialog()), loop.create_task(other())]
    loop.turns()
    assert log == ["open", 0, 1, 2, "closed", "after"]
    assert all(task.done() for task in tasks)


def test_callbacks_behind_the_one_that_nests_run_inside_and_once(loop):
    """The rest of the batch is not lost when the outer step goes on."""
    ran = []
    loop.call_soon(lambda: (ran.append("in"), loop.turn(), ran.append("out")))
    for number in range(3):
        loop.call_soon(ran.append, number)
    loop.turns()
    assert ran == ["in", 0, 1, 2, "out"]


def test_a_reader_on_the_stack_is_not_entered_again_nor_spun_on(loop, pair):
    """Its descriptor stays readable while it is on the stack; it is muted and heard again afterwards."""
    left, right = pair
    depth, reads = [], []

    def reader():
        depth.append(1)
        assert len(depth) == 1, "entered again"
        for _ in range(3):
            loop.turn()
        assert loop._as_idle, "the loop spins on a descriptor that nobody reads"
        reads.append(left.recv(1))
        depth.pop()

    loop.add_reader(left, reader)
    right.send(b"ab")
    loop.turns()
    assert reads == [b"a", b"b"]


def test_a_reader_removed_while_muted_stays_removed(loop, pair):
    """remove_reader() finds a muted descriptor in the books."""
    left, right = pair
    calls = []

    def reader():
        calls.append(1)
        loop.turn()
        assert loop.remove_reader(left)

    loop.add_reader(left, reader)
    right.send(b"ab")
    loop.turns()
    loop.turn()
    assert calls == [1]


def test_a_context_on_the_stack_is_not_entered_again(loop):
    """Callbacks that share the suspended one's context wait for it, and then run."""
    ran = []
    shared = contextvars.copy_context()
    loop.call_soon(lambda: (loop.turn(), loop.turn(), ran.append("outer")), context=shared)
    loop.call_soon(ran.append, "same context", context=shared)
    loop.call_soon(ran.append, "other context")
    loop.turns()
    assert ran == ["other context", "outer", "same context"]


def test_three_levels_of_nesting(loop):
    """A dialog from a task inside a dialog from a task."""
    log = []

    async def level(number):
        log.append(f"in {number}")
        if number < 3:
            loop.create_task(level(number + 1))
            loop.turns()
        log.append(f"out {number}")

    loop.create_task(level(1))
    loop.turns()
    assert log == ["in 1", "in 2", "in 3", "out 3", "out 2", "out 1"]


# -- run_task -------------------------------------------------------------------


def test_run_task_runs_the_first_step_at_once(loop):
    """The rest comes in the next turn."""
    log = []

    async def coro():
        log.append(("first", asyncio.current_task()))
        await asyncio.sleep(0)
        log.append(("second", asyncio.current_task()))

    task = loop.run_task(coro())
    assert log == [("first", task)]
    loop.turns()
    assert log == [("first", task), ("second", task)]


def test_run_task_inside_a_task_suspends_it_for_the_first_step(loop):
    """And afterwards the outer task is the current one again."""
    seen = []

    async def inner():
        seen.append(asyncio.current_task())

    async def outer():
        me = asyncio.current_task()
        task = loop.run_task(inner())
        assert asyncio.current_task() is me
        await task
        return task

    task = loop.create_task(outer())
    loop.turns()
    assert seen == [task.result()]


def test_run_task_takes_no_one_elses_callback(loop):
    """What other threads queue while the task is made stays in the queue."""
    ran = []

    def factory(loop, coro, **kwargs):
        loop.call_soon_threadsafe(ran.append, "from a thread")
        task = asyncio.Task(coro, loop=loop, **kwargs)
        loop.call_soon(ran.append, "from the factory")
        return task

    async def coro():
        ran.append("first step")

    loop.set_task_factory(factory)
    loop.run_task(coro())
    assert ran == ["first step"]
    loop.turns()
    assert ran == ["first step", "from a thread", "from the factory"]


def test_run_task_that_finishes_at_once_wakes_nobody(loop):
    """No step is needed for a coroutine that never waits."""

    async def coro():
        return 1

    assert loop.run_task(coro()).result() == 1
    assert loop._as_wait.take() == []


def test_what_the_first_step_raises_is_in_the_task(loop):
    """run_task() itself does not raise."""

    async def coro():
        raise KeyError("x")

    task = loop.run_task(coro())
    assert isinstance(task.exception(), KeyError)
