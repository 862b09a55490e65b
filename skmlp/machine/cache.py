"""A store of compiled kernels on disk that is checked before it is believed.

One file holds one kernel for one signature, one processor and one version of
every library that shaped its code.  A file is used only if its digest, its key
and the stamp of the kernels' sources are the expected ones; whatever else is
found, or not found, counts as a miss and the kernel is compiled again.  Kernels
whose code cannot be told from another's are neither saved nor looked for.
"""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType

_MAGIC = b"skmlp-kernel-1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
_PACKAGE = Path(__file__).resolve().parent.parent


_KERNELS = (
    "skmlp.machine",
    "skmlp.core",
)  # all packages with code that kernels call
_WHAT_IT_DOES = (
    *("co_code", "co_consts", "co_names", "co_varnames", "co_cellvars", "co_freevars"),
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags"),
    *("co_exceptiontable", "co_name"),
)


class Stamp:
    """Hash of the package's kernel sources; tells old machine code from new.

    A hash of all modules of the packages, and of those in them, since a callee's change
    must invalidate its callers.  Importers tell what is in a module, which may lie in
    an archive, or have no source.

    Attributes
    ----------
    value : str or None
        None where that cannot be told of all modules.
    """

    def __init__(self):
        codes = {}
        try:
            for package in _KERNELS:
                codes |= _codes(import_module(package).__spec__)
        except Exception:  # an importer may lack any of these methods
            codes = {}
        self._modules = frozenset(codes)
        self.value = _digest(codes) if codes else None

    def covers(self, module):
        """Whether it changes with what is in this module."""
        return module in self._modules


def _codes(spec):
    """Name -> what is in it, for a module and all those in it."""
    codes = {spec.name: _code(spec)}
    for info in iter_modules(spec.submodule_search_locations or (), f"{spec.name}."):
        codes |= _codes(info.module_finder.find_spec(info.name))
    return codes


def _code(spec):
    source = spec.loader.get_source(spec.name)
    if source is not None:
        return source
    code = spec.loader.get_code(spec.name)
    if code is None:
        raise ImportError(f"{spec.name} is no Python code.")
    return repr(_described(code))


def _described(code):
    """All that a code object does, and nothing of where it lies.

    (`marshal` may write the same code in different ways.)
    """
    if isinstance(code, CodeType):
        return [_described(getattr(code, part)) for part in _WHAT_IT_DOES]
    if isinstance(code, tuple):
        return [_described(part) for part in code]
    return sorted(map(repr, code)) if isinstance(code, frozenset) else repr(code)


def _digest(codes):
    digest = hashlib.sha256()
    for name, code in sorted(codes.items()):
        digest.update(f"{name}\0{code}\0".encode())
    return digest.hexdigest()


def user_cache_folder():
    """The operating system's place for caches, apart for each installed copy."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    copy = hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:16]
    return Path(base).expanduser() / "skmlp" / copy


def candidate_folders():
    """Folders to read from, and to write to the first that can be written."""
    chosen = os.environ.get("SKMLP_CACHE_DIR")
    folders = [] if chosen else [_PACKAGE / "core" / "__pycache__"]
    with suppress(RuntimeError):  # no home directory
        folders.append(Path(chosen).expanduser() if chosen else user_cache_folder())
    return folders


def enabled():
    """Whether the cache may be used: ``SKMLP_CACHE=0`` switches it off."""
    return os.environ.get("SKMLP_CACHE", "1").lower() not in ("0", "false", "off")


class KernelStore:
    """Bytes of compiled kernels by name and key.

    Parameters
    ----------
    stamp : str
        Identifies the sources; entries of another stamp are never read and are
        removed when a newer one of the same kernel is saved.
    """

    def __init__(self, stamp):
        self.stamp = stamp

    def _file_name(self, name, key):
        digest = hashlib.sha256(key.encode()).hexdigest()
        return f"{name}-{self.stamp[:16]}-{digest[:16]}.kernel"

    def _header(self, key):
        return f"{self.stamp}\n{key}".encode() + b"\0"

    def load(self, name, key):
        """The bytes saved under ``name`` and ``key``, or None."""
        for folder in candidate_folders():
            try:
                content = (folder / self._file_name(name, key)).read_bytes()
            except OSError:
                continue
            payload = self._checked(content, self._header(key))
            if payload is not None:
                return payload
        return None

    @staticmethod
    def _checked(content, header):
        start = len(_MAGIC) + _DIGEST_SIZE
        body = content[start:]
        if (
            content.startswith(_MAGIC)
            and content[len(_MAGIC) : start] == hashlib.sha256(body).digest()
            and body.startswith(header)
        ):
            return body[len(header) :]
        return None

    def save(self, name, key, payload):
        """Write atomically to the first folder that allows it; False if none does."""
        body = self._header(key) + payload
        content = _MAGIC + hashlib.sha256(body).digest() + body
        for folder in candidate_folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._replace(folder / self._file_name(name, key), content)
            except OSError:
                continue
            self._remove_stale(folder, name)
            return True
        return False

    @staticmethod
    def _replace(path, content):
        handle, temporary = tempfile.mkstemp(suffix=".kernel.tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _remove_stale(self, folder, name):
        for path in folder.glob(f"{name}-*.kernel"):
            if not path.name.startswith(f"{name}-{self.stamp[:16]}-"):
                with suppress(OSError):
                    path.unlink()
