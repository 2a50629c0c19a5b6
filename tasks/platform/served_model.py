"""What `mlflow.pyfunc.load_model` runs: the base model, the adapter, one answer per row."""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.vlm.generate import Prompt, generate_answers
from components.models.vlm.labels import SampleError
from components.models.vlm.load import load_vlm
from components.parameters.parameters import VlmParameters

# What models were tuned with that were registered before there were these parameters.
_EARLIER: dict[str, object] = {"max_pixels": None, "template_arguments": {}}
PIXEL_LIMIT = 178_956_970  # Pillow's own limit: what is asked of a served model was not checked by ingest


class TunedVlm(PythonModel):  # type: ignore[misc]  # MLflow is not typed
    """Answers questions about images: columns `image` (path or URL) and `question`, optional `max_new_tokens`."""

    def load_context(self, context: Any) -> None:
        """Load the base model and put the adapter on it."""
        parameters = VlmParameters.model_validate(_EARLIER | context.model_config["vlm"])
        self._vlm = load_vlm(parameters, adapter=Path(context.artifacts["adapter"]))

    # No annotations: MLflow derives a schema from those of `predict`, and warns of all but lists.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """One answer per row, greedy."""
        rows = zip(model_input["image"], model_input["question"], strict=True)
        answers = generate_answers(
            self._vlm,
            [Prompt(uri=image, image_sha="", history=(), question=question) for image, question in rows],
            batch_size=16,
            max_new_tokens=int((params or {"max_new_tokens": 64})["max_new_tokens"]),
            pixel_limit=PIXEL_LIMIT,
            progress=no_progress,
            engine=LocalEngine(),
        )
        for answer in answers:
            if isinstance(answer, SampleError):
                raise answer
        return answers


set_model(TunedVlm())
