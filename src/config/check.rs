//! What of the configuration types cannot check.

use super::{Attachments, Cluster, Config, ObjectStoreName, Redis, Store};

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        let mut positive = self.positive().into_iter().chain(self.knowledge.positive());
        if let Some((name, _)) = positive.find(|(_, value)| *value == 0) {
            return Err(format!("{name} must be at least 1"));
        }
        if self.http.head_bytes_max < 8192 {
            return Err("http.head_bytes_max must be at least 8192".to_owned());
        }
        if self.sockets.fanout_threads > 64 {
            return Err("sockets.fanout_threads must be at most 64; 0 is one a core".to_owned());
        }
        if self.sockets.outbox_bytes_max < 64 << 10 {
            return Err("sockets.outbox_bytes_max must be at least 65536".to_owned());
        }
        if let Some(wrong) = self.http.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!(
                "http.cors_origins: {wrong:?} is neither \"*\" nor an origin like https://example.com"
            ));
        }
        if let Some(wrong) = self.sockets.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!("sockets.origins: {wrong:?} is neither \"*\" nor an origin like https://example.com"));
        }
        if let Some(wrong) = self.neptun.models.iter().find(|name| !is_model(name)) {
            return Err(format!("neptun.models: {wrong:?} is no name like publisher/model"));
        }
        if !self.mail.smtp_url.is_empty() && self.mail.from.is_empty() {
            return Err("mail.from must say who letters come from when mail.smtp_url is set".to_owned());
        }
        self.assistant.check()?;
        self.store.check()?;
        self.redis.check()?;
        self.cluster.check()?;
        self.knowledge.check()?;
        self.budgets.check()?;
        self.attachments.check()
    }

    /// What must not be 0.
    fn positive(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("http.connections_max", self.http.connections_max as u64),
            ("http.streams_max", self.http.streams_max as u64),
            ("http.heartbeat_s", self.http.heartbeat_s),
            ("http.streams_recheck_s", self.http.streams_recheck_s),
            ("http.head_timeout_s", self.http.head_timeout_s),
            ("http.body_timeout_s", self.http.body_timeout_s),
            ("http.write_timeout_s", self.http.write_timeout_s),
            ("sockets.connections_max", self.sockets.connections_max as u64),
            ("sockets.messages_per_second", u64::from(self.sockets.messages_per_second)),
            ("sockets.messages_burst", u64::from(self.sockets.messages_burst)),
            ("sockets.ping_s", self.sockets.ping_s),
            ("sockets.pong_s", self.sockets.pong_s),
            ("store.readers", self.store.readers as u64),
            ("store.queue", self.store.queue as u64),
            ("store.batch_max", self.store.batch_max as u64),
            ("store.pool", self.store.pool as u64),
            ("store.lanes", self.store.lanes as u64),
            ("redis.wait_ms", self.redis.wait_ms),
            ("redis.queue", self.redis.queue as u64),
            ("redis.queue_bytes_max", self.redis.queue_bytes_max as u64),
            ("cluster.beat_s", self.cluster.beat_s),
            ("cluster.polls_per_second", u64::from(self.cluster.polls_per_second)),
            ("heads.events_max", self.heads.events_max as u64),
            ("guest.message_chars_max", self.guest.message_chars_max as u64),
            ("chats.message_chars_max", self.chats.message_chars_max as u64),
            ("pigeons.message_chars_max", self.pigeons.message_chars_max as u64),
            ("pusher.activity_timeout_s", self.pusher.activity_timeout_s),
            ("pusher.client_events_per_second", u64::from(self.pusher.client_events_per_second)),
            ("neptun.message_chars_max", self.neptun.message_chars_max as u64),
            ("neptun.file_chars_max", self.neptun.file_chars_max as u64),
            ("neptun.batch_max", self.neptun.batch_max as u64),
            ("openai.message_chars_max", self.openai.message_chars_max as u64),
            ("openai.messages_max", self.openai.messages_max as u64),
            ("openai.body_bytes_max", self.openai.body_bytes_max as u64),
            ("aisdk.message_chars_max", self.aisdk.message_chars_max as u64),
            ("aisdk.messages_max", self.aisdk.messages_max as u64),
            ("aisdk.body_bytes_max", self.aisdk.body_bytes_max as u64),
            ("neptun.models", self.neptun.models.len() as u64),
            ("assistant.runs_max", self.assistant.runs_max as u64),
            ("assistant.runs_per_conversation_max", self.assistant.runs_per_conversation_max as u64),
            ("assistant.runs_per_user_max", self.assistant.runs_per_user_max as u64),
            ("assistant.runs_per_tenant_max", self.assistant.runs_per_tenant_max as u64),
            ("assistant.prompt_tokens_max", self.assistant.prompt_tokens_max as u64),
            ("assistant.tokens_max", u64::from(self.assistant.tokens_max)),
            ("assistant.connect_timeout_s", self.assistant.connect_timeout_s),
            ("assistant.first_token_timeout_s", self.assistant.first_token_timeout_s),
            ("assistant.idle_timeout_s", self.assistant.idle_timeout_s),
            ("assistant.retry_first_ms", self.assistant.retry_first_ms),
            ("assistant.event_bytes_max", self.assistant.event_bytes_max as u64),
            ("budgets.keep_days", self.budgets.keep_days),
            ("accounts.sign_in_free_tries", u64::from(self.accounts.sign_in_free_tries)),
            ("accounts.session_hours", self.accounts.session_hours),
            ("accounts.ticket_minutes", self.accounts.ticket_minutes),
            ("attachments.bytes_max", self.attachments.bytes_max),
            ("attachments.uploads_max", self.attachments.uploads_max as u64),
            ("attachments.uploads_per_user_max", self.attachments.uploads_per_user_max as u64),
            ("attachments.upload_timeout_s", self.attachments.upload_timeout_s),
            ("webhooks.open_max", self.webhooks.open_max),
            ("webhooks.at_once", self.webhooks.at_once as u64),
            ("webhooks.per_endpoint_at_once", self.webhooks.per_endpoint_at_once as u64),
            ("webhooks.timeout_s", self.webhooks.timeout_s),
            ("webhooks.retry_first_s", self.webhooks.retry_first_s),
            ("attachments.thumbnail_px", u64::from(self.attachments.thumbnail_px)),
        ]
    }
}

impl Store {
    fn check(&self) -> Result<(), String> {
        let is_address = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        for (name, url) in [("store.url", &self.url), ("store.replica_url", &self.replica_url)] {
            if !url.is_empty() && !is_address(url) {
                return Err(format!("{name} must be an address like postgres://user:password@db.example.com/roost"));
            }
        }
        if self.url.is_empty() && !self.replica_url.is_empty() {
            return Err("store.replica_url is of use with store.url only".to_owned());
        }
        Ok(())
    }
}

impl Redis {
    fn check(&self) -> Result<(), String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.bytes().all(is_name) {
            return Err("redis.prefix must be 1 to 64 letters, digits and of - _ . :".to_owned());
        }
        Ok(())
    }
}

impl Cluster {
    fn check(&self) -> Result<(), String> {
        if self.lease_s < self.beat_s.saturating_mul(2) {
            return Err("cluster.lease_s must be at least twice cluster.beat_s".to_owned());
        }
        Ok(())
    }
}

impl Attachments {
    fn check(&self) -> Result<(), String> {
        if let Some(wrong) = self.types.iter().find(|allowed| !is_media_type(allowed)) {
            return Err(format!("attachments.types: {wrong:?} is neither a type like \"image/png\" nor \"image/*\""));
        }
        if self.store == ObjectStoreName::Folder {
            return Ok(());
        }
        if self.s3_bucket.is_empty() || self.s3_region.is_empty() {
            return Err("attachments.store = \"s3\" needs attachments.s3_bucket and attachments.s3_region".to_owned());
        }
        let endpoint = self.s3_endpoint.trim_end_matches('/');
        if !endpoint.is_empty() && (endpoint == "*" || !is_origin(endpoint)) {
            return Err("attachments.s3_endpoint must be an address like https://s3.example.com".to_owned());
        }
        if self.s3_access_key.is_empty() != self.s3_secret_key.is_empty() {
            return Err("attachments.s3_access_key and attachments.s3_secret_key are set together".to_owned());
        }
        Ok(())
    }
}

/// Whether that is a media type, or a family of them.
fn is_media_type(allowed: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-+._".contains(&b))
    };
    allowed.split_once('/').is_some_and(|(family, rest)| is_name(family) && (rest == "*" || is_name(rest)))
}

/// Whether a browser could send that as `Origin`: a scheme and a host, perhaps a port, nothing more.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return origin == "*" };
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(is_host)
}

/// Whether that is a publisher and a model of theirs, as they stand in a path.
fn is_model(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    name.split_once('/').is_some_and(|(publisher, model)| is_word(publisher) && is_word(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said() {
        let refused = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().expect_err("refused")
        };
        assert!(refused(&|config| config.store.url = "mysql://db".to_owned()).contains("store.url"));
        assert!(refused(&|config| config.store.replica_url = "postgres://db".to_owned()).contains("replica_url"));
        assert!(refused(&|config| config.redis.prefix = "{x}".to_owned()).contains("redis.prefix"));
        assert!(refused(&|config| config.cluster.lease_s = 5).contains("cluster.lease_s"));
        assert!(refused(&|config| config.redis.wait_ms = 0).contains("redis.wait_ms"));
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["*", "https://example.com", "http://localhost:5173", "https://[::1]:8443"] {
            assert!(is_origin(origin), "{origin}");
        }
        for wrong in ["", "example.com", "https://example.com/", "https://", "ftp://example.com", "https://EXAMPLE.com"]
        {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}
