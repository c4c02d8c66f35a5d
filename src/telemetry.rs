//! Logs and metrics. Never message text, tokens or keys: a request is logged by its route and its
//! trace id, never by its path.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts the log, on standard error.
///
/// # Errors
/// One sentence for the operator when the filter cannot be read or a log was started before.
pub fn start_log(log: &Log) -> Result<(), String> {
    let filter = filter(log)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Pretty => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// What no filter of the operator's lets through: a client library writes the values of every statement, what people say
/// and their keys among them.
const NEVER: [&str; 3] = ["tokio_postgres=warn", "tokio_postgres::query=off", "tokio_postgres::prepare=off"];

/// What to log.
///
/// # Errors
/// One sentence for the operator.
pub fn filter(log: &Log) -> Result<EnvFilter, String> {
    let name = |error: &dyn std::fmt::Display| format!("log.filter: {error}");
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| name(&error))?;
    NEVER.iter().try_fold(filter, |filter, directive| {
        Ok(filter.add_directive(directive.parse().map_err(|error| name(&error))?))
    })
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// What a scrape adds from elsewhere: name, help and value of each figure.
pub type Figures = Vec<(&'static str, &'static str, f64)>;

/// A distribution that is counted elsewhere.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Upper bounds, each with how many fell between the bound before and it. What is larger than
    /// the last bound is counted there.
    pub buckets: Vec<(u64, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl Distribution {
    fn write(&self, text: &mut String) {
        let Self { name, help, .. } = self;
        let _ = writeln!(text, "# HELP roost_{name} {help}.\n# TYPE roost_{name} histogram");
        let mut count = 0;
        for (at, (bound, fell)) in self.buckets.iter().enumerate() {
            count += fell;
            if at + 1 < self.buckets.len() {
                let _ = writeln!(text, "roost_{name}_bucket{{le=\"{bound}\"}} {count}");
            }
        }
        let _ = writeln!(text, "roost_{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "roost_{name}_sum {}\nroost_{name}_count {count}", self.sum);
    }
}

/// The metrics of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabel, Histogram>,
    connections: Gauge,
    streams: Gauge,
    in_flight: AtomicI64,
}

fn latency_histogram() -> Histogram {
    const BUCKETS: [f64; 14] =
        [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
    Histogram::new(BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("roost");
        let requests = Family::default();
        let latency = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        let (connections, streams) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests answered, by route and status", requests.clone());
        registry.register("request_seconds", "Time to the answer's head, by route", latency.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("streams", "Open event streams and long polls", streams.clone());
        Self { registry, requests, latency, connections, streams, in_flight: AtomicI64::new(0) }
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.latency.get_or_create(&RouteLabel { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// Counts a connection for as long as the result lives.
    pub fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts an event stream or long poll for as long as the result lives.
    pub fn stream(&self) -> Counted {
        Counted::new(&self.streams)
    }

    /// Counts a request under way for as long as the result lives.
    pub fn request(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// Everything in OpenMetrics text, with `figures` and `distribution` from elsewhere.
    pub fn render(&self, figures: Figures, distribution: &Distribution) -> String {
        let mut text = String::with_capacity(4096);
        distribution.write(&mut text);
        for (name, help, value) in figures {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            let family = name.strip_suffix("_total").unwrap_or(name);
            let _ = writeln!(text, "# HELP roost_{family} {help}.\n# TYPE roost_{family} {kind}\nroost_{name} {value}");
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let _ = writeln!(
            text,
            "# HELP roost_requests_in_flight Requests under way.\n# TYPE roost_requests_in_flight gauge\n\
             roost_requests_in_flight {in_flight}"
        );
        // The registry ends the text with its end mark, so it comes last.
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}

/// One more on a gauge, until dropped.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One more request under way, until dropped.
#[derive(Debug)]
pub struct InFlight<'m>(&'m AtomicI64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
