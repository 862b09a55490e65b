"""The file: tensors and one text of JSON, in the safetensors format.

Its header is checked here before anything is believed; a sha256 over the text and all
tensors tells whether they are what was written.
"""

import hashlib
import json
import os
import stat
from contextlib import suppress
from importlib import import_module
from secrets import token_hex

import numpy as np

from skmlp.export.kinds import expect, refuse
from skmlp.export.values import parse

FORMAT = 1
_KEY = "skmlp"
_LENGTH = 8  # bytes of the length of the header
_LONGEST_HEADER, _MOST_TENSORS = 2**22, 2**14


def need(name):
    """A module of a library that only exports use.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"This needs {name.partition('.')[0]}: pip install 'skmlp[export]'."
        ) from error


def pack(document, tensors):
    """The bytes of a file; equal ones for equal content."""
    document = {"format": FORMAT, **document}
    text = _as_text({**document, "sha256": _digest(document, tensors)})
    data = need("safetensors.numpy").save(tensors, metadata={_KEY: text})
    length = int.from_bytes(data[:_LENGTH], "little")
    fits = length <= _LONGEST_HEADER and len(tensors) < _MOST_TENSORS
    expect(fits, "file", "more text or tensors than a file may have")
    return data


def unpack(data):
    """(document, tensors) of the bytes of a file.

    Raises
    ------
    ValueError
        If they are no such file, damaged, or of a newer format.
    """
    document = _document_of(data)
    tensors = _tensors_of(data)
    expected = document.pop("sha256", None)
    fits = expected == _digest(document, tensors)
    expect(fits, "sha256", "the content is not what was written")
    del document["format"]
    return document, tensors


def _document_of(data):
    length = int.from_bytes(data[:_LENGTH], "little")
    expect(len(data) > _LENGTH, "header", "the file is too short")
    whole = length <= min(len(data) - _LENGTH, _LONGEST_HEADER)
    expect(whole, "header", f"{length} bytes, more than there are or may be")
    header = parse(data[_LENGTH : _LENGTH + length], "header")
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    fits = isinstance(metadata, dict) and isinstance(metadata.get(_KEY), str)
    expect(fits, "header", "not written by skmlp.save")
    expect(len(header) <= _MOST_TENSORS, "header", "more tensors than there may be")
    document = parse(metadata[_KEY], "header")
    number = document.get("format") if isinstance(document, dict) else None
    expect(type(number) is int and number > 0, "format", "no number")
    expect(
        number <= FORMAT,
        "format",
        f"{number} is newer than {FORMAT}, which this version reads: update skmlp",
    )
    return document


def _tensors_of(data):
    """Tensors by name, in memory of the file."""
    errors = need("safetensors").SafetensorError, ValueError, KeyError, OverflowError
    try:
        return need("safetensors.numpy").load(data)
    except errors as error:
        refuse("tensors", str(error))


def _digest(document, tensors):
    """sha256 over the text, then name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(_as_text(document).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        about = [name, array.dtype.str, array.shape]
        digest.update(_as_text(about).encode())
        digest.update(array.data)
    return digest.hexdigest()


def _as_text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write(path, data):
    """Write a file whole or not at all; what there was stays until it is whole."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as file:  # a device takes it, and a folder refuses it
            file.write(data)
        return
    temporary = f"{path}.{token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise
