"""The columns of every table that a stage writes. One place, so that a reader finds what a file holds."""

import pyarrow as pa

SCHEMA_VERSION = 2

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

# manifest/records.parquet: one row per record file or folder, in the order of the sources. records = samples + merged +
# quarantined, in every row.
RECORDS = pa.schema(
    [
        ("source", pa.string()),
        ("records", pa.int64()),  # entries, with one for each place where a file breaks off
        ("samples", pa.int64()),  # that a record of this source was the first to name
        ("merged", pa.int64()),  # further records of a sample's image and task
        ("quarantined", pa.int64()),
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

# instructions/*/attempts.parquet: every time one of the artifact's requests was sent, sorted by sample_id, number.
# No clock times and no names of runs: what was bought once gives the same file wherever it is exported.
ATTEMPT_ROWS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("request_id", pa.string()),
        ("number", pa.int32()),  # from 1
        ("kind", pa.string()),  # first | retry | repair | witness
        ("outcome", pa.string()),  # asked | answered | failed | unusable | refused | unknown | lost
        ("provider", pa.string()),
        ("model", pa.string()),  # who was asked
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("price_usd", pa.float64()),
        ("may_cost_usd", pa.float64()),  # dollars at most, said before it was sent
        ("error", pa.string()),
        ("raw_text", pa.string()),
    ]
)

# In the report and the plan, sorted by task: the estimate of what was bought beside what it came to.
INSTRUCTION_COSTS = pa.schema(
    [
        ("task", pa.string()),
        ("requests", pa.int64()),
        ("estimated_input_tokens", pa.int64()),
        ("estimated_output_tokens", pa.int64()),
        ("estimated_usd", pa.float64()),
        ("answered", pa.int64()),
        ("attempts", pa.int64()),
        ("input_tokens", pa.int64()),  # of all attempts
        ("output_tokens", pa.int64()),
        ("price_usd", pa.float64()),
        ("uncertain_usd", pa.float64()),  # at most, of attempts whose outcome nobody knows
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

# reference_model/tuned_on.parquet, sorted by sample_id: what the reference model was tuned on, whenever that was.
TUNED_ON = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("instruction", pa.string()),  # digest of the turns
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
        ("size", pa.int64()),  # images it is the mean of; those assigned to it later are not among them
        ("centroid", pa.list_(pa.float32())),
    ]
)

# clusters/tasks.parquet, sorted by task: how each task came to its clusters. The numbers of the drift test are NaN
# where there was nothing to compare.
CLUSTERED_TASKS = pa.schema(
    [
        ("task", pa.string()),
        ("verdict", pa.string()),  # new | kept | clustered again
        ("reason", pa.string()),
        ("old_images", pa.int64()),  # that shaped the earlier centroids
        ("new_images", pa.int64()),  # that came since and were assigned to them
        ("old_mean", pa.float64()),  # squared distance, each to its centroid without itself
        ("new_mean", pa.float64()),  # squared distance to the nearest centroid
        ("ratio", pa.float64()),  # new over old; above 1: the new lie further off
        ("p_value", pa.float64()),  # one-sided
        ("fitted", pa.int64()),  # images that the centroids are means of now
        ("images_per_cluster", pa.int64()),  # as they were asked for then
        ("encoder", pa.string()),  # whose vectors
    ]
)

# clusters/assigned.parquet, sorted by sample_id: images that came after the clusters were made and did not shape them.
ASSIGNED = pa.schema([("sample_id", pa.string())])

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

# allocation/kept.parquet, sorted by task, cluster: every cluster that keeps images of an earlier curation.
KEPT_QUOTAS = pa.schema(
    [
        ("task", pa.string()),
        ("cluster", pa.int64()),
        ("kept", pa.int64()),
        ("due", pa.int64()),  # its quota if nothing were kept anywhere
        ("over", pa.int64()),  # kept beyond that
    ]
)

# selection/selection.parquet: every sample the strategy could pick, sorted by sample_id; one form for all strategies.
SELECTION = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("cluster", pa.int64()),  # presel, size_balanced: within the task; coincide: of the pool; others: -1
        ("is_reference", pa.bool_()),  # presel; false in every other strategy
        # presel, size_balanced: neighbour centrality, Eq. 7, higher wins, NaN for reference images; tive: influence;
        # coincide: mean kernel similarity to its cluster, higher is more typical; others: NaN.
        ("score", pa.float64()),
        # presel, size_balanced: by score within the cluster, from 1, 0 for reference images; tive: by score within the
        # task; coincide: place in the order of picks within the cluster, 0 if not picked; others: 0.
        ("rank", pa.int64()),
        ("quota", pa.int64()),  # images to pick from its cluster (presel, size_balanced, coincide), task or pool
        ("picked", pa.bool_()),
        ("copies", pa.int64()),  # times it is trained on; above 1 only in TIVE's profile `released`
        ("reason", pa.string()),
    ]
)

# influence/influence.parquet: every sample that has a gradient, sorted by sample_id (TIVE).
INFLUENCE = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("gradient_norm", pa.float64()),  # L2, before the projection
        ("influence", pa.float64()),  # mean cosine to the gradients of its task, itself included, -1 to 1
        ("probability", pa.float64()),  # of a draw within the task, softmax(q * influence); sums to 1 over the task
    ]
)

# influence/difficulty.parquet, sorted by task (TIVE).
DIFFICULTY = pa.schema(
    [
        ("task", pa.string()),
        ("samples", pa.int64()),  # that have a gradient
        ("difficulty", pa.float64()),  # mean self-influence; higher: more of the budget
        ("share", pa.float64()),  # difficulty / sum over tasks
        ("quota", pa.int64()),  # samples to train on, repeats included
        ("uniform_distance", pa.float64()),  # total variation between `probability` and uniform, 0 to 1
    ]
)

# concepts/concepts.parquet: every sample that has activations, sorted by sample_id (COINCIDE).
CONCEPTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("image_sha", pa.string()),
        ("cluster", pa.int64()),  # of the whole pool, from 0, by size descending
        ("similarity", pa.float32()),  # cosine to its centroid, -1 to 1
    ]
)

# concepts/centroids.parquet (COINCIDE).
CONCEPT_CENTROIDS = pa.schema(
    [
        ("cluster", pa.int64()),
        ("size", pa.int64()),
        ("centroid", pa.list_(pa.float32())),  # unit length
    ]
)

# concept_shares/shares.parquet, sorted by cluster (COINCIDE).
CONCEPT_SHARES = pa.schema(
    [
        ("cluster", pa.int64()),
        ("size", pa.int64()),
        ("transferability", pa.float64()),  # S_c, mean cosine of centroids; higher: more of the budget
        ("density", pa.float64()),  # D_c, mean Gaussian kernel; lower: more of the budget
        ("share", pa.float64()),  # P_c, sums to 1
        ("quota", pa.int64()),
    ]
)

# concept_shares/typicality.parquet, sorted by sample_id (COINCIDE).
TYPICALITY = pa.schema(
    [
        ("sample_id", pa.string()),
        (
            "typicality",
            pa.float64(),
        ),  # mean Gaussian kernel with its cluster, itself included; higher: more typical
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
        ("copies", pa.int64()),  # times it is trained on
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
        ("left_out", pa.int64()),  # questions whose image is in the pool
    ]
)

# comparison.parquet of `presel compare`: one row per strategy and seed.
COMPARISON = pa.schema(
    [
        ("strategy", pa.string()),
        ("seed", pa.int64()),
        ("average", pa.float64()),  # mean of the sets' scores, 0 to 1, higher is better
        ("relative", pa.float64()),  # Rel., percent of the full tune of the same seed; null without one
        ("instructions", pa.int64()),  # needed to choose and to tune
        ("cost_usd", pa.float64()),
        ("images", pa.int64()),  # tuned on
        ("selection_seconds", pa.float64()),  # computing, instructions not counted
        ("tuning_seconds", pa.float64()),
        ("sets", pa.list_(pa.struct([("set", pa.string()), ("score", pa.float64())]))),
    ]
)
