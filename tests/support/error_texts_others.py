"""Error texts of Python, asyncio and Qt in SUPPORT.md: two pieces of a program for each, see error_texts.py."""

# text: (what is wrong, what is right)
CASES = {
    "no running event loop": (
        """
start()
said(lambda: asyncio.create_task(work()))
""",
        """
asyncslot.create_task(fine())
spin(is_done)
""",
    ),
    "was never awaited": (
        """
start()
button = Window()
button.clicked.connect(lambda: work() and None)
button.click()
gc.collect()
""",
        """
button = Window()
button.clicked.connect(asyncslot.asyncSlot(fine))
button.click()
spin(is_done)
""",
    ),
    "This event loop is already running": (
        """
start()
async def waits():
    coro = work()
    try:
        lease.loop.run_until_complete(coro)
    finally:
        coro.close()
run(waits())
""",
        """
async def waits():
    await work()
    await fine()
run(waits())
assert lease.run_until_complete(work()) == "worked"
""",
    ),
    "Cannot run the event loop while another loop is running": (
        """
start()
async def waits():
    loop, coro = asyncio.new_event_loop(), work()
    try:
        loop.run_until_complete(coro)
    finally:
        coro.close()
        loop.close()
run(waits())
""",
        """
async def waits():
    assert await work() == "worked"
    await fine()
run(waits())
""",
    ),
    "asyncio.run() cannot be called from a running event loop": (
        """
start()
async def waits():
    coro = work()
    try:
        asyncio.run(coro)
    finally:
        coro.close()
run(waits())
""",
        """
def uses_a_loop_of_its_own():
    return asyncio.run(work())
async def waits():
    assert await lease.to_thread(uses_a_loop_of_its_own) == "worked"
    await fine()
run(waits())
""",
    ),
    "attached to a different loop": (
        """
start()
other = asyncio.new_event_loop()
future = other.create_future()
async def waits():
    await future
run(waits())
other.close()
""",
        """
other = asyncio.new_event_loop()
thread = threading.Thread(target=other.run_forever)
thread.start()
async def waits():
    assert await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), other)) == "worked"
    await fine()
run(waits())
other.call_soon_threadsafe(other.stop)
thread.join()
other.close()
""",
    ),
    "is bound to a different event loop": (
        """
start()
queue = asyncio.Queue()
async def elsewhere():
    await asyncio.wait([asyncio.ensure_future(queue.get())], timeout=0.01)
said(lambda: asyncio.run(elsewhere()))
run(queue.get())
""",
        """
async def waits():
    queue = asyncio.Queue()
    lease.loop.call_soon(queue.put_nowait, 1)
    await queue.get()
    await fine()
run(waits())
""",
    ),
    "There is no current event loop in thread": (
        """
start()
in_thread(asyncio.get_event_loop)
""",
        """
in_thread(lambda: asyncio.run(fine()))
""",
    ),
    "QSocketNotifier: Can only be used with threads started with QThread": (
        """
start()
import socket
here, there = socket.socketpair()
kind = QtCore.QSocketNotifier
read = kind.Read if hasattr(kind, "Read") else kind.Type.Read
in_thread(lambda: kind(here.fileno(), read))
""",
        """
here.setblocking(False)
async def reads():
    lease.loop.call_soon(there.send, b"x")
    assert await lease.loop.sock_recv(here, 1) == b"x"
    await fine()
run(reads())
here.close(), there.close()
""",
    ),
    "'NoneType' object has no attribute 'write'": (
        """
start()
async def no_console():
    out, sys.stdout = sys.stdout, None
    try:
        sys.stdout.write("so far")
    finally:
        sys.stdout = out
run(no_console())
async def no_pipe():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    process.stdin.write(b"x")
run(no_pipe())
""",
        """
import logging
async def pipe():
    out, sys.stdout = sys.stdout, None
    logging.getLogger("my_plugin").info("so far")
    sys.stdout = out
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input())", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"fine\\n")
    print((await process.communicate())[0].decode().strip())
run(pipe())
""",
    ),
    "Cannot enter into task": (
        """
start()
async def dialog():
    # What other loops on Qt do while a dialog's exec() runs inside of a coroutine: go on with the next task.
    asyncio.ensure_future(work())
    asyncio.get_running_loop()._run_once()
loop = asyncio.new_event_loop()
loop.run_until_complete(dialog())
loop.close()
del loop
gc.collect()
""",
        """
def dialog():
    nested = QtCore.QEventLoop()
    lease.create_task(work()).add_done_callback(lambda task: nested.quit())
    (getattr(nested, "exec", None) or nested.exec_)()
async def opens():
    dialog()
    await asyncslot.asyncModal(dialog)
    await fine()
run(opens())
""",
    ),
    "Task was destroyed but it is pending!": (
        """
start()
loop = asyncio.new_event_loop()
async def forever():
    await asyncio.get_running_loop().create_future()
loop.create_task(forever())
loop.run_until_complete(work())
loop.close()
del loop
gc.collect()
""",
        """
async def forever():
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        print("fine")
lease.create_task(forever())
spin(lambda: lease.create_task(work()))
lease.detach()
gc.collect()
""",
    ),
    "Event loop is closed": (
        """
loop = start().loop
lease.detach()
said(loop.call_soon, print)
""",
        """
asyncslot.attach("my_plugin").create_task(fine())
spin(is_done)
asyncslot.detach()
""",
    ),
    "has no attribute 'isatty'": (
        """
start()
async def logs_in_colours():
    out, sys.stdout = sys.stdout, None
    try:
        sys.stdout.isatty()
    finally:
        sys.stdout = out
run(logs_in_colours())
""",
        """
import logging
async def logs():
    out, sys.stdout = sys.stdout, None
    logging.getLogger("my_plugin").info("so far")
    sys.stdout = out
    await fine()
run(logs())
""",
    ),
    # In the words of anyio 4, which is not there on every Python that we run on; guests/test_anyio.py has the real one.
    "Already running asyncio in this thread": (
        """
start()
def anyio_run(fn):
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(fn())
    raise RuntimeError("Already running asyncio in this thread")
async def serves():
    anyio_run(fine)
run(serves())
""",
        """
async def serves():
    await fine()
run(serves())
""",
    ),
    "SystemExit in a callback": (
        """
start()
async def serves():
    sys.exit(3)
task = lease.create_task(serves())
spin(task.done)
turns = iter(range(20))
spin(lambda: next(turns, None) is None)
""",
        """
async def serves():
    try:
        sys.exit(3)
    except SystemExit:
        await fine()
run(serves())
""",
    ),
    "new parent is in a different thread": (
        """
start()
window = Window()
def tool():
    child = QtCore.QObject()
    child.setParent(window)
in_thread(tool)
""",
        """
async def tool():
    child = QtCore.QObject()
    child.setParent(window)
    assert await lease.to_thread(len, "four") == 4
    await fine()
run(tool())
""",
    ),
    # As pydantic does it, in an older pydantic_core that another plug-in has brought.
    "validate_core_schema": (
        """
start()
import types
sys.modules["pydantic_core"] = types.ModuleType("pydantic_core")
async def models():
    from pydantic_core import validate_core_schema
run(models())
""",
        """
sys.modules["pydantic_core"].validate_core_schema = len
async def models():
    import pydantic_core
    assert getattr(pydantic_core, "validate_" "core_schema") is len
    await fine()
run(models())
""",
    ),
}
