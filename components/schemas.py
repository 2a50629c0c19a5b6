"""The columns of every table that a stage writes. One place, so that a reader finds what a file holds."""

import pyarrow as pa

SCHEMA_VERSION = 1

TURNS = pa.list_(pa.struct([("question", pa.string()), ("response", pa.string())]))

# manifest/images/part-*.parquet: one row per distinct image, append-only.
IMAGES = pa.schema(
    [
        ("image_sha", pa.string()),  # sha256 of the bytes, hex
        ("uri", pa.string()),
        ("size_bytes", pa.int64()),
        ("width", pa.int32()),  # pixels, after EXIF orientation
        ("height", pa.int32()),
        ("format", pa.string()),  # Pillow's name of what the bytes are, whatever the file is called
        ("mode", pa.string()),  # Pillow mode as stored
        ("perceptual_hash", pa.string()),  # 64-bit pHash, 16 hex digits; empty when turned off
    ]
)

# manifest/samples.parquet: one row per (task, image) of the pool as it is now, sorted by sample_id.
SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("uri", pa.string()),
        ("source", pa.string()),  # path of the source that named it first
        ("record_ids", pa.list_(pa.string())),
        ("near_duplicate_of", pa.string()),  # image_sha of the image kept first, or empty
    ]
)

# manifest/quarantine.parquet: every record that did not become (part of) a sample.
QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("record_id", pa.string()),
        ("image", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)

# */dropped.parquet: samples that a later stage left out.
DROPPED = pa.schema([("sample_id", pa.string()), ("reason", pa.string()), ("detail", pa.string())])

# reference/reference.parquet and baselines: chosen without scores.
CHOSEN = pa.schema([("sample_id", pa.string()), ("task", pa.string()), ("image_sha", pa.string())])

# instructions/*/instructions.parquet, sorted by sample_id.
INSTRUCTIONS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("request_id", pa.string()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("turns", TURNS),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("price_usd", pa.float64()),
        ("attempts", pa.int32()),
    ]
)

# reference_model/training_log.parquet and model/training_log.parquet: one row per logged optimiser update.
# No clock times: equal work gives equal files.
TRAINING_LOG = pa.schema(
    [
        ("step", pa.int64()),
        ("epoch", pa.float64()),
        ("loss", pa.float64()),  # mean negative log-likelihood per response token
        ("learning_rate", pa.float64()),
        ("gradient_norm", pa.float64()),
    ]
)

# scores/scores.parquet
SCORES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("loss_with_question", pa.float64()),  # Eq. 1, nats per response token
        ("loss_without_question", pa.float64()),  # Eq. 2
        ("instruction_relevance_score", pa.float64()),  # Eq. 3; lower: the question matters more
        ("response_tokens", pa.int64()),
    ]
)

# scores/importance.parquet, sorted by task.
IMPORTANCE = pa.schema(
    [
        ("task", pa.string()),
        ("samples", pa.int64()),  # reference samples that carry a score
        ("score", pa.float64()),  # s(T), mean IRS; lower: more important
        ("weight", pa.float64()),  # w, sums to 1 over tasks
    ]
)

# clusters/clusters.parquet: every sample that has a vector, sorted by sample_id.
CLUSTERS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("cluster", pa.int64()),  # within the task, from 0, by size descending
        ("distance", pa.float32()),  # Euclidean distance of the normalised vector to its centroid
    ]
)

# clusters/centroids.parquet
CENTROIDS = pa.schema(
    [
        ("task", pa.string()),
        ("cluster", pa.int64()),
        ("size", pa.int64()),
        ("centroid", pa.list_(pa.float32())),
    ]
)

# allocation/allocation.parquet, sorted by task, cluster.
ALLOCATION = pa.schema(
    [
        ("task", pa.string()),
        ("cluster", pa.int64()),
        ("size", pa.int64()),  # all images of the cluster
        ("available", pa.int64()),  # without reference images
        ("share", pa.float64()),  # w |A_c| / |T| |D_S| before rounding, images
        ("quota", pa.int64()),  # images to pick
    ]
)

# selection/selection.parquet: every clustered sample, sorted by sample_id, with all that `presel explain` says of it.
SELECTION = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("cluster", pa.int64()),
        ("is_reference", pa.bool_()),
        ("centrality", pa.float64()),  # Eq. 7; higher wins; NaN for reference images
        ("rank", pa.int64()),  # within the cluster's available images, from 1; 0 for reference images
        ("quota", pa.int64()),  # of its cluster
        ("picked", pa.bool_()),
        ("reason", pa.string()),
    ]
)

# training_set/samples.parquet, sorted by sample_id; train.json and messages.parquet hold the same samples.
TRAINING_SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("uri", pa.string()),
        ("origin", pa.string()),  # reference | selection | random | full
        ("turns", TURNS),
    ]
)

# benchmark/*/predictions.parquet
PREDICTIONS = pa.schema(
    [
        ("set", pa.string()),
        ("record_id", pa.string()),
        ("turn", pa.int64()),
        ("image", pa.string()),
        ("question", pa.string()),
        ("references", pa.list_(pa.string())),
        ("prediction", pa.string()),
        ("score", pa.float64()),  # 0 to 1, higher is better
    ]
)

# benchmark/*/metrics.parquet: one row per set.
METRICS = pa.schema(
    [
        ("set", pa.string()),
        ("metric", pa.string()),
        ("score", pa.float64()),  # 0 to 1, higher is better
        ("questions", pa.int64()),
        ("left_out", pa.int64()),  # questions whose image is in the training set too
    ]
)
