"""Part a of the soak: attach, work, detach, again and again, in one process.

Every cycle does all that Work has, and unloads in the middle of all that it can leave open. Every tenth is detached
from inside one of its own tasks. The first and every hundredth after it also has a subprocess and a task that refuses
to end, which is abandoned.
"""

from lib.soak.work import Work

OWNER = "soak"

# Seconds for detach(): in a rare cycle they are spent, because a task does not end.
TIMEOUT, RARE_TIMEOUT = 20.0, 0.2

RARE, FROM_INSIDE = 100, 10


def run(host, samples, aio):
    """Yield as Host.run() wants it, until all cycles are done; `aio` is asyncslot or what stands in for it."""
    host.expect(f"{OWNER}: detached in")  # what tells of the task that was abandoned
    for number in range(1, samples.cycles + 1):
        yield from _cycle(host, aio, number)
        host.leak(number)
        if samples.is_wanted(number):
            yield from host.turns()
            samples.take(number)


def _cycle(host, aio, number):
    is_rare, from_inside = number % RARE == 1, number % FROM_INSIDE == 5
    lease = aio.attach(OWNER, host=host)
    work = Work(aio, lease, host, is_rare)
    for each in (work.do, work.begin):
        task = lease.create_task(each())
        task.add_done_callback(host.go_on)
        yield from host.wait(task.done)
        task.result()
    if from_inside:
        reports = []

        async def detach():
            reports.append(lease.detach(timeout=TIMEOUT))
            host.go_on()

        lease.create_task(detach())
        yield from host.wait(lambda: reports)
        while not lease.loop.is_closed():  # when the task has ended
            yield from host.turns(1)
        report = reports[0]
    else:
        report = aio.detach(OWNER, timeout=RARE_TIMEOUT if is_rare else TIMEOUT)
    host.sender.nothing.emit()  # nobody is to hear it any more
    work.let_go()
    if len(report.abandoned) != is_rare or not report.closed or not lease.loop.is_closed():
        raise AssertionError(f"cycle {number} ended like this:\n{report}")
