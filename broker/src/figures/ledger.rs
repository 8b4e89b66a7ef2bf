//! A recorder for tests, since those of one process share the global one.
#![allow(clippy::unwrap_used)]

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Keeps what is recorded on the threads where it is set, by name and labels.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Line {
    ledger: Ledger,
    name: String,
}

impl Ledger {
    /// A counter's or a gauge's value.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.0.lock().unwrap().get(name).into_iter().flatten().sum()
    }

    /// How many values a histogram has.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().get(name).map_or(0, Vec::len)
    }

    fn line(&self, key: &Key) -> Arc<Line> {
        let labels: String = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()))
            .collect();
        Arc::new(Line {
            ledger: self.clone(),
            name: format!("{}{labels}", key.name()),
        })
    }
}

impl Line {
    fn add(&self, value: f64) {
        let mut lines = self.ledger.0.lock().unwrap();
        lines.entry(self.name.clone()).or_default().push(value);
    }
}

impl CounterFn for Line {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {
        unimplemented!("no counter here is set");
    }
}

impl GaugeFn for Line {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        let mut lines = self.ledger.0.lock().unwrap();
        lines.insert(self.name.clone(), vec![value]);
    }
}

impl HistogramFn for Line {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Ledger {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.line(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.line(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.line(key))
    }
}
