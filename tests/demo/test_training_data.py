import numpy as np
import pytest
import torch

from demo.conversation_stream import IGNORED, Batch, DrawnConversations, packed_mask
from demo.tiny_models import build_processor, build_tokenizer, build_vlm
from demo.train_encoder import contrastive_loss


@pytest.fixture(scope="module")
def batch() -> Batch:
    threads = torch.get_num_threads()
    first = next(iter(DrawnConversations(seed=5, batch_size=3, tokens=320)))
    torch.set_num_threads(threads)
    return first


def test_the_stream_is_the_same_for_a_seed(batch: Batch) -> None:
    again = next(iter(DrawnConversations(seed=5, batch_size=3, tokens=320)))
    assert torch.equal(again.pixels, batch.pixels)
    assert torch.equal(again.tokens, batch.tokens)


def test_packed_conversations_are_written_as_the_chat_template_writes_them(batch: Batch) -> None:
    tokenizer, processor = build_tokenizer(), build_processor()
    for tokens, segments in zip(batch.tokens, batch.segments, strict=True):
        for number in range(1, int(segments.max()) + 1):
            text = tokenizer.decode(tokens[(segments == 0) | (segments == number)])
            turns = text.removeprefix("USER: " + "<image>" * 64 + "\n").removesuffix("</s>").split("</s>USER: ")
            conversation = []
            for position, turn in enumerate(turns):
                prompt, response = turn.split(" ASSISTANT: ")
                image = [{"type": "image"}] if position == 0 else []
                conversation.append({"role": "user", "content": [*image, {"type": "text", "text": prompt}]})
                conversation.append({"role": "assistant", "content": [{"type": "text", "text": response}]})
            written = processor.apply_chat_template(conversation, tokenize=False)
            assert written.replace("<image>", "<image>" * 64) == text


def test_labels_are_the_responses_with_their_end_of_turn(batch: Batch) -> None:
    tokenizer = build_tokenizer()
    labels = batch.labels[0][batch.labels[0] != IGNORED]
    text = tokenizer.decode(batch.tokens[0][batch.segments[0] >= 0])
    expected = "".join(part.split("</s>")[0] + "</s>" for part in text.split(" ASSISTANT: ")[1:])
    assert tokenizer.decode(labels) == expected


def test_packing_does_not_change_what_a_conversation_sees(batch: Batch) -> None:
    model = build_vlm(seed=0).eval().model.language_model
    with torch.inference_mode():
        packed = model(
            input_ids=batch.tokens,
            attention_mask=packed_mask(batch.segments, torch.float32),
            position_ids=batch.positions,
            use_cache=False,
        ).last_hidden_state
        for row in range(batch.tokens.shape[0]):
            segments = batch.segments[row]
            assert segments.max() >= 2
            for number in range(1, int(segments.max()) + 1):
                mine = (segments == 0) | (segments == number)
                alone = model(input_ids=batch.tokens[row : row + 1, mine], use_cache=False).last_hidden_state[0]
                torch.testing.assert_close(packed[row, mine], alone, atol=1e-4, rtol=1e-4)


def test_contrastive_loss_matches_a_slow_reference() -> None:
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)))
    expected = []
    for row in range(6):
        cosines = [float(torch.cosine_similarity(vectors[row], vectors[other], dim=0)) for other in range(6)]
        weights = [np.exp(cosine / 0.2) for cosine in cosines]
        expected.append(-np.log(weights[(row + 3) % 6] / (sum(weights) - weights[row])))
    assert contrastive_loss(vectors, temperature=0.2).item() == pytest.approx(np.mean(expected), rel=1e-5)
