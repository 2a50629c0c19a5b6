"""Hands a training set or a selection to a trainer elsewhere, with image paths that work there."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa

from components.compute.progress import Progress, no_progress
from components.errors import UserError
from components.output_folder import check_output_folder
from components.pool.images import ImageError, read_image_bytes, stored_format
from components.pool.locations import local_path
from components.pool.samples import InstructedImage
from components.storage import write_bytes, write_json, write_table
from components.training_set.formats import llava_record, messages_table, sharegpt_record, training_samples

Layout = Literal["llava", "sharegpt", "messages"]

_FILE_NAMES: dict[Layout, str] = {
    "llava": "llava.json",
    "sharegpt": "sharegpt.json",
    "messages": "messages.parquet",
}
_TAR_MEMBER = "tar-member:"
_SUFFIX_OF_FORMAT = {"JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif"}


class ExportError(UserError, ValueError):
    """The export cannot be made as asked; nothing usable was written."""


def export_samples(
    table: pa.Table,
    directory: Path,
    *,
    layout: Layout,
    relative_to: Path | None = None,
    copy_images: PurePosixPath | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Write samples for a trainer.

    Image paths are absolute unless one of the two options says otherwise.

    Args:
        table: columns of `components.schemas.TRAINING_SAMPLES`; samples without turns only in layout `llava`.
        directory: where to; must be empty or new unless `overwrite`.
        layout: `llava`: JSON, `sharegpt`: JSON with an `images` column and the `dataset_info.json` of
            LLaMA-Factory, `messages`: Parquet as TRL reads it.
        relative_to: folder that image paths shall be relative to; all images must lie in it.
        copy_images: folder inside `directory` that the images are copied to, named by content; image paths are
            then relative to `directory`, which can be moved to another machine as it is.
        overwrite: write into a folder that holds something already; files of the same name are replaced, others
            stay.
        progress: told about images.

    Returns:
        The file that the trainer is pointed at.

    Raises:
        OutputFolderError: the folder cannot be written as asked.
        ExportError: an image is not where it has to be or has changed, a sample has
            no instruction where the layout needs one, or both options are given.
    """
    if relative_to is not None and copy_images is not None:
        raise ExportError("give either a folder that paths are relative to or a folder to copy images to, not both")
    if copy_images is not None and (copy_images.is_absolute() or ".." in copy_images.parts):
        raise ExportError(f"images are copied to a folder inside the export; {str(copy_images)!r} is not")
    samples = training_samples(table)
    _check_turns(samples, layout)
    check_output_folder(directory, overwrite=overwrite)

    paths: list[str] = []
    for number, sample in enumerate(samples, start=1):
        if copy_images is not None:
            paths.append(_copy(sample, directory, copy_images))
        elif relative_to is not None:
            paths.append(_relative(sample, relative_to))
        else:
            paths.append(_absolute(sample))
        progress(number, len(samples))
    return _write(samples, paths, directory, layout)


def _check_turns(samples: Sequence[InstructedImage], layout: Layout) -> None:
    bare = [sample.sample_id for sample in samples if not sample.turns]
    if bare and layout != "llava":
        raise ExportError(
            f"{len(bare)} samples have no instruction, e.g. {bare[0]!r}; layout {layout!r} needs them: export the "
            "training set, or use layout 'llava'"
        )


def _write(samples: Sequence[InstructedImage], paths: Sequence[str], directory: Path, layout: Layout) -> Path:
    target = directory / _FILE_NAMES[layout]
    if layout == "messages":
        write_table(target, messages_table(samples, paths))
        return target
    record = llava_record if layout == "llava" else sharegpt_record
    write_json(target, [record(sample, path) for sample, path in zip(samples, paths, strict=True)])
    if layout == "sharegpt":
        columns = {"messages": "conversations", "images": "images"}
        description = {"file_name": target.name, "formatting": "sharegpt", "columns": columns}
        write_json(directory / "dataset_info.json", {"presel": description})
    return target


def _absolute(sample: InstructedImage) -> str:
    path = _path_of(sample)
    return sample.uri if path is None else _absolute_path(path)


def _absolute_path(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 -- Path.resolve would replace a linked folder by its target


def _relative(sample: InstructedImage, folder: Path) -> str:
    path = _path_of(sample)
    if path is None:
        raise ExportError(f"image {sample.uri!r} is remote and has no path relative to {folder}; copy the images")
    base = _absolute_path(folder)
    relative = os.path.relpath(_absolute_path(path), base)
    if relative.split(os.sep, 1)[0] == os.pardir:
        raise ExportError(f"image {sample.uri!r} does not lie in {base}; name a folder above it, or copy the images")
    return Path(relative).as_posix()


def _path_of(sample: InstructedImage) -> Path | None:
    if sample.uri.startswith(_TAR_MEMBER):
        raise ExportError(f"image {sample.uri!r} lies inside a tar file, where no trainer finds it; copy the images")
    return local_path(sample.uri)


def _copy(sample: InstructedImage, directory: Path, folder: PurePosixPath) -> str:
    try:
        data = read_image_bytes(sample.uri)
    except ImageError as error:
        raise ExportError(f"image of {sample.sample_id!r}: {error}") from None
    if hashlib.sha256(data).hexdigest() != sample.image_sha:
        raise ExportError(f"image {sample.uri!r} has changed since it was ingested; run the pipeline again")
    image_format = stored_format(data, name=sample.uri)
    suffix = _SUFFIX_OF_FORMAT.get(image_format, image_format.lower())
    # Two folder levels: a folder with hundreds of thousands of files is slow to list.
    path = folder / sample.image_sha[:2] / f"{sample.image_sha}.{suffix}"
    write_bytes(directory / path, data)
    return path.as_posix()
