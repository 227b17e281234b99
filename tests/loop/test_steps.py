"""What a step is: when one is asked for, budget, order, what goes wrong. No Qt, no time."""

import asyncio

import pytest

from faulty import fail_polls
from toy_host import ToyLoop

# -- when the host is asked for a step ---------------------------------------


def test_call_soon_asks_for_one_step_however_often_it_is_called(loop):
    """A sleeping loop is woken by the first call_soon() only."""
    for _ in range(3):
        loop.call_soon(int)
    assert loop._as_wait.take() == ["soon"]


def test_call_soon_makes_handles_as_asyncio_does(loop):
    """In a step it fills a Handle by itself; Python versions to come may add to what that needs."""
    handles = []
    loop.call_soon(lambda: handles.extend([loop.call_soon(int), loop.call_soon(len, "")]))
    loop.turn()
    ours, theirs = handles[-1], asyncio.Handle(len, ("",), loop, handles[-1]._context)
    slots = [name for name in asyncio.Handle.__slots__ if name != "__weakref__"]
    assert [getattr(ours, name) for name in slots] == [getattr(theirs, name) for name in slots]


def test_a_step_with_nothing_behind_its_callback_asks_for_nothing(loop):
    """Most wake-ups of a quiet loop have one callback, and end without a call to Qt's."""
    loop.call_soon(lambda: seen.append(loop._as_wait.take()))
    seen = []
    loop._as_wait.take()
    loop.turn()
    assert seen == [[]]
    assert loop._as_wait.take() == ["rest"]


def test_a_step_arms_before_it_runs_a_callback_behind_which_something_is_queued(loop):
    """The callback may open a nested Qt loop, which must hear of the rest."""
    seen = []
    for _ in range(2):
        loop.call_soon(lambda: seen.append(loop._as_wait.take()))
    loop._as_wait.take()
    loop.turn()
    assert seen == [["soon"], []]
    assert loop._as_wait.take() == ["rest"]


def test_a_step_arms_for_timers_before_it_runs_what_was_due(loop):
    """A nested Qt loop hears of the next deadline, too."""
    now = loop.time()
    seen = []
    loop.call_at(now, lambda: seen.append(loop._as_wait.take()))
    loop.call_at(now + 10, int)
    loop._as_wait.take()
    loop.turn()
    assert seen == [[("at", now + 10)]]


def test_only_a_nearer_deadline_re_arms(loop):
    """A later timer does not cost a call of Qt's."""
    now = loop.time()
    loop.call_at(now + 10, int)
    loop.call_at(now + 20, int)
    loop.call_at(now + 5, int)
    assert loop._as_wait.take() == [("at", now + 10), ("at", now + 5)]


def test_call_soon_inside_a_step_asks_for_nothing(loop):
    """What a callback queues runs in the same step."""
    ran = []
    loop.call_soon(lambda: loop.call_soon(ran.append, 1))
    loop._as_wait.take()
    loop.turn()
    assert ran == [1]
    assert loop._as_wait.take() == ["soon", "rest"]


def test_threadsafe_calls_write_one_wake_up(loop):
    """A flood from another thread wakes the loop once, through its self-pipe."""
    writes = []
    loop._write_to_self = lambda: writes.append(1)
    for _ in range(3):
        loop.call_soon_threadsafe(int)
    assert writes == [1]
    loop.turns()
    loop.call_soon_threadsafe(int)
    assert writes == [1, 1]


@pytest.mark.parametrize("queue", ["_ready", "_as_batch"])
def test_a_callback_added_while_the_loop_falls_asleep_is_not_lost(queue):
    """Another thread may queue just before the loop says that it sleeps, and then does not ask for a wake-up."""

    class Loop(ToyLoop):
        """A loop for which another thread queues a callback at the last moment."""

        is_late = False

        def __setattr__(self, name, value):
            if name == "_as_idle" and value and self.is_late:
                self.is_late = False
                assert not self._as_idle, "the other thread sees a loop that is awake"
                getattr(self, queue).append(asyncio.Handle(int, (), self))
            super().__setattr__(name, value)

    loop = Loop()
    loop._as_idle = False
    loop.is_late = True
    loop._as_rest()
    assert not loop.is_late
    assert loop._as_wait.take() == ["soon"]
    assert not loop._as_idle
    loop.close()


# -- budget and order ---------------------------------------------------------


def test_the_budget_is_checked_after_every_callback(loop, clock):
    """Ten callbacks of 1 ms and a budget of 2 ms: two per step, in order."""
    loop.step_budget = 0.002
    ran = []

    def work(number):
        ran.append(number)
        clock.pass_(0.001)

    for number in range(10):
        loop.call_soon(work, number)
    sequence = []
    while not loop._as_idle:
        loop.turn()
        sequence.append(list(ran))
        ran.clear()
    assert sequence == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_a_step_that_is_cut_asks_for_another(loop, clock):
    """Qt gets a turn, and then we go on."""
    loop.call_soon(clock.pass_, 1)
    loop.call_soon(int)
    loop._as_wait.take()
    loop.turn()
    assert loop._as_wait.take() == ["soon", "soon"]


def test_a_cut_batch_is_finished_before_anything_is_polled_again(loop, clock, pair):
    """epoll would report the same descriptors again, and readers would be queued twice."""
    left, right = pair
    reads = []

    def reader():
        reads.append(left.recv(10))
        loop.remove_reader(left)

    left.setblocking(True)  # a second call of reader() would block for ever
    left.settimeout(1)
    loop.add_reader(left, reader)
    right.send(b"x")
    loop.call_soon(clock.pass_, 1)
    loop.turn()  # polls: the clock's callback and the reader are one batch; the first uses up the budget
    selects = []
    for name in {"select", "poll"} & set(dir(loop._selector)):
        select = getattr(loop._selector, name)
        setattr(loop._selector, name, lambda *args, select=select: selects.append(args[0]) or select(*args))
    loop.call_soon(clock.pass_, 1)
    loop.turn()
    assert reads == [b"x"]
    assert selects[:1] == [0] or selects == []


def test_endless_callbacks_do_not_keep_io_waiting(loop, pair):
    """A callback that always queues another one gives way to the poll once per batch."""
    left, right = pair
    loop.add_reader(left, lambda: (left.recv(10), got.append(True)))
    got = []

    def spin():
        if not got:
            loop.call_soon(spin)

    loop.call_soon(spin)
    right.send(b"x")
    loop.turns()
    assert got == [True]


def test_timers_run_in_order_and_never_early(loop, clock, monkeypatch):
    """A timer due in 5 ms does not run at 4.9 ms."""
    monkeypatch.setattr(loop, "time", clock)
    ran = []
    for delay in (0.010, 0.005, 0.020):
        loop.call_later(delay, ran.append, delay)
    sequence = []
    for seconds in (0.0049, 0.0002, 0.005, 0.1):
        clock.pass_(seconds)
        loop.turn()
        sequence.append(list(ran))
    assert sequence == [[], [0.005], [0.005, 0.010], [0.005, 0.010, 0.020]]


def test_cancelled_timers_do_not_pile_up(loop):
    """A thousand cancelled timeouts leave the heap, though none is due."""
    keep = loop.call_later(1000, int)
    for _ in range(1000):
        loop.call_later(500, int).cancel()
    loop.turn()
    assert loop._scheduled == [keep]
    assert loop._timer_cancelled_count == 0


# -- what goes wrong ----------------------------------------------------------


def test_an_exception_in_a_callback_goes_to_the_handler_and_the_next_one_runs(loop):
    """One callback's error is not another's."""
    contexts, ran = [], []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(ran.append, 1)
    loop.turns()
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]
    assert "Exception in callback" in contexts[0]["message"]
    assert ran == [1]


@pytest.mark.parametrize("after", ["its first step", "a wake-up"])
def test_a_task_goes_on_though_ctrl_c_came_while_asyncio_queued_its_next_step(loop, after):
    """asyncio's task would wait for ever, and what it has waited for is not given to it again."""
    trail = []

    async def work():
        if after == "a wake-up":
            failed = loop.create_future()
            loop.call_soon(failed.set_exception, OSError("once"))
            try:
                await failed
            except OSError as exc:
                trail.append(str(exc))
        interrupt_next_call_soon()
        await asyncio.sleep(0)
        trail.append("goes on")
        return "done"

    def interrupt_next_call_soon():
        def call_soon(*_, **__):
            del loop.call_soon
            raise KeyboardInterrupt

        loop.call_soon = call_soon

    task = loop.create_task(work())
    loop.turns()
    assert trail == ["once"] * (after == "a wake-up") + ["goes on"]
    assert task.result() == "done"
    assert [type(exc) for exc in loop.interrupts] == [KeyboardInterrupt]


def test_a_task_that_ctrl_c_has_ended_is_not_run_again(loop):
    """KeyboardInterrupt in a coroutine is its end."""

    async def work():
        raise KeyboardInterrupt

    task = loop.create_task(work())
    loop.turns()
    assert isinstance(task.exception(), KeyboardInterrupt)
    assert not loop._ready
    assert not loop._as_batch


@pytest.mark.parametrize("interrupt", [SystemExit, KeyboardInterrupt], ids=lambda cls: cls.__name__)
def test_an_interrupt_ends_the_step_and_not_the_loop(loop, interrupt):
    """SystemExit and KeyboardInterrupt never reach the host; what is queued behind runs in the next step."""
    ran = []

    def fail():
        raise interrupt

    loop.call_soon(fail)
    loop.call_soon(ran.append, 1)
    loop.turn()
    assert [type(exc) for exc in loop.interrupts] == [interrupt]
    assert ran == []
    loop.turns()
    assert ran == [1]


def test_a_poll_that_fails_is_reported_and_tried_again(loop):
    """A broken descriptor must not end the loop."""
    fail_polls(loop._selector, OSError("poll failed"))
    loop.turn()
    assert [str(exc) for exc in loop.interrupts] == ["poll failed"]
    ran = []
    loop.call_soon(ran.append, 1)
    loop.turns()
    assert ran == [1]


def test_a_wake_up_after_close_is_dropped():
    """Qt may deliver one that was under way."""
    loop = ToyLoop()
    loop.close()
    loop.turn()
    assert loop._as_wait.take() == []
