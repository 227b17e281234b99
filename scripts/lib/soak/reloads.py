"""Part b of the soak: plug-ins with vendored copies are reloaded, again and again, in one process.

There are two, with a copy each, under different names. In turn, one is unloaded in the middle of its work, purged from
`sys.modules` as QGIS does it, imported again and started, while the other goes on working; it must lose no task, and
get on meanwhile. Between two samples, once each:

    both leave      so the loop is closed, and the next one is made by a copy that has just been imported
    careless        the plug-in is purged without having been unloaded. It comes back, finds its own old lease, which
                    another copy made, and ends it

For a sample both are at rest, but attached, with all open that they can leave open.
"""

import importlib
import shutil
import sys
from pathlib import Path

import vendor

HERE = Path(__file__).resolve().parent

# The plug-ins: name, folder and name of its copy.
PLUGINS = {"soak_alpha": ("_vendor", "asyncslot"), "soak_beta": ("_libs", "beta_aio")}

# Reloads from one sample to the next are a multiple of this.
PERIOD = 8
BOTH, CARELESS = 1, 4


def make_plugins(directory, plugins=None):
    """Make the plug-ins' packages in a directory, and have them found."""
    for name, (folder, copy) in (plugins or PLUGINS).items():
        package = Path(directory) / name
        (package / folder).mkdir(parents=True)
        (package / "__init__.py").write_text(f"from .{folder} import {copy} as aio\n")
        (package / folder / "__init__.py").write_text("")
        shutil.copy(str(HERE / "plugin.py"), str(package / "plugin.py"))
        shutil.copy(str(HERE / "work.py"), str(package / "work.py"))
        vendor.copy(package / folder, copy)
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()


def load(name, host):
    """Import a plug-in and return it, not yet started."""
    return importlib.import_module(name + ".plugin").Plugin(host)


def purge(name):
    """Forget every module of a plug-in, as QGIS does on reload."""
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def run(host, samples):
    """Yield as Host.run() wants it, until all reloads are done. The plug-ins must have been made."""
    first, second = PLUGINS
    plugins = {name: load(name, host) for name in PLUGINS}
    for plugin in plugins.values():
        plugin.initGui()
    for number in range(1, samples.cycles + 1):
        leaving, staying = (first, second) if number % 2 else (second, first)
        yield from _let_work(host, plugins)
        phase = number % samples.every
        if phase == BOTH:
            _reload_both(host, plugins)
        elif phase == CARELESS:
            yield from _reload(host, plugins, leaving, staying, _end_carelessly)
        else:
            yield from _reload(host, plugins, leaving, staying, _end)
        host.leak(number)
        if samples.is_wanted(number):
            for plugin in plugins.values():
                plugin.rest()
            yield from host.wait(lambda: all(plugin.is_resting for plugin in plugins.values()))
            yield from host.turns()
            samples.take(number)
            for plugin in plugins.values():
                plugin.go_on()
    loop = plugins[first].lease.loop
    for plugin in plugins.values():
        _check(plugin.unload())
    assert loop.is_closed(), "all have left, and the loop is there"


def _let_work(host, plugins):
    """Let each plug-in get on by a round."""
    before = {name: plugin.rounds for name, plugin in plugins.items()}
    yield from host.wait(lambda: all(plugin.rounds > before[name] for name, plugin in plugins.items()))


def _reload(host, plugins, leaving, staying, end):
    stayer = plugins[staying]
    loop = stayer.lease.loop
    plugins[leaving] = end(host, leaving, plugins[leaving])
    plugins[leaving].initGui()
    assert plugins[leaving].lease.loop is loop is stayer.lease.loop, "there are two loops"
    assert not stayer.task.done(), f"{staying} lost its task when {leaving} was reloaded"
    yield from _let_work(host, {staying: stayer})


def _reload_both(host, plugins):
    loops = {plugin.lease.loop for plugin in plugins.values()}
    for name in plugins:
        plugins[name] = _end(host, name, plugins[name])
    assert [loop.is_closed() for loop in loops] == [True], "there were two loops, or one is still open"
    for plugin in plugins.values():
        plugin.initGui()


def _end(host, name, plugin):
    """Unload, purge, import."""
    _check(plugin.unload())
    purge(name)
    return load(name, host)


def _end_carelessly(host, name, plugin):
    """Purge and import; the new one ends the old one's lease."""
    purge(name)
    new = load(name, host)
    _check(sys.modules[name].aio.detach(name, timeout=plugin.seconds))
    plugin.work.let_go()
    return new


def _check(report):
    assert not report.abandoned, str(report)
    assert report.closed, f"there was nothing to close:\n{report}"
    assert report.ended >= 4, f"its work was not in the middle:\n{report}"
