"""A Windows without Windows: CPython's own Windows builds, with Windows' Qt, under wine.

Everything comes from Debian and the package registries. What python.org's installer would bring is put together:

    wine, and a C compiler for Windows      Debian
    pythonXY.dll and the extension modules  the wheel of panda3d, which brings python.org's, to be deployed with games
    the standard library's .py files        a Python of the same minor version on this machine, else pyodide's, by npm
    python.exe                              compiled here: three lines that call Py_Main()
    python3.dll                             linked here: bindings want it, and it forwards all to pythonXY.dll
    icuuc.dll                               linked here: Windows' own, which Qt 6 links to and wine lacks
    Qt and what else the tests need         pip, for another platform than its own

So the .py files may be some patch releases older than the DLL; where that shows, and where wine 8 lacks something,
CORRECTIONS makes up for it.

wine 8 has three habits that run() knows: a Python whose output is a file does not start, so it gets a pipe; the pipe
stays open for seconds after Python has ended, so nobody waits for its end; and Qt's environment variables are taken
for the host's, and have to be given as WINEQT_...
"""

import contextlib
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from lib.machine import ROOT, WORK, SetupError, need_packages, need_venv, run_quietly, say

PACKAGES = ["wine64", "gcc-mingw-w64-x86-64-win32"]
WINE = "/usr/lib/wine/wine64"
WINESERVER = "/usr/lib/wine/wineserver64"
COMPILER = "x86_64-w64-mingw32-gcc"
OBJDUMP = "x86_64-w64-mingw32-objdump"

DLLS = "panda3d==1.10.16"
# Of what the wheel has in deploy_libs/: what goes beside python.exe, and what the extension modules need.
BESIDE_PYTHON = re.compile(r"(python3\d+|vcruntime140\w*)\.dll", re.IGNORECASE)
FOR_MODULES = re.compile(r".*\.pyd|(libffi|libcrypto|libssl|sqlite3).*\.dll", re.IGNORECASE)
# The free-threaded builds; and a module by which platform.uname() asks a part of Windows that wine 8 lacks.
UNWANTED = re.compile(r"python3\d+t\.dll|.*t-win_amd64\.pyd|_wmi\.pyd", re.IGNORECASE)

# Python: release of npm's pyodide with that Python's standard library. It has no `test` package.
PYODIDE = {"3.14": "314.0.7"}

# Of a standard library for Unix, what is of no use here.
LEAVE_OUT = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "lib-dynload"),
    *("config-3*", "idlelib", "lib2to3", "sitecustomize.py"),
)

# (file, what it says, what it must say for the DLL or for wine).
CORRECTIONS = [
    # From 3.11.9 on, the import system inside the DLL calls it on the class.
    (
        "importlib/metadata/__init__.py",
        "\n\n    def invalidate_caches(",
        "\n\n    @classmethod\n    def invalidate_caches(",
    ),
    # A function of Windows 8's that wine 8 has only the name of.
    ("shutil.py", 'hasattr(_winapi, "CopyFile2")', "False"),
]

# For pip.
QUIETLY = ["--disable-pip-version-check", "--no-input"]

LAUNCHER = """\
#include <wchar.h>
int Py_Main(int count, wchar_t **words);
int wmain(int count, wchar_t **words) { return Py_Main(count, words); }
"""

START_DESKTOP = """\
import ctypes, sys
ctypes.windll.user32.GetDesktopWindow()
print("ready", flush=True)
sys.stdin.read()
"""

NOTHING = "long long nothing(void) { return 0; }\n"


class WindowsPython:
    """One Python for Windows, in a directory of its own, with what pip has installed for it.

    Args:
        place: the directory; made by need().
        version: the minor version, as in "3.11".
    """

    def __init__(self, place, version):
        self.place = place
        self.version = version
        self.site_packages = place / "Lib" / "site-packages"

    def need(self, requirements):
        """See that it is there, with the requirements, each as on pip's command line, and this project as it is now.

        Raises: SetupError when something cannot be had.
        """
        note = self.place / "made-from.txt"
        made_from = "\n".join([DLLS, *requirements])
        if not note.exists() or note.read_text(encoding="utf-8") != made_from:
            say(f"set-up: making a Python {self.version} for Windows, with {requirements[0]}")
            shutil.rmtree(self.place, ignore_errors=True)
            self._unpack_dlls()
            self._copy_standard_library()
            self._build("python.exe", LAUNCHER, "-municode", str(self._dll))
            self._build("python3.dll", forwarded=_exports(self._dll))
            self._install(requirements)
            self._build_icu()
            note.write_text(made_from, encoding="utf-8")
        self._install_project()

    @property
    def _dll(self):
        return self.place / f"python{self.version.replace('.', '')}.dll"

    def _unpack_dlls(self):
        (self.place / "DLLs").mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=WORK) as directory:
            self._pip("download", "--no-deps", "--dest", directory, DLLS)
            (wheel,) = Path(directory).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                for info in archive.infolist():
                    folder, _, name = info.filename.rpartition("/")
                    if folder != "deploy_libs" or UNWANTED.fullmatch(name):
                        continue
                    if BESIDE_PYTHON.fullmatch(name):
                        (self.place / name).write_bytes(archive.read(info))
                    elif FOR_MODULES.fullmatch(name):
                        (self.place / "DLLs" / name).write_bytes(archive.read(info))

    def _copy_standard_library(self):
        with tempfile.TemporaryDirectory(dir=WORK) as directory:
            source = _find_standard_library(self.version) or _fetch_standard_library(self.version, directory)
            shutil.copytree(source, self.place / "Lib", ignore=LEAVE_OUT)
        self.site_packages.mkdir(exist_ok=True)
        for name, found, wanted in CORRECTIONS:
            path = self.place / "Lib" / name
            if path.exists():
                path.write_text(path.read_text(encoding="utf-8").replace(found, wanted), encoding="utf-8")

    def _build(self, name, source=None, *arguments, forwarded=()):
        """Compile and link a program or a DLL; `forwarded` are lines for its list of exports."""
        with tempfile.TemporaryDirectory() as directory:
            command = [COMPILER, "-s", "-o", str(self.place / name)]
            if source is not None:
                (Path(directory) / "source.c").write_text(source)
                command.append(str(Path(directory) / "source.c"))
            if forwarded:
                definitions = Path(directory) / "exports.def"
                definitions.write_text("\n".join([f"LIBRARY {Path(name).stem}", "EXPORTS", *forwarded, ""]))
                # No C library, and so no code that runs when it is loaded: entry point 0.
                command += [str(definitions), "-shared", "-nostdlib", "-Wl,-e,0"]
            run_quietly([*command, *arguments], timeout=60)

    def _build_icu(self):
        """Give Qt 6 an icuuc.dll whose functions all return 0, for which it keeps to its own text codecs."""
        for core in self.site_packages.glob("*/**/Qt6Core.dll"):
            dump = subprocess.run([OBJDUMP, "-p", str(core)], stdout=subprocess.PIPE, check=True)
            listing = dump.stdout.decode("latin-1")
            table = listing.partition("DLL Name: icuuc.dll")[2].partition("\n\n")[0]
            names = re.findall(r"^\s+[0-9a-f]+\s+\d+\s+(\w+)", table, re.MULTILINE)
            if names:
                self._build("icuuc.dll", NOTHING, forwarded=[f"{name} = nothing" for name in names])

    def _install(self, requirements):
        # PySide2's wheels name no ABI. Bytecode is kept elsewhere: PYTHONPYCACHEPREFIX.
        self._pip("install", "--no-compile", "--target", str(self.site_packages), "--upgrade", *requirements)

    def _install_project(self):
        """Install this project's wheel, built from a copy: setuptools would leave old modules of ours in build/."""
        with tempfile.TemporaryDirectory(dir=WORK) as directory:
            for name in ("asyncslot", "host_adapters"):
                shutil.copytree(ROOT / name, Path(directory) / name, ignore=LEAVE_OUT)
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / name, directory)
            pip = [_find_pip(self.version), "-m", "pip", "wheel", *QUIETLY, "--no-deps"]
            run_quietly([*pip, "--wheel-dir", directory, directory], timeout=600)
            for path in self.site_packages.glob("asyncslot*"):
                shutil.rmtree(path)
            wheels = map(str, Path(directory).glob("*.whl"))
            self._pip("install", "--no-compile", "--no-deps", "--target", str(self.site_packages), *wheels)

    def _pip(self, command, *arguments):
        tag = "cp" + self.version.replace(".", "")
        pip = [_find_pip(self.version), "-m", "pip", command, *QUIETLY, "--only-binary=:all:"]
        platform = ["--platform", "win_amd64", "--python-version", self.version, "--implementation", "cp"]
        abis = ["--abi", tag, "--abi", "abi3", "--abi", "none"]
        run_quietly([*pip, *platform, *abis, *arguments], timeout=1800)

    def run(self, arguments, *, cwd, log, timeout):
        """Run it, with its output in the file `log`; return its exit code, or None if it was ended after `timeout`."""
        process = subprocess.Popen(
            [WINE, str(self.place / "python.exe"), *arguments],
            cwd=cwd,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + timeout
        with process.stdout, log.open("wb", buffering=0) as out:
            while True:
                # Asked before the pipe is: what it wrote last is read all the same.
                has_ended = process.poll() is not None
                readable, _, _ = select.select([process.stdout], [], [], 0 if has_ended else 0.1)
                chunk = os.read(process.stdout.fileno(), 65536) if readable else b""
                out.write(chunk)
                if has_ended and not chunk:
                    return process.returncode
                if time.monotonic() > deadline:
                    process.kill()
                    process.wait()
                    return None


@contextlib.contextmanager
def desktop(python):
    """Have Windows' desktop and services run meanwhile.

    wine starts them when a program first asks for them, and they inherit that program's pipes: who waits for the end
    of such a pipe waits as long as they live. So they are started here, by a program whose pipes nobody waits for.
    """
    process = subprocess.Popen(
        [WINE, str(python.place / "python.exe"), "-c", START_DESKTOP],
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        if process.stdout.readline().strip() != b"ready":
            raise SetupError("wine: its desktop does not start")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def need_wine():
    """See that wine is installed and has its registry and its drive C:, which it makes by itself, in ten seconds or so.

    Raises: SetupError as need_packages does, or when wine fails.
    """
    need_packages(PACKAGES, "Windows under wine")
    note = _prefix() / "made.txt"
    if note.exists():
        return
    say("set-up: making a Windows for wine")
    _prefix().mkdir(parents=True, exist_ok=True)
    for command in (["wineboot", "--init"], ["winecfg", "/v", "win10"]):
        run_quietly([WINE, *command], timeout=300, env=_environment())
    run_quietly([WINESERVER, "--wait"], timeout=60, env=_environment())
    note.write_text("")


def end_wine():
    """End what is still running in our Windows: its services, and what a test has left behind."""
    subprocess.run([WINESERVER, "--kill"], env=_environment(), stderr=subprocess.DEVNULL)


def windows_path(path):
    """Return what a file of this machine is called in Windows."""
    return "Z:" + str(path).replace("/", "\\")


def _prefix():
    return WORK / "wine" / "prefix"


def _environment():
    """Return the environment variables: few, for those of this shell are for programs of this system."""
    kept = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env["WINEPREFIX"] = str(_prefix())
    env["WINEDEBUG"] = "-all"
    # No offers to install Mono and Gecko, and no debugger that starts at a crash: faulthandler says more.
    env["WINEDLLOVERRIDES"] = "mscoree,mshtml,winedbg.exe="
    # As everywhere in the tests. The event dispatcher is that of Windows all the same.
    env["WINEQT_QPA_PLATFORM"] = "offscreen"
    env["PYTHONPYCACHEPREFIX"] = windows_path(WORK / "wine" / "pycache")
    return env


def _exports(dll):
    """Return the exports of a DLL, as another DLL's list of exports that forwards them there."""
    listing = subprocess.run([OBJDUMP, "-p", str(dll)], stdout=subprocess.PIPE, check=True).stdout.decode("latin-1")
    table = listing.partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    names = re.findall(r"^\s*\[\s*\d+\].*?(\w+)$", table, re.MULTILINE)
    return [f"{name} = {dll.stem}.{name}" for name in names]


def _find_standard_library(version):
    """Return where the standard library of a Python of this version is, with all that Windows needs, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [*pyenv.glob(f"{version}.*/lib/python{version}"), Path(f"/usr/lib/python{version}")]
    candidates = [path for path in candidates if (path / "asyncio" / "windows_events.py").exists()]
    return max(candidates, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], default=None)


def _find_pip(version):
    """Return a Python that has pip: of this version if there is one, for pip reads conditions as of its own Python."""
    library = _find_standard_library(version)
    python = None if library is None else library.parent.parent / "bin" / f"python{version}"
    if python is not None and subprocess.run([python, "-c", "import pip"], stderr=subprocess.DEVNULL).returncode == 0:
        return str(python)
    return need_venv()


def _fetch_standard_library(version, directory):
    """Return the directory of a standard library that npm has brought, under `directory`."""
    if version not in PYODIDE or shutil.which("npm") is None:
        raise SetupError(
            f"There is no standard library of Python {version} here. Install that Python, from Debian or with pyenv"
            + (", or npm, by which one can be had." if version in PYODIDE else ".")
        )
    run_quietly(["npm", "pack", "--silent", f"pyodide@{PYODIDE[version]}"], timeout=600, cwd=directory)
    (archive,) = Path(directory).glob("*.tgz")
    shutil.unpack_archive(archive, directory)
    shutil.unpack_archive(Path(directory) / "package" / "python_stdlib.zip", Path(directory) / "Lib")
    return Path(directory) / "Lib"
