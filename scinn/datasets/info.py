"""The records of the registry: one set, its published files, and how a file is made that is not downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DatasetInfo", "HandMade", "SourceFile"]


@dataclass(frozen=True)
class SourceFile:
    """One file of the official publisher.

    Parameters
    ----------
    url : str
        Official address.
    sha256 : str
        Checksum of one published copy; empty where none is recorded.
    repackable : bool
        True where the publisher may pack the same content differently (zip archives): then the parsed arrays
        are held against :attr:`DatasetInfo.content_sha256` instead of the file against ``sha256``.
    md5 : str
        The publisher's own checksum, where that is all there is: it tells damage, and the checksum of the
        arrays tells forgery.
    unpacked_sha256 : str
        Checksum of what a compressed file holds, where the publisher may compress it differently.
    """

    url: str
    sha256: str = ""
    repackable: bool = False
    md5: str = ""
    unpacked_sha256: str = ""

    @property
    def file_name(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[1]

    @property
    def sum(self) -> str:
        """The recorded checksum with the name of its algorithm."""
        if self.sha256:
            return f"sha256 {self.sha256}"
        if self.unpacked_sha256:
            return f"sha256 {self.unpacked_sha256} when decompressed"
        return f"md5 {self.md5}" if self.md5 else "sha256 none recorded"


@dataclass(frozen=True)
class HandMade:
    """How the file of a set is made that this package does not download.

    Parameters
    ----------
    url : str
        Where the original stands.
    reason : str
        Why it is not downloaded: the rest of a sentence that begins with "because".
    arrays : str
        What the file holds, and from what it is made.
    recipe : str
        Lines of Python that make it; empty where ``arrays`` says enough.
    """

    url: str
    reason: str
    arrays: str
    recipe: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """One row of the registry.

    Parameters
    ----------
    name : str
        Name for :func:`scinn.datasets.load`.
    kind : {"embedded", "generated", "archive"}
        Brought by an installed library, made by a seeded formula, or read from files.
    task : str
        What it is used for, for example ``"node classification"``.
    title : str
        One line for a table.
    counts : mapping of str to int
        Numbers of nodes, edges, features, classes, graphs, images, samples (``positives`` of them in class 1),
        symbols, and of tokens or sentence pairs in each part; those of the default options where generated.
    licence, origin : str
        Terms as far as the publisher states them, and where the data come from.
    citation : str
        BibTeX key.
    aliases : tuple of str
        Other accepted names.
    sources : tuple of SourceFile
        Files of the official publisher that are downloaded; none where ``hand_made`` says why not.
    file, file_sha256 : str
        File looked for in ``$SCINN_DATA`` and its checksum.
    content_sha256 : str
        Checksum of the arrays that ``load`` returns, whatever the packing (empty for generated sets, and for
        embedded ones that vary).
    record_md5 : tuple of str
        Where no ``content_sha256`` is recorded: the publisher's checksums of the unpacked files, against
        which the arrays are held.
    class_names : tuple of str
        What the classes are, where they have names.
    large : bool
        True where :func:`scinn.datasets.fetch` gets the set only if it is named.
    note : str
        What a user should know.
    unavailable : str
        Why ``load`` does not offer the set; empty where it does.
    hand_made : HandMade or None
        How the file is made, where it is not downloaded.
    varies : str
        What the content of an embedded set depends on, where that is no constant; then no checksum is recorded.
    options : tuple of str
        Options that ``load`` takes for an embedded set.
    """

    name: str
    kind: str
    task: str
    title: str
    counts: Mapping[str, int]
    licence: str
    origin: str
    citation: str
    aliases: tuple[str, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    file: str = ""
    file_sha256: str = ""
    content_sha256: str = ""
    record_md5: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    large: bool = False
    note: str = ""
    unavailable: str = ""
    hand_made: HandMade | None = None
    varies: str = ""
    options: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """Official addresses."""
        if self.hand_made is not None:
            return (self.hand_made.url,)
        return tuple(source.url for source in self.sources)
