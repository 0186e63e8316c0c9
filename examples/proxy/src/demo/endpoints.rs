//! The endpoints of the cost and usage reports.

/// One endpoint: the numbers in its rows, and the members for grouping.
pub(super) struct DemoReport {
    pub path: &'static str,
    pub object: &'static str,
    pub numbers: &'static [&'static str],
    pub groups: &'static [&'static str],
    /// Pairs of model and line item.
    pub models: &'static [(&'static str, &'static str)],
}

pub(super) const COSTS: DemoReport = DemoReport {
    path: "costs",
    object: "organization.costs.result",
    numbers: &["amount"],
    groups: &["project_id", "line_item", "api_key_id", "user_id"],
    models: &[
        ("gpt-5-2025-08-07", "gpt-5-2025-08-07, input"),
        ("gpt-5-2025-08-07", "gpt-5-2025-08-07, output"),
        ("text-embedding-3-large", "text-embedding-3-large, input"),
    ],
};

const BY_MODEL: &[&str] = &["project_id", "user_id", "api_key_id", "model"];

pub(super) const USAGE: [DemoReport; 10] = [
    DemoReport {
        path: "completions",
        object: "organization.usage.completions.result",
        numbers: &[
            "input_tokens",
            "output_tokens",
            "input_cached_tokens",
            "input_audio_tokens",
            "output_audio_tokens",
            "num_model_requests",
        ],
        groups: &["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"],
        models: &[("gpt-5-2025-08-07", ""), ("gpt-5-mini-2025-08-07", "")],
    },
    DemoReport {
        path: "embeddings",
        object: "organization.usage.embeddings.result",
        numbers: &["input_tokens", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("text-embedding-3-large", ""), ("text-embedding-3-small", "")],
    },
    DemoReport {
        path: "moderations",
        object: "organization.usage.moderations.result",
        numbers: &["input_tokens", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("omni-moderation-latest", "")],
    },
    DemoReport {
        path: "images",
        object: "organization.usage.images.result",
        numbers: &["images", "num_model_requests"],
        groups: &["project_id", "user_id", "api_key_id", "model", "size", "source"],
        models: &[("gpt-image-1", "")],
    },
    DemoReport {
        path: "audio_speeches",
        object: "organization.usage.audio_speeches.result",
        numbers: &["characters", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("gpt-4o-mini-tts", "")],
    },
    DemoReport {
        path: "audio_transcriptions",
        object: "organization.usage.audio_transcriptions.result",
        numbers: &["seconds", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("gpt-4o-transcribe", "")],
    },
    DemoReport {
        path: "vector_stores",
        object: "organization.usage.vector_stores.result",
        numbers: &["usage_bytes"],
        groups: &["project_id"],
        models: &[("", "")],
    },
    DemoReport {
        path: "code_interpreter_sessions",
        object: "organization.usage.code_interpreter_sessions.result",
        numbers: &["num_sessions"],
        groups: &["project_id"],
        models: &[("", "")],
    },
    DemoReport {
        path: "file_search_calls",
        object: "organization.usage.file_searches.result",
        numbers: &["num_requests"],
        groups: &["project_id", "user_id", "api_key_id", "vector_store_id"],
        models: &[("", "")],
    },
    DemoReport {
        path: "web_search_calls",
        object: "organization.usage.web_searches.result",
        numbers: &["num_model_requests", "num_requests"],
        groups: &["project_id", "user_id", "api_key_id", "model", "context_level"],
        models: &[("gpt-5-2025-08-07", "")],
    },
];
