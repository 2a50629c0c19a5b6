"""Pixtral's text expansion, which Mistral 3 has too: transformers' own class cannot be imported without torchvision."""

from typing import Any

from transformers import ProcessorMixin


class PixtralProcessor(ProcessorMixin):  # type: ignore[misc]
    """Writes an image as rows of image tokens, one per patch, with a break after each row and an end after the last.

    Args:
        image_processor: makes `pixel_values` and `image_sizes`.
        tokenizer: knows the three tokens.
        patch_size: pixels of a patch's side.
        spatial_merge_size: patches of a side that become one token.
        chat_template: of the model.
        image_token: stands for a patch, and for the image in a template.
        image_break_token: ends a row.
        image_end_token: ends the image.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: str | None = None,
        image_token: str = "[IMG]",  # noqa: S107 -- no password
        image_break_token: str = "[IMG_BREAK]",  # noqa: S107 -- no password
        image_end_token: str = "[IMG_END]",  # noqa: S107 -- no password
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.patch_size = patch_size
        self.spatial_merge_size = spatial_merge_size
        self.image_token = image_token
        self.image_break_token = image_break_token
        self.image_end_token = image_end_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that it is built of."""
        return ["image_processor", "tokenizer"]

    def _process_images(self, images: Any, **options: Any) -> Any:
        options["patch_size"] = self.patch_size * self.spatial_merge_size
        return super()._process_images(images, **options)

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **_: Any) -> str:
        """The text that an image is written as."""
        side = self.patch_size * self.spatial_merge_size
        height, width = (int(pixels) // side for pixels in image_inputs["image_sizes"][image_idx])
        row = self.image_token * width
        return self.image_break_token.join([row] * height) + self.image_end_token
