"""A store of compiled kernels on disk that is checked before it is believed.

One file holds one kernel for one signature, one processor and one version of
every library that shaped its code.  A file is used only if its digest, its key
and the stamp of the kernels' sources are the expected ones; whatever else is
found, or not found, counts as a miss and the kernel is compiled again.
"""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_MAGIC = b"skmlp-kernel-1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
_PACKAGE = Path(__file__).resolve().parent.parent


def source_stamp():
    """Hash of all kernel sources: a callee's change must invalidate its callers."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).resolve().parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
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
    if chosen:
        return [Path(chosen)]
    folders = [_PACKAGE / "core" / "__pycache__"]
    with suppress(RuntimeError):  # no home directory
        folders.append(user_cache_folder())
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
