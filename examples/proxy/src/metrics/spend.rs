//! The spend by the names of keys and projects (`--spend-metrics`).
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::listings::seconds_since_1970;

/// The labels of one series.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpendLabels {
    /// `today` or `month`.
    pub period: &'static str,
    pub api_key_name: String,
    pub project_name: String,
    pub currency: String,
}

/// The result of one run.
#[derive(Clone, Debug, Default)]
pub struct SpendSample {
    pub series: Vec<(SpendLabels, f64)>,
    /// True if all costs and names were read.
    pub is_complete: bool,
    /// The time of the end of the run. `None` before the first one.
    pub read_at: Option<SystemTime>,
}

/// The last result. All of its series are replaced at once.
#[derive(Clone, Debug, Default)]
pub struct SpendMetrics {
    last: Arc<RwLock<SpendSample>>,
}

impl SpendMetrics {
    /// Replaces the series.
    pub fn replace(&self, sample: SpendSample) {
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = sample;
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for SpendMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sample = self.last.read().unwrap_or_else(PoisonError::into_inner);
        let Some(read_at) = sample.read_at else { return Ok(()) };
        let help = "Costs of today and of this month (UTC) by the names of the key and the project";
        let mut metric = encoder.encode_descriptor("spend", help, None, MetricType::Gauge)?;
        for (labels, amount) in &sample.series {
            metric.encode_family(labels)?.encode_gauge(amount)?;
        }
        let help = "1 if all costs and names were read";
        let mut complete = encoder.encode_descriptor("spend_complete", help, None, MetricType::Gauge)?;
        complete.encode_gauge(&i64::from(sample.is_complete))?;
        let help = "Time at which the costs were read";
        let mut time = encoder.encode_descriptor("spend_timestamp_seconds", help, None, MetricType::Gauge)?;
        time.encode_gauge(&seconds_since_1970(read_at))
    }
}
