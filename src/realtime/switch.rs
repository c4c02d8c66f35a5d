//! The ears of a node: what is heard goes to whoever has the topic.

use std::sync::{Arc, OnceLock, Weak};

use super::bus::Ears;

/// Those who hear, each by the beginnings of its topics. They are made after the bus, which needs ears to begin with.
#[derive(Default)]
pub struct Switch {
    routes: OnceLock<Vec<Route>>,
}

/// Who hears which topics.
pub struct Route {
    /// Whether a topic is theirs.
    pub is_theirs: fn(&str) -> bool,
    /// They. They hold the bus, and so this.
    pub ears: Weak<dyn Ears>,
}

impl Switch {
    /// From now on these hear. What came before is lost, as anything may be; they are told that it was.
    pub fn connect(&self, routes: Vec<Route>) {
        if self.routes.set(routes).is_ok() {
            self.disturbed();
        }
    }

    fn all(&self) -> impl Iterator<Item = Arc<dyn Ears>> {
        self.routes.get().into_iter().flatten().filter_map(|route| route.ears.upgrade())
    }
}

impl Ears for Switch {
    fn heard(&self, topic: &str, message: &[u8]) {
        let mut routes = self.routes.get().into_iter().flatten();
        if let Some(ears) = routes.find(|route| (route.is_theirs)(topic)).and_then(|route| route.ears.upgrade()) {
            ears.heard(topic, message);
        }
    }

    fn disturbed(&self) {
        self.all().for_each(|ears| ears.disturbed());
    }

    fn away(&self) {
        self.all().for_each(|ears| ears.away());
    }
}
