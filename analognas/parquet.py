"""Tables as Parquet files: the same table gives the same bytes everywhere, and a damaged file is never read.

Every library that writes Parquet puts its name and version into the file, and lays out what it writes in another way
from version to version (pyarrow: the sizes that stand in the footer, where pages end, how much is compressed). Then
equal tables of two people have two hashes in DVC, and an update makes every stage stale. So what is needed of the
format is written here: flat tables, plain values, no compression (https://github.com/apache/parquet-format). Reading
is pyarrow's, and anybody else's.

The last bytes of the footer are the SHA-256 of the whole file, computed with zeros in their place: checksums of pages,
which pyarrow knows, leave out the footer, where names, types and counts stand.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MAGIC = b"PAR1"
_SEAL = b"analognas.sha256"
_BLANK = b"0" * 64
#: What follows the digest: the ends of two structs, the length of the footer, the magic.
_AFTER = 2 + 4 + len(_MAGIC)
#: Rows that are written together: a page holds less than 2 GiB.
_ROWS = 100_000

_BOOLEAN, _INT64, _DOUBLE, _TEXT = 0, 2, 5, 6
_PLAIN, _RLE = 0, 3


def encode(frame: pd.DataFrame) -> bytes:
    """Return a frame of numbers, truth values and text as a Parquet file, without its index; NaN becomes null.

    Raises:
        TypeError: if a column holds something else.
    """
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    kinds = [_kind(field) for field in table.schema]
    content = bytearray(_MAGIC)
    groups = []
    for start in range(0, max(1, len(table)), _ROWS):  # pyarrow 18 cannot read a file without any group
        part = table.slice(start, _ROWS)
        chunks, begin = [], len(content)
        for field, kind, column in zip(table.schema, kinds, part.columns, strict=True):
            offset = len(content)
            content += _page(column, kind)
            size = len(content) - offset
            described = _struct(
                (1, _whole(kind)), (2, _listed(_I32, [_whole(_PLAIN)[1], _whole(_RLE)[1]])),
                (3, _listed(_BINARY, [_text(field.name)[1]])), (4, _whole(0)), (5, _long(len(part))), (6, _long(size)),
                (7, _long(size)), (9, _long(offset)),
            )  # fmt: skip
            chunks.append(_struct((2, _long(offset)), (3, (_STRUCT, described))))
        groups.append(_struct((1, _listed(_STRUCT, chunks)), (2, _long(len(content) - begin)), (3, _long(len(part)))))
    schema = [_struct((4, _text("schema")), (5, _whole(len(kinds))))]
    schema += [_leaf(field.name, kind) for field, kind in zip(table.schema, kinds, strict=True)]
    seal = _struct((1, _text(_SEAL)), (2, _text(_BLANK)))
    footer = _struct(
        (1, _whole(1)), (2, _listed(_STRUCT, schema)), (3, _long(len(table))), (4, _listed(_STRUCT, groups)),
        (5, _listed(_STRUCT, [seal])),
    )  # fmt: skip
    content += footer + len(footer).to_bytes(4, "little") + _MAGIC
    content[_digest_place(content)] = _digest(content)
    return bytes(content)


def decode(content: bytes) -> pd.DataFrame:
    """Return the frame that ``encode`` wrote.

    Raises:
        ValueError: if a single bit is another one now, or the file is another program's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = _digest_place(content)
    if not content.startswith(_MAGIC) or content[: place.start].endswith(_SEAL) or content[place] != _digest(content):
        raise ValueError("its digest does not fit")
    try:
        frame: pd.DataFrame = pq.ParquetFile(pa.BufferReader(content)).read().to_pandas()
    except (pa.ArrowException, OSError):
        raise ValueError("it is no table that can be read") from None
    return frame


def _digest_place(content: bytes | bytearray) -> slice:
    end = len(content) - _AFTER
    return slice(max(0, end - len(_BLANK)), max(0, end))


def _digest(content: bytes | bytearray) -> bytes:
    """Return the SHA-256 of a file with zeros in its own place, as text."""
    place = _digest_place(content)
    whole = hashlib.sha256(memoryview(content)[: place.start])
    whole.update(_BLANK)
    whole.update(memoryview(content)[place.stop :])
    return whole.hexdigest().encode()


def _kind(field: pa.Field) -> int:
    import pyarrow as pa

    kind = field.type
    if pa.types.is_boolean(kind):
        return _BOOLEAN
    if pa.types.is_integer(kind):
        return _INT64
    if pa.types.is_floating(kind):
        return _DOUBLE
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return _TEXT
    raise TypeError(f"column {field.name!r} of a table holds {kind}: numbers, truth values and text can be written")


def _page(column: pa.ChunkedArray, kind: int) -> bytes:
    """Return the one page of a column: header, which values are there, the values."""
    import numpy as np
    import pyarrow as pa

    there = column.is_valid().to_numpy()
    values = column.drop_null()
    if there.all():
        levels = _varint(len(there) << 1) + b"\x01"  # one run
    else:
        bits = np.packbits(there, bitorder="little").tobytes()
        levels = _varint(len(bits) << 1 | 1) + bits
    if kind == _TEXT:
        texts = [text.encode() for text in values.to_pylist()]
        plain = b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))
    elif kind == _BOOLEAN:
        plain = np.packbits(values.to_numpy(), bitorder="little").tobytes()
    else:
        number, layout = (pa.int64(), "<i8") if kind == _INT64 else (pa.float64(), "<f8")
        plain = values.cast(number).to_numpy().astype(layout).tobytes()
    page = len(levels).to_bytes(4, "little") + levels + plain
    crc = zlib.crc32(page)
    described = _struct((1, _whole(len(there))), (2, _whole(_PLAIN)), (3, _whole(_RLE)), (4, _whole(_RLE)))
    header = _struct(
        (1, _whole(0)), (2, _whole(len(page))), (3, _whole(len(page))), (4, _whole(crc - (crc >> 31 << 32))),
        (5, (_STRUCT, described)),
    )  # fmt: skip
    return header + page


def _leaf(name: str, kind: int) -> bytes:
    fields = [(1, _whole(kind)), (3, _whole(1)), (4, _text(name))]
    if kind == _TEXT:  # UTF-8, once as older readers know it
        fields += [(6, _whole(0)), (10, (_STRUCT, _struct((1, (_STRUCT, _struct())))))]
    return _struct(*fields)


# Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md): a value
# is its type and its bytes.
_Value = tuple[int, bytes]
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _whole(number: int) -> _Value:
    return _I32, _zigzag(number)


def _long(number: int) -> _Value:
    return _I64, _zigzag(number)


def _text(text: str | bytes) -> _Value:
    written = text.encode() if isinstance(text, str) else text
    return _BINARY, _varint(len(written)) + written


def _listed(kind: int, values: Iterable[bytes]) -> _Value:
    values = list(values)
    short = len(values) < 15
    head = bytes([len(values) << 4 | kind]) if short else bytes([0xF0 | kind]) + _varint(len(values))
    return _LIST, head + b"".join(values)


def _struct(*fields: tuple[int, Any]) -> bytes:
    """Return a struct of (id, value), ids ascending and less than 16 apart."""
    written, before = bytearray(), 0
    for number, (kind, value) in fields:
        written.append((number - before) << 4 | kind)
        written += value
        before = number
    return bytes(written) + b"\x00"
