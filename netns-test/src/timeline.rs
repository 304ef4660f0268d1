//! A layer of `tracing` that puts spans and events on the timeline of a test's report.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id};
use tracing_core::{Event as TracingEvent, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::sys::lock::lock;

/// Layer of [`tracing_subscriber`] for the report of a failed test (feature `tracing`): events, and
/// the begin and end of spans, are on its timeline, each with the node of the thread that it comes
/// from. Of a test that passes nothing is shown. Outside of a test body nothing is noted.
///
/// Each test body is a process of its own, so each sets the subscriber itself. With a filter, less
/// is noted: after the first MiB, later events are only counted.
///
/// ```
/// use netns_test::TimelineLayer;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(TimelineLayer::new());
/// # let _ = subscriber;
/// // tracing::subscriber::set_global_default(subscriber)
/// ```
#[derive(Debug, Default)]
pub struct TimelineLayer {
    spans: Mutex<HashMap<u64, Span>>,
}

/// A span that is open.
#[derive(Debug)]
struct Span {
    /// Its name after those around it: `request:query`.
    path: String,
    start: Instant,
}

/// Most characters of a text.
const MOST: usize = 1000;

impl TimelineLayer {
    /// Returns a layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn path(&self, span: Option<&Id>) -> String {
        let spans = lock(&self.spans);
        let span = span.and_then(|id| spans.get(&id.into_u64()));
        span.map(|span| span.path.clone()).unwrap_or_default()
    }
}

impl<S: Subscriber> Layer<S> for TimelineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !log::is_kept() {
            return;
        }
        let current = context.current_span();
        let around = match attributes.parent() {
            None if attributes.is_contextual() => current.id(),
            parent => parent,
        };
        let (around, name) = (self.path(around), attributes.metadata().name());
        let path = if around.is_empty() { name.to_owned() } else { format!("{around}:{name}") };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        note(EventKind::Span, &format!("{path} begins{}", fields.more));
        lock(&self.spans).insert(id.into_u64(), Span { path, start: Instant::now() });
    }

    fn on_event(&self, event: &TracingEvent<'_>, context: Context<'_, S>) {
        if !log::is_kept() {
            return;
        }
        let current = context.current_span();
        let span = match event.parent() {
            None if event.is_contextual() => current.id(),
            parent => parent,
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (metadata, path) = (event.metadata(), self.path(span));
        let (level, target) = (metadata.level(), metadata.target());
        let within = if path.is_empty() { path } else { format!(" (in {path})") };
        let Fields { message, more } = fields;
        note(EventKind::Traced, &format!("{level} {target}: {message}{more}{within}"));
    }

    fn on_close(&self, id: Id, _context: Context<'_, S>) {
        let closed = lock(&self.spans).remove(&id.into_u64());
        if let Some(Span { path, start }) = closed {
            let after = start.elapsed().as_secs_f64();
            note(EventKind::Span, &format!("{path} ends after {after:.3} s"));
        }
    }
}

/// Notes a text, in one line.
fn note(kind: EventKind, text: &str) {
    let line = |letter: char| if letter.is_control() { ' ' } else { letter };
    log::note_limited(|| {
        Event::of(kind, "", text.chars().take(MOST).map(line).collect::<String>())
    });
}

/// Values of an event or span.
#[derive(Default)]
struct Fields {
    message: String,
    /// The others, each as ` key=value`.
    more: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.add(name, format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.add(name, format_args!("{value:?}")),
        }
    }
}

impl Fields {
    fn add(&mut self, name: &str, value: fmt::Arguments<'_>) {
        write!(self.more, " {name}={value}").expect("a String takes every text");
    }
}
