//! What a scrape of the metrics shows of parts that no door sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::store::Opened;
use crate::chat::SharedChat;
use crate::descriptors;
use crate::jobs::Outbox;
use crate::limits::{Limit, Limits};
use crate::realtime::Realtime;
use crate::realtime::sockets::SocketStats;
use crate::store::WriterStats;
use crate::telemetry::{Distribution, Figures};
/// What a scrape adds to the metrics from parts that no door sees.
pub(super) fn figures(
    store: Opened,
    realtime: Realtime,
    limits: Arc<Limits>,
    chat: SharedChat,
    outbox: &Arc<Outbox>,
) -> Box<dyn Fn() -> (Figures, Distribution) + Send + Sync> {
    let outbox = Arc::clone(outbox);
    Box::new(move || {
        let (writer, heads) = (store.writer_stats(), realtime.hub.stats());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let mut figures: Figures = vec![
            ("store_writes_queued", "Writes that wait for the writer", count(&writer.queued)),
            ("store_reads_total", "Reads", store.reads() as f64),
            ("store_reads_queued", "Reads that wait for a reader", store.reads_queued() as f64),
            (
                "store_failing",
                "Whether the last commit failed",
                f64::from(u8::from(writer.failing.load(Ordering::Relaxed))),
            ),
            ("heads_conversations", "Conversations in the head table", heads.conversations as f64),
            ("heads_listeners", "Long polls on them", heads.listeners as f64),
            ("followers", "Event streams and others who follow the log", realtime.broker.listeners() as f64),
            ("uploads", "Uploads under way", chat.uploads_under_way() as f64),
            ("runs", "Answers of the assistant under way", chat.runs_under_way() as f64),
            ("vector_bytes", "Bytes of documents' vectors in memory", chat.vector_bytes() as f64),
            ("sign_in_refusals_total", "Tries to sign in that were told to wait", chat.sign_ins_refused() as f64),
        ];
        let posts = outbox.stats();
        figures.extend([
            ("webhook_posts", "Posts to endpoints under way", outbox.under_way() as f64),
            ("webhook_delivered_total", "Deliveries that endpoints took", count(&posts.delivered)),
            ("webhook_failures_total", "Posts to endpoints that failed", count(&posts.failed)),
            ("webhook_given_up_total", "Deliveries that were given up", count(&posts.given_up)),
            ("webhook_overlooked_total", "What happened on channels and was not told", count(&posts.overlooked)),
        ]);
        let budgets = chat.budget_stats();
        figures.extend([
            ("budget_tokens_total", "Tokens that answers took", count(&budgets.tokens)),
            ("budget_money_total", "Money that answers cost, by the price table", count(&budgets.money) / 1e6),
            ("budget_cheaper_total", "Answers given by a cheaper model to keep a budget", count(&budgets.cheaper)),
            ("budget_refusals_total", "Answers for which a budget had no room", count(&budgets.refused)),
            ("budget_lapsed_total", "Reservations of dead nodes that count as spent", count(&budgets.lapsed)),
        ]);
        let refusals = [
            ("limit_send_refusals_total", "Guest sends refused by the rate limit", &limits.send),
            ("limit_poll_refusals_total", "Guest polls refused by the rate limit", &limits.poll),
            ("limit_address_refusals_total", "Requests refused by the limit of their address", &limits.address),
            ("limit_staff_refusals_total", "Staff requests refused by the rate limit", &limits.staff),
            ("limit_typing_refusals_total", "Words of typing refused by the rate limit", &limits.typing),
            ("limit_auth_refusals_total", "Sign-in requests refused by the rate limit", &limits.auth),
            ("limit_neptun_refusals_total", "Requests at the Neptun door refused by the rate limit", &limits.neptun),
            ("limit_openai_refusals_total", "Requests at the OpenAI door refused by the rate limit", &limits.openai),
            ("limit_aisdk_refusals_total", "Requests at the AI SDK door refused by the rate limit", &limits.aisdk),
            ("limit_events_refusals_total", "Requests for endpoints and events refused", &limits.events),
            ("limit_knowledge_refusals_total", "Requests for documents refused", &limits.knowledge),
            ("limit_chats_refusals_total", "Requests at the chats door refused by the rate limit", &limits.chats),
            ("limit_pigeons_refusals_total", "Requests at the Pigeons door refused by the rate limit", &limits.pigeons),
        ];
        let refused = |limit: &Option<Limit>| limit.as_ref().map_or(0.0, |limit| limit.refusals() as f64);
        figures.extend(refusals.map(|(name, help, limit)| (name, help, refused(limit))));
        figures.extend(of_sockets(&realtime.sockets.stats()));
        figures.extend(of_descriptors());
        (figures, batches(writer))
    })
}

fn of_descriptors() -> Figures {
    let (limit, held) = (descriptors::limit(), descriptors::held());
    let free = held.map(|held| limit.saturating_sub(held) as f64);
    let free = free.map(|free| ("descriptors_free", "Descriptors that can still be opened", free));
    let limit = ("descriptors_limit", "Descriptors that this process may hold (ulimit -n)", limit as f64);
    [Some(limit), free].into_iter().flatten().collect()
}

fn of_sockets(stats: &SocketStats) -> Figures {
    vec![
        ("sockets", "Open WebSocket connections", stats.connections as f64),
        ("sockets_channels", "Channels that somebody subscribes to", stats.channels as f64),
        ("sockets_subscriptions", "Subscriptions of channels", stats.subscriptions as f64),
        ("sockets_fanout_bytes", "Bytes that wait for the fan-out threads", stats.fanout_bytes as f64),
        ("sockets_kept_bytes", "Bytes kept for those who subscribe to cache channels", stats.kept_bytes as f64),
        ("sockets_frames_total", "WebSocket frames written", stats.frames_total as f64),
        ("sockets_bytes_total", "Bytes written to WebSocket connections", stats.bytes_total as f64),
        ("sockets_writes_total", "System calls that wrote to WebSocket connections", stats.writes_total as f64),
        ("sockets_slow_total", "WebSocket connections closed for being too slow", stats.slow_total as f64),
        ("sockets_left_total", "WebSocket connections that have ended", stats.left_total as f64),
        ("sockets_refused_total", "WebSocket connections refused for want of room", stats.refused_total as f64),
    ]
}

/// How many writes shared each commit.
fn batches(writer: &WriterStats) -> Distribution {
    let count = |(power, bucket): (usize, &AtomicU64)| (1 << power, bucket.load(Ordering::Relaxed));
    Distribution {
        name: "store_batch_writes",
        help: "Writes that share a commit",
        buckets: writer.batches.iter().enumerate().map(count).collect(),
        sum: writer.commands.load(Ordering::Relaxed),
    }
}
