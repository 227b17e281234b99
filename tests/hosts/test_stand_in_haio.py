"""Houdini's own asyncio, haio, as a hostile stand-in: ours works beside it, and never goes through its policy.

Houdini installs an event-loop policy that hands out one loop to everybody, on any thread; that loop runs on the main
thread only, and has no task factory; `set_event_loop()` does nothing; there is no child watcher, so that a subprocess
fails even on a stock loop (measured by others in Houdini 20.5 and 22.0). tests/neighbours/test_neighbours.py has the
two in every order; here is what goes wrong for those who ask haio for anything.
"""

from neighbours import HOST, NEIGHBOURS

HAIO = (
    HOST
    + NEIGHBOURS["Houdini's policy"]
    + """
import os, traceback

def check_thread(self):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Current thread is not the main thread")
    return asyncio.SelectorEventLoop.run_forever(self)
HoudiniLoop.run_forever = check_thread

# Who asks the policy: "ours", if a frame of the package is nearer than one of Houdini's.
asked = []
PACKAGE = os.path.dirname(asyncslot.__file__)
def noting(name):
    original = getattr(HoudiniPolicy, name)
    def method(self, *args):
        for frame, _ in traceback.walk_stack(sys._getframe(1)):
            if frame.f_code.co_name == "turn":
                break
            if os.path.dirname(frame.f_code.co_filename) == PACKAGE:
                asked.append((name, "".join(traceback.format_stack(frame))))
                break
        return original(self, *args)
    setattr(HoudiniPolicy, name, method)
for name in ("get_event_loop", "new_event_loop", "set_event_loop", "get_child_watcher"):
    noting(name)

haio = Neighbour()
haio.start()
"""
)


def test_the_stand_in_is_as_hostile_as_haio(run_python):
    """What plug-in authors have met in Houdini is met here, without us."""
    run_python(
        HAIO
        + """
async def subprocess_on_a_stock_loop():
    await asyncio.create_subprocess_exec(sys.executable, "-c", "")

def fails(error, call):
    try:
        call()
    except error:
        return True
    raise AssertionError(f"{call} did not fail")

policy = asyncio.get_event_loop_policy()
assert policy.new_event_loop() is policy.get_event_loop() is HoudiniPolicy.loop
fails(NotImplementedError, HoudiniPolicy.loop.get_task_factory)
if sys.version_info < (3, 12) and sys.platform != "win32":
    # Later ones ask the policy only if somebody has set a watcher.
    loop = asyncio.SelectorEventLoop()
    fails(NotImplementedError, lambda: loop.run_until_complete(subprocess_on_a_stock_loop()))
    loop.close()
results = []
thread = threading.Thread(target=lambda: results.append(fails(RuntimeError, policy.new_event_loop().run_forever)))
thread.start()
thread.join()
assert results == [True]
"""
    )


def test_everything_of_ours_works_and_the_policy_is_never_asked(run_python):
    """Streams, subprocess, threads, slots, signals, a task factory, detach; Houdini's loop turns all the while."""
    done = run_python(
        HAIO
        + """
ours = Ours()
ours.start()
for _ in range(2):
    ours.works()
    haio.works()
loop = ours.lease.loop
assert loop is not HoudiniPolicy.loop
assert loop.get_task_factory() is None

async def from_a_thread():
    return asyncio.get_running_loop()
found = []
thread = threading.Thread(
    target=lambda: found.append(asyncio.run_coroutine_threadsafe(from_a_thread(), loop).result(10))
)
thread.start()
spin(lambda: found, "a thread does not get an answer")
assert found == [loop]
thread.join()

ours.stop()
haio.works()
assert asyncio.get_event_loop_policy().get_event_loop() is HoudiniPolicy.loop
assert not asked, "".join(stack for _, stack in asked)
haio.stop()
print("fine", file=sys.__stdout__)
"""
    )
    assert done.stdout.split() == ["fine"]


def test_a_loop_of_ours_in_a_thread_does_not_ask_either(run_python):
    """In nested mode, where Houdini's own loop refuses."""
    run_python(
        HAIO
        + """
found = []
class Worker(QtCore.QThread):
    def run(self):
        loop = asyncslot.AsyncSlotEventLoop()
        loop.run_until_complete(asyncio.wait_for(job(found), 10))
        loop.close()
worker = Worker()
worker.start()
spin(lambda: found and worker.isFinished(), "the thread does not end")
assert not asked, "".join(stack for _, stack in asked)
haio.stop()
"""
    )
