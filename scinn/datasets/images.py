"""Image sets as they are published: idx files, the binary records of CIFAR-10, and the compact ``.npz`` files."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping

import numpy as np

from scinn.datasets import store
from scinn.datasets.registry import DatasetInfo
from scinn.datasets.structures import ImageDataset
from scinn.exceptions import ChecksumError

__all__ = ["decode_planes", "read_cifar", "read_idx_files", "records"]

IDX_UINT8 = 8
CIFAR_SIDE = 32
RECORD_BYTES = 1 + 3 * CIFAR_SIDE**2
TRAIN_MEMBERS = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_MEMBER = "test_batch.bin"
MAX_MEMBER_BYTES = 1 << 28


def read_published(info: DatasetInfo, files: Mapping[str, bytes]) -> ImageDataset:
    """Read the publisher's files of a registered image set."""
    archive = next((content for name, content in files.items() if name.endswith(".tar.gz")), None)
    if archive is None:
        return read_idx_files(info.name, files)
    return read_cifar(info.name, archive, per_class=info.counts["train"] // info.counts["classes"])


def read_idx_files(name: str, files: Mapping[str, bytes]) -> ImageDataset:
    """Read the four gzipped idx files of MNIST and of sets in its form.

    Parameters
    ----------
    name : str
        Name of the result.
    files : mapping of str to bytes
        Content under ``{train,t10k}-images-idx3-ubyte.gz`` and ``{train,t10k}-labels-idx1-ubyte.gz``.

    Returns
    -------
    ImageDataset
        The training images first.

    Raises
    ------
    ValueError
        Where a file is missing, damaged, or of another form.
    """
    images, labels = [], []
    for part in ("train", "t10k"):
        images.append(_idx(name, files, f"{part}-images-idx3-ubyte.gz", ndim=3))
        labels.append(_idx(name, files, f"{part}-labels-idx1-ubyte.gz", ndim=1))
        if len(images[-1]) != len(labels[-1]):
            raise ValueError(
                f"files: {name} has {len(images[-1])} {part} images, but {len(labels[-1])} labels"
            )
    return _dataset(name, images, labels)


def read_cifar(name: str, content: bytes, *, per_class: int | None = None) -> ImageDataset:
    """Read ``cifar-10-binary.tar.gz`` without unpacking it to disk.

    Parameters
    ----------
    name : str
        Name of the result.
    content : bytes
        The whole archive: five training files and a test file of records of 3 073 bytes, a label and
        3 x 32 x 32 pixels.
    per_class : int, optional
        Keep only the first ``per_class`` training images of each class, in the published order.

    Returns
    -------
    ImageDataset
        The training images first; ``train_index`` says where they stand in the whole training set, and is
        None where all are kept.

    Raises
    ------
    ValueError
        Where the archive is damaged or of another form.
    """
    members = _members(name, content)
    parts = []
    for member in (*TRAIN_MEMBERS, TEST_MEMBER):
        if member not in members:
            raise ValueError(f"content: the archive of {name} has no {member}")
        if len(members[member]) % RECORD_BYTES:
            raise ValueError(
                f"content: {member} of {name} has {len(members[member])} bytes, which is no number of "
                f"records of {RECORD_BYTES}"
            )
        parts.append(np.frombuffer(members[member], dtype=np.uint8).reshape(-1, RECORD_BYTES))
    train, test = np.concatenate(parts[:-1]), parts[-1]
    if max(train[:, 0].max(initial=0), test[:, 0].max(initial=0)) > 9:
        raise ValueError(f"content: {name} has a label above 9; these are not the records of CIFAR-10")
    index = None
    if per_class is not None:
        firsts = [np.flatnonzero(train[:, 0] == label)[:per_class] for label in range(10)]
        kept = np.sort(np.concatenate(firsts))
        if len(kept) < len(train):
            index, train = kept.astype(np.int64), train[kept]
    return _dataset(
        name, [_pixels(train), _pixels(test)], [train[:, 0], test[:, 0]], train_index=index, n_classes=10
    )


def records(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Write images in the binary form of CIFAR-10, the inverse of what :func:`read_cifar` reads.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, 3), uint8
    labels : ndarray of shape (n_images,)
        Classes from 0 to 255.

    Returns
    -------
    bytes
        For each image the label and the red, green and blue plane.
    """
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels.astype(np.uint8)[:, None], planes], axis=1).tobytes()


def decode_planes(code: np.ndarray) -> np.ndarray:
    """Undo the packing of the compact ``cifar10.npz``.

    It holds, modulo 256, the second differences (along rows, then columns) of the planes R - G, G and B - G.

    Parameters
    ----------
    code : ndarray of shape (3, n_images, height, width), uint8

    Returns
    -------
    ndarray of shape (n_images, height, width, 3), uint8
        Red, green, blue.

    Raises
    ------
    ValueError
        Where ``code`` has another form.

    Examples
    --------
    >>> import numpy as np
    >>> code = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    >>> code[:, 0, 0, 0] = 250, 10, 1
    >>> decode_planes(code)[0, 1, 1].tolist()
    [4, 10, 11]
    """
    if code.ndim != 4 or code.shape[0] != 3 or code.dtype != np.uint8:
        raise ValueError(
            f"code must be uint8 of shape (3, n_images, height, width), got {code.dtype} of shape {code.shape}"
        )
    # uint8 wraps around, which is the arithmetic modulo 256 that the packing used
    planes = np.cumsum(np.cumsum(code, axis=-1, dtype=np.uint8), axis=-2, dtype=np.uint8)
    planes[0] += planes[1]
    planes[2] += planes[1]
    return np.ascontiguousarray(planes.transpose(1, 2, 3, 0))


def unpack(info: DatasetInfo, arrays: Mapping[str, np.ndarray]) -> ImageDataset:
    """Read the arrays of a compact ``.npz`` file."""
    labels = [arrays["y_train"], arrays["y_test"]]
    if "code_train" in arrays:
        parts = [decode_planes(arrays["code_train"]), decode_planes(arrays["code_test"])]
        return _dataset(info.name, parts, labels, train_index=arrays["train_index"].astype(np.int64))
    return _dataset(info.name, [arrays["x_train"], arrays["x_test"]], labels)


def check_records(dataset: ImageDataset, info: DatasetInfo, where: str) -> None:
    """Refuse a CIFAR-10 whose records, file by file, do not have the published checksums."""
    n_train, n_files = dataset.n_train or 0, len(info.record_md5) - 1
    bounds = [n_train * k // n_files for k in range(n_files + 1)] + [len(dataset.images)]
    for start, stop, expected in zip(bounds[:-1], bounds[1:], info.record_md5, strict=True):
        content = records(dataset.images[start:stop], dataset.labels[start:stop])
        found = store.md5(content)
        if found != expected:
            raise ChecksumError(
                f"{info.name}: the images {start} to {stop - 1} read from {where} are not the published "
                f"ones: expected md5 {expected} of their records, found {found}."
            )


def _dataset(
    name: str,
    images: list[np.ndarray],
    labels: list[np.ndarray],
    *,
    train_index: np.ndarray | None = None,
    n_classes: int | None = None,
) -> ImageDataset:
    pixels, classes = np.concatenate(images), np.concatenate(labels).astype(np.int64)
    return ImageDataset(
        name=name,
        images=pixels if pixels.ndim == 4 else pixels[..., None],
        labels=classes,
        n_classes=int(classes.max(initial=-1)) + 1 if n_classes is None else n_classes,
        max_value=255,
        n_train=len(labels[0]),
        train_index=train_index,
    )


def _pixels(rows: np.ndarray) -> np.ndarray:
    return rows[:, 1:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1)


def _idx(name: str, files: Mapping[str, bytes], file: str, *, ndim: int) -> np.ndarray:
    if file not in files:
        raise ValueError(f"files: {name} lacks {file}; got {', '.join(files) or 'none'}")
    try:
        content = gzip.decompress(files[file])
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"files: {file} of {name} is no gzip file ({error})") from error
    start = 4 + 4 * ndim
    if len(content) < start or content[:4] != bytes((0, 0, IDX_UINT8, ndim)):
        raise ValueError(f"files: {file} of {name} is no idx file of bytes in {ndim} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"files: {file} of {name} announces shape {shape}, but holds {values.size} bytes")
    return values.reshape(shape)


def _members(name: str, content: bytes) -> dict[str, bytes]:
    wanted = {*TRAIN_MEMBERS, TEST_MEMBER}
    found: dict[str, bytes] = {}
    try:
        # read as a stream: looking members up by name would decompress the archive once for each
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
            for member in archive:
                file = member.name.rsplit("/", 1)[-1]
                if file not in wanted or not member.isfile():
                    continue
                if member.size > MAX_MEMBER_BYTES or file in found:
                    raise ValueError(
                        f"content: {member.name} of {name} has {member.size} bytes or comes twice; refused"
                    )
                stream = archive.extractfile(member)
                found[file] = b"" if stream is None else stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"content: the archive of {name} is no gzipped tar file ({error})") from error
    return found
