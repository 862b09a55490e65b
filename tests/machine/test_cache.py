"""The checked cache: whatever lies in its folder, kernels are right."""

import compileall
import os
import shutil
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numba
import numpy as np
import pytest
from endurance import times

import skmlp
from skmlp.core.activations import relu_forward
from skmlp.machine import cache
from skmlp.machine.cache import KernelStore, Stamp, candidate_folders, enabled
from skmlp.machine.jit import DISABLED, ENTRY_KERNELS, jit

NAME, KEY, PAYLOAD = "kernel", "a key", bytes(range(256)) * 4
PACKAGE = Path(skmlp.__file__).resolve().parent

needs_kill = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
needs_jit = pytest.mark.skipif(DISABLED, reason="nothing is compiled with the JIT off")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder of the cache, not yet made."""
    path = tmp_path / "cache"
    monkeypatch.setenv("SKMLP_CACHE_DIR", str(path))
    monkeypatch.delenv("SKMLP_CACHE", raising=False)
    return path


@pytest.fixture
def store(folder):
    return KernelStore("1" * 64)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def flipped(at):
    def damage(content):
        index = at if at >= 0 else len(content) + at
        return content[:index] + bytes([content[index] ^ 4]) + content[index + 1 :]

    return damage


DAMAGE = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "header only": lambda content: content[:60],
    "last byte missing": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\0",
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "other file": lambda content: b"\x7fELF" + content,
    "flip in magic": flipped(3),
    "flip in digest": flipped(20),
    "flip in stamp": flipped(50),
    "flip in payload": flipped(-100),
    "flip in last byte": flipped(-1),
}
each_damage = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


def test_what_is_saved_is_loaded(store):
    assert store.load(NAME, KEY) is None
    assert store.save(NAME, KEY, PAYLOAD)
    assert store.load(NAME, KEY) == PAYLOAD
    assert store.load(NAME, "another key") is None
    assert store.load("another", KEY) is None
    assert KernelStore("2" * 64).load(NAME, KEY) is None


def test_keys_do_not_collide(store):
    store.save(NAME, KEY, b"1")
    store.save(NAME, "another key", b"2")
    store.save("another", KEY, b"3")
    found = [
        store.load(*where)
        for where in [(NAME, KEY), (NAME, "another key"), ("another", KEY)]
    ]
    assert found == [b"1", b"2", b"3"]


@each_damage
def test_damaged_files_are_misses_and_replaced(store, folder, damage):
    store.save(NAME, KEY, PAYLOAD)
    path = only_file(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert store.load(NAME, KEY) is None
    assert store.save(NAME, KEY, PAYLOAD)
    assert only_file(folder) == path
    assert store.load(NAME, KEY) == PAYLOAD


@pytest.mark.parametrize(
    ("stamp", "key"),
    [("1" * 64, "another key"), ("2" * 64, KEY), ("1" * 16 + "2" * 48, KEY)],
    ids=["foreign", "stale", "stale with the same beginning"],
)
def test_renamed_files_are_misses(store, folder, stamp, key):
    store.save(NAME, KEY, PAYLOAD)
    path = only_file(folder)
    path.unlink()
    KernelStore(stamp).save(NAME, key, PAYLOAD)
    only_file(folder).rename(path)
    assert store.load(NAME, KEY) is None


def test_old_stamps_are_removed_on_save(store, folder):
    old = KernelStore("2" * 64)
    old.save(NAME, KEY, PAYLOAD)
    old.save(NAME, "another key", PAYLOAD)
    old.save("another", KEY, PAYLOAD)
    store.save(NAME, KEY, PAYLOAD)
    assert old.load(NAME, KEY) is old.load(NAME, "another key") is None
    assert old.load("another", KEY) == store.load(NAME, KEY) == PAYLOAD
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_made_is_a_miss(store, folder):
    folder.write_text("a file")
    assert not store.save(NAME, KEY, PAYLOAD)
    assert store.load(NAME, KEY) is None
    assert folder.read_text() == "a file"


def test_a_file_that_cannot_be_replaced_leaves_no_rubbish(store, folder):
    store.save(NAME, KEY, PAYLOAD)
    path = only_file(folder)
    path.unlink()
    path.mkdir()
    assert store.load(NAME, KEY) is None
    assert not store.save(NAME, KEY, PAYLOAD)
    assert only_file(folder) == path


def test_a_temporary_file_left_by_a_kill_is_harmless(store, folder):
    folder.mkdir()
    rubbish = folder / "tmpabc123.kernel.tmp"
    rubbish.write_bytes(b"half a kern")
    assert store.load(NAME, KEY) is None
    assert store.save(NAME, KEY, PAYLOAD)
    assert store.load(NAME, KEY) == PAYLOAD
    assert rubbish.read_bytes() == b"half a kern"


@pytest.fixture
def read_only_install(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path / "file" / "skmlp")
    monkeypatch.delenv("SKMLP_CACHE_DIR", raising=False)


def test_a_read_only_install_uses_the_folder_of_the_user(
    read_only_install, tmp_path, monkeypatch
):
    monkeypatch.setattr(cache, "user_cache_folder", lambda: tmp_path / "user")
    store = KernelStore("1" * 64)
    assert store.save(NAME, KEY, PAYLOAD)
    assert store.load(NAME, KEY) == PAYLOAD
    assert only_file(tmp_path / "user").suffix == ".kernel"


@pytest.mark.skipif(sys.platform == "win32", reason="HOME is not read there")
def test_no_place_at_all_is_a_miss(read_only_install, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    store = KernelStore("1" * 64)
    assert not store.save(NAME, KEY, PAYLOAD)
    assert store.load(NAME, KEY) is None


@pytest.mark.skipif(sys.platform == "win32", reason="HOME is not read there")
def test_a_chosen_folder_may_be_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKMLP_CACHE_DIR", "~/kernels")
    assert candidate_folders() == [tmp_path / "kernels"]
    monkeypatch.setenv("SKMLP_CACHE_DIR", "~nobody-of-this-name/kernels")
    assert candidate_folders() == []


def test_no_home_is_one_folder_less(read_only_install, monkeypatch):
    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert len(candidate_folders()) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", False), ("false", False), ("OFF", False), ("1", True), ("", True)],
)
def test_switch(monkeypatch, value, expected):
    monkeypatch.setenv("SKMLP_CACHE", value)
    assert enabled() is expected


def copy_package(target, source=PACKAGE):
    return shutil.copytree(source, target, ignore=shutil.ignore_patterns("__py*"))


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """A folder with packages that stand for those with kernels, one with a folder."""
    folder, names = tmp_path / "copies", []
    for package in cache._KERNELS:
        names.append(f"copy_of_{package.split('.')[-1]}")
        copy_package(folder / names[-1], PACKAGE / package.split(".")[-1])
    (folder / names[0] / "stages").mkdir()
    for name in "__init__", "affine":
        (folder / names[0] / "stages" / f"{name}.py").touch()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(cache, "_KERNELS", tuple(names))
    assert Stamp().covers(f"{names[0]}.stages.affine")
    yield folder
    for name in names:
        sys.modules.pop(name, None)


def test_the_stamp_follows_every_kernel_source(copies):
    stamps = {Stamp().value}
    assert stamps == {Stamp().value}
    files = list(copies.rglob("*.py"))
    assert {path.parent.name for path in files} > {"copy_of_machine", "copy_of_core"}
    for path in files:
        path.write_bytes(path.read_bytes() + b"\n")
        stamps.add(Stamp().value)
    assert len(stamps) == 1 + len(files)
    assert None not in stamps


@needs_jit
def test_every_module_that_a_kernel_is_in_is_stamped():
    modules = {kernel.py_func.__module__ for kernel in ENTRY_KERNELS}
    modules = {module for module in modules if module.startswith("skmlp.")}
    jitted = {path for path in PACKAGE.rglob("*.py") if "@jit" in path.read_text()}
    assert len(modules) > 5
    assert {path.parent.name for path in jitted} == {"machine", "core"}
    assert all(Stamp().covers(module) for module in modules)
    assert not Stamp().covers("skmlp.training.loop")
    assert not Stamp().covers(__name__)


def without_source(loader, name):
    return None


def unreadable(loader, name):
    raise OSError


def test_bytecode_tells_what_sources_do(copies, monkeypatch):
    """Comments and lines do not count, numbers and names do."""
    of_sources = Stamp().value
    monkeypatch.setattr(SourceFileLoader, "get_source", without_source)
    stamp = Stamp().value
    assert stamp != of_sources
    path = copies / "copy_of_machine" / "math.py"
    path.write_text("# a comment\n" + path.read_text())
    assert Stamp().value == stamp
    path.write_text(path.read_text() + "\ndef f(x):\n    return x + 2\n")
    second = Stamp().value
    path.write_text(path.read_text().replace("return x + 2", "return x + 3"))
    assert len({stamp, second, Stamp().value}) == 3


@pytest.mark.parametrize(
    ("name", "method"),
    [("get_source", unreadable), ("get_code", without_source)],
    ids=["unreadable", "no Python"],
)
def test_without_code_there_is_no_stamp(copies, monkeypatch, name, method):
    monkeypatch.setattr(SourceFileLoader, "get_source", without_source)
    monkeypatch.setattr(SourceFileLoader, name, method)
    assert Stamp().value is None
    assert not Stamp().covers("copy_of_machine.math")


@needs_jit
def test_kernels_from_elsewhere_are_not_cached(folder):
    @jit(entry=True)
    def double(Z):
        Z *= 2

    Z = np.ones((1, 1))
    double(Z)
    assert Z[0, 0] == 2
    assert not folder.exists()


def fresh_kernel_hits(dtype=np.float64):
    """Whether a kernel without any specialization yet comes from the cache."""
    kernel = jit(entry=True)(relu_forward.py_func)
    Z = np.array([[-3, 2]], dtype)
    with numba.core.event.install_recorder("numba:compile") as recorder:
        kernel(Z, Z, np.ones(2, dtype))
    np.testing.assert_array_equal(Z, [[0, 3]])
    hit = sum(kernel.stats.cache_hits.values()) == 1
    assert hit == (len(recorder.buffer) == 0)
    return hit


@needs_jit
def test_kernels_are_loaded_without_compiling_nor_writing(folder):
    assert not fresh_kernel_hits()
    before = only_file(folder).stat()
    assert fresh_kernel_hits()
    assert only_file(folder).stat().st_mtime_ns == before.st_mtime_ns
    assert only_file(folder).stat().st_ino == before.st_ino


@needs_jit
@each_damage
def test_damaged_kernels_are_compiled_again(folder, damage):
    fresh_kernel_hits()
    path = only_file(folder)
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert not fresh_kernel_hits()
    assert fresh_kernel_hits()


@needs_jit
def test_a_kernel_of_another_signature_is_not_run(folder):
    fresh_kernel_hits(np.float32)
    single = only_file(folder)
    content = single.read_bytes()
    single.unlink()
    fresh_kernel_hits(np.float64)
    only_file(folder).write_bytes(content)
    assert not fresh_kernel_hits(np.float64)
    assert fresh_kernel_hits(np.float64)


@needs_jit
def test_a_sound_file_with_an_unreadable_kernel_is_a_miss(folder, monkeypatch):
    fresh_kernel_hits()
    with monkeypatch.context() as patch:
        patch.setattr(KernelStore, "load", lambda *_: b"not a pickle")
        assert not fresh_kernel_hits()
    assert fresh_kernel_hits()


@needs_jit
def test_without_a_place_kernels_are_compiled(folder):
    folder.write_text("a file")
    assert not fresh_kernel_hits()
    assert not fresh_kernel_hits()


@needs_jit
@pytest.mark.parametrize("switch", ["0", "off"])
def test_switched_off(folder, monkeypatch, switch):
    monkeypatch.setenv("SKMLP_CACHE", switch)
    assert not fresh_kernel_hits()
    assert not folder.exists()


# The public package imports scikit-learn, which takes longer than all the rest.
SCRIPT = """
import os, sys, types
package = types.ModuleType("skmlp")
package.__path__ = [os.environ["PACKAGE"]]
sys.modules["skmlp"] = package

import numba, numpy as np
from skmlp.core.activations import ACTIVATIONS, activation_addresses
with numba.core.event.install_recorder("numba:compile") as recorder:
    activation_addresses("logistic", np.float64, training=True)
    kernel = ACTIVATIONS["logistic"].forward
    Z = np.zeros((1, 1))
    kernel(Z, Z, np.zeros(1))
print(sum(event.is_start for _, event in recorder.buffer) > 0, Z[0, 0])
"""


def run(folder, package=PACKAGE, before="", **environment):
    """(whether a new process compiled, its result)."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + SCRIPT],
        env={
            **os.environ,
            "PACKAGE": str(package),
            "SKMLP_CACHE_DIR": str(folder),
            "SKMLP_CACHE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    compiled, value = done.stdout.split()
    return compiled == "True", float(value)


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.iterdir()}


@needs_jit
def test_processes_share_kernels_and_damage_does_not_stop_them(folder):
    assert run(folder) == (True, 0.5)
    files = snapshot(folder)
    assert len(files) == 2
    assert run(folder) == (False, 0.5)
    assert snapshot(folder) == files
    for path in files:
        path.write_bytes(flipped(-2000)(path.read_bytes()))
    assert run(folder) == (True, 0.5)
    assert snapshot(folder).keys() == files.keys()


@needs_jit
def test_processes_without_a_cache(folder):
    assert run(folder, SKMLP_CACHE="0") == (True, 0.5)
    assert not folder.exists()
    folder.write_text("a file")
    assert run(folder, HOME="/nonexistent") == (True, 0.5)


def as_source(package, place):
    return package


def as_bytecode(package, place):
    """Files as Python would run them without sources."""
    compileall.compile_dir(package, quiet=1, legacy=True, force=True)
    for path in package.rglob("*.py"):
        path.unlink()
    return package


def as_archive(package, place):
    """Its place in a zip file."""
    shutil.make_archive(place, "zip", package.parent, package.name)
    return f"{place}.zip/{package.name}"


def as_archive_of_bytecode(package, place):
    return as_archive(as_bytecode(package, place), place)


@needs_jit
@pytest.mark.parametrize(
    "install", [as_source, as_bytecode, as_archive, as_archive_of_bytecode]
)
def test_a_changed_callee_in_another_file_is_noticed(folder, tmp_path, install):
    package = copy_package(tmp_path / "copy" / "skmlp")
    place = install(copy_package(tmp_path / "first" / "skmlp"), tmp_path / "first")
    assert run(folder, place) == (True, 0.5)
    old = snapshot(folder)
    assert run(folder, place) == (False, 0.5)
    assert snapshot(folder) == old
    with open(package / "machine" / "math.py", "a") as file:
        file.write("\n\n@jit\ndef _two(x):\n    return x + 2\n")
        file.write("\n\nlogistic = by_dtype(_two, _two)\n")
    assert run(folder, install(package, tmp_path / "copy")) == (True, 2.0)
    assert len(snapshot(folder)) == 2
    assert not snapshot(folder).keys() & old.keys()


# The file alone, without Numba, is there at once.
SAVE_FOR_EVER = """
import importlib.util, os
spec = importlib.util.spec_from_file_location("skmlp.machine.cache", os.environ["FILE"])
cache = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cache)
store = cache.KernelStore("1" * 64)
print("starts", flush=True)
while True:
    for i in range(8):
        store.save("kernel", str(i), bytes([i]) * 300_000)
"""


@needs_kill
def test_what_was_killed_while_saving_is_a_miss_or_whole(store, folder):
    n_found, delays = 0, np.random.default_rng(0).uniform(0, 0.02, times(10, 100))
    for delay in delays:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", SAVE_FOR_EVER],
            env={**os.environ, "FILE": cache.__file__},
            stdout=subprocess.PIPE,
        )
        with process:
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
        for i in range(8):
            found = store.load("kernel", str(i))
            assert found in (None, bytes([i]) * 300_000)
            n_found += found is not None
    assert n_found > 0
    assert store.save("kernel", "0", PAYLOAD)
    assert store.load("kernel", "0") == PAYLOAD


@needs_jit
@needs_kill
def test_after_a_kill_the_next_start_works(folder):
    """Anywhere between the start of Python and the last file."""
    command = [sys.executable, "-c", SCRIPT]
    environment = {**os.environ, "PACKAGE": str(PACKAGE), "SKMLP_CACHE": "1"}
    for delay in np.linspace(0.5, 2.5, times(2, 100)):
        with subprocess.Popen(command, env=environment) as process:
            time.sleep(delay)
            process.kill()
        assert run(folder)[1] == 0.5
        for path in folder.glob("*.kernel"):
            path.unlink()


HIDDEN = """
from importlib.machinery import SourceFileLoader
SourceFileLoader.get_source = None
"""


@needs_jit
def test_without_a_stamp_nothing_is_cached(folder):
    """As if the importer could only run modules."""
    assert run(folder, before=HIDDEN) == (True, 0.5)
    assert not folder.exists()
