"""Files in a folder of data that are no data: what storage devices and systems leave there, and what is not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# Thumbnails, waste baskets and indexes of Synology, QNAP, macOS, Windows, Linux. What begins with a dot (.thumbnails,
# .AppleDouble, .ipynb_checkpoints, ._name.jpg) is one anyway.
_FOLDERS = frozenset({
    "@eadir", "@tmp", "@__thumb", "@recycle", "@recently-snapshot", "@sharebin", "@snapshot", "#recycle", "#snapshot",
    "__macosx", "__pycache__", "$recycle.bin", "recycler", "system volume information", "lost+found",
    "network trash folder", "temporary items", "thevolumesettingsfolder",
})  # fmt: skip
_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "folder.jpg.tmp"})
_STARTS = ("synophoto_thumb", "synofile_thumb", "synovideo_")
#: Endings of pictures and recordings: a file with one of them that is not read is missed by whoever put it there.
_PICTURES = (
    "png jpg jpeg jpe jfif jif bmp dib gif webp tif tiff avif apng heic heif hif jp2 j2k jpx jxl raw dng cr2 cr3 nef "
    "arw orf rw2 psd svg tga exr hdr ico eps dcm npy"
)
_SOUNDS = "wav wave flac mp3 ogg oga opus m4a aac wma aif aiff aifc au snd caf w64 amr webm mp4 mov avi mkv"
_MEDIA = frozenset(f".{name}" for names in (_PICTURES, _SOUNDS) for name in names.split())


OUTSIDE = "images outside of class folders"
_NO_ENDING = "no ending"
_OPEN = (OUTSIDE, _NO_ENDING)
#: Texts that often have no ending.
_TEXTS = frozenset({
    "license", "licence", "readme", "copying", "authors", "notice", "changelog", "citation", "makefile", "version",
})  # fmt: skip


def is_leftover(name: str) -> bool:
    """Return whether a file or folder of this name (without its path) is a system's, not its user's."""
    lower = name.casefold()
    return lower.startswith((".", *_STARTS)) or lower in _FOLDERS or lower in _FILES


def ending(name: str) -> str:
    """Return the ending of a file name in small letters, with its dot; ``no ending`` if it has none.

    A text that usually has none, such as LICENSE, is called by its name.
    """
    if name.casefold() in _TEXTS:
        return name
    stem, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot and stem and last.isalnum() and len(last) <= 5 else _NO_ENDING


def told(counts: Mapping[str, int], most: int = 6) -> str:
    """Return counts as text, the largest first: ``12 .heic, 1 .txt``."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[most:])
    return ", ".join([*(f"{count:,} {name}" for name, count in ranked[:most]), *([f"{rest:,} others"] if rest else [])])


@dataclass
class PassedOver:
    """What was not read: files by ending or by where they stand, and leftovers (files and whole folders) by name."""

    files: Counter[str] = field(default_factory=Counter)
    leftovers: Counter[str] = field(default_factory=Counter)

    def add(self, name: str) -> None:
        """Count a file that is not read, or a file or folder that is a leftover."""
        if is_leftover(name):
            self.leftovers["._*" if name.startswith("._") else name] += 1
        else:
            self.files[ending(name)] += 1

    def update(self, names: Iterable[str]) -> None:
        """Count several."""
        for name in names:
            self.add(name)

    @property
    def missed(self) -> Counter[str]:
        """The files that look as if they were data: pictures, recordings, and what has no ending that tells."""
        return Counter({name: count for name, count in self.files.items() if name in _MEDIA or name in _OPEN})
