//! Where Redis is: what stands in `redis.url`.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

/// One server, or several that are found through each other.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// One server.
    Server(ConnectionInfo),
    /// The master of that name, for which each of these sentinels can be asked.
    Sentinel { sentinels: Vec<ConnectionInfo>, master: String, like: ConnectionInfo },
    /// A cluster, of which each of these servers knows the others.
    Cluster { seeds: Vec<ConnectionInfo> },
}

/// What is said of an address that is none. Never the address itself: it holds a password.
const FORMS: &str = "it must be like redis://:password@host:6379/0, rediss://host:6379, unix:/path, \
                     redis+sentinel://host1:26379,host2:26379/master-name or redis+cluster://host1:6379,host2:6379";

impl Address {
    /// Reads an address. With `rediss` in the place of `redis` everything is asked by TLS. What stands before an `@` is
    /// the credential at the Redis servers; sentinels are asked with `?sentinel_password=`, or without any.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').ok_or_else(|| wrong("it has no scheme"))?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, "server"));
        match (scheme, kind) {
            ("redis" | "rediss" | "unix", "server") => Ok(Self::Server(one(url)?)),
            ("redis" | "rediss", "sentinel") => Parts::of(scheme, rest)?.sentinel(),
            ("redis" | "rediss", "cluster") => Parts::of(scheme, rest)?.cluster(),
            _ => Err(wrong("its scheme is unknown")),
        }
    }
}

/// The pieces of an address of many.
struct Parts<'a> {
    scheme: &'a str,
    credential: &'a str,
    hosts: Vec<&'a str>,
    path: Vec<&'a str>,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(scheme: &'a str, rest: &'a str) -> Result<Self, String> {
        let rest = rest.strip_prefix("//").ok_or_else(|| wrong("it has no hosts"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credential, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(wrong("one of its hosts is empty"));
        }
        let path = path.split('/').filter(|part| !part.is_empty()).collect();
        Ok(Self { scheme, credential, hosts, path, query })
    }

    fn sentinel(self) -> Result<Address, String> {
        let (master, database) = match self.path[..] {
            [master] => (master, "0"),
            [master, database] => (master, database),
            _ => return Err(wrong("it does not say which master the sentinels are asked for")),
        };
        let like = one(&format!("{}://{}/{database}", self.scheme, self.with_credential(self.hosts[0])))?;
        let password = match self.query.split_once('=') {
            Some(("sentinel_password", password)) => format!(":{password}@"),
            Some(_) => return Err(wrong("after its question mark only sentinel_password is known")),
            None if self.query.is_empty() => String::new(),
            None => return Err(wrong("nothing stands after its question mark")),
        };
        let sentinels = self.hosts.iter().map(|host| {
            let port = if has_port(host) { "" } else { ":26379" };
            one(&format!("{}://{password}{host}{port}", self.scheme)).map(with_resp2)
        });
        Ok(Address::Sentinel { sentinels: sentinels.collect::<Result<_, _>>()?, master: master.to_owned(), like })
    }

    fn cluster(self) -> Result<Address, String> {
        if !self.path.is_empty() {
            return Err(wrong("a cluster has no numbered databases"));
        }
        let seeds = self.hosts.iter().map(|host| one(&format!("{}://{}", self.scheme, self.with_credential(host))));
        Ok(Address::Cluster { seeds: seeds.collect::<Result<_, _>>()? })
    }

    fn with_credential(&self, host: &str) -> String {
        if self.credential.is_empty() { host.to_owned() } else { format!("{}@{host}", self.credential) }
    }
}

/// Whether a host is followed by a port; the colons of an IPv6 address stand in brackets.
fn has_port(host: &str) -> bool {
    host.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

/// One server's address. Version 3 of its protocol lets messages and answers share a connection.
fn one(url: &str) -> Result<ConnectionInfo, String> {
    let info = url.into_connection_info().map_err(|error| wrong(error.category()))?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

/// What may be older than the servers that it watches.
fn with_resp2(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    info.set_redis_settings(settings)
}

/// The server at another host and port that is asked as this one is.
pub(super) fn elsewhere(like: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let addr = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    let settings: RedisConnectionInfo = like.redis_settings().clone();
    like.clone().set_addr(addr).set_redis_settings(settings)
}

fn wrong(why: &str) -> String {
    format!("redis.url is no address of a Redis server ({why}): {FORMS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server() {
        for url in ["redis://h", "redis://:p%40w@h:1/2", "rediss://u:p@h", "unix:/run/redis.sock", "unix:///run/r.sock"]
        {
            assert!(matches!(Address::parse(url), Ok(Address::Server(_))), "{url}");
        }
        let Ok(Address::Server(info)) = Address::parse("redis://:p%40w@h:1/2") else { panic!("a server") };
        assert_eq!(info.addr().to_string(), "h:1");
        assert_eq!((info.redis_settings().password(), info.redis_settings().db()), (Some("p@w"), 2));
    }

    #[test]
    fn sentinels() {
        let url = "redis+sentinel://u:p@a:1,b,[::1]/mymaster/3?sentinel_password=s";
        let Ok(Address::Sentinel { sentinels, master, like }) = Address::parse(url) else { panic!("sentinels") };
        let at: Vec<_> = sentinels.iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(at, ["a:1", "b:26379", "::1:26379"]);
        assert!(sentinels.iter().all(|info| info.redis_settings().password() == Some("s")));
        assert_eq!((master.as_str(), like.redis_settings().db()), ("mymaster", 3));
        assert_eq!((like.redis_settings().username(), like.redis_settings().password()), (Some("u"), Some("p")));
    }

    #[test]
    fn clusters() {
        let Ok(Address::Cluster { seeds }) = Address::parse("rediss+cluster://:p@a:1,b") else { panic!("a cluster") };
        assert!(seeds.iter().all(|seed| matches!(seed.addr(), ConnectionAddr::TcpTls { .. })));
        assert!(seeds.iter().all(|seed| seed.redis_settings().password() == Some("p")));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "",
            "hunter2",
            "http://:hunter2@h",
            "redis+more://:hunter2@h",
            "redis://",
            "redis://:hunter2@h/x",
            "redis+sentinel://:hunter2@h",
            "redis+sentinel://:hunter2@h,/m",
            "redis+sentinel://:hunter2@h/m?password=hunter2",
            "redis+cluster://:hunter2@h/1",
            "redis+cluster:h",
        ] {
            let said = Address::parse(url).expect_err(url);
            assert!(said.starts_with("redis.url ") && !said.contains("hunter2"), "{said}");
        }
    }
}
