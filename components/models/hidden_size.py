"""How wide the vectors of a model are, from its configuration alone."""

from transformers import AutoConfig


def hidden_size(model: str, revision: str | None) -> int:
    """Numbers of a hidden state of a model's encoder or language model.

    Args:
        model: folder or Hugging Face id.
        revision: git revision of a Hub model.

    Returns:
        0 when the configuration is not on this machine; nothing is downloaded.
    """
    try:
        config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=False, local_files_only=True)
    except OSError:
        return 0
    return int(config.get_text_config().hidden_size)
