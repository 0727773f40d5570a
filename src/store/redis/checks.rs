//! What the server must be, read from what it tells about itself.

use super::error::OpenError;

/// The first version whose scripts propagate errors as they are and whose `SET` knows all that is asked of it.
const LEAST_VERSION: u32 = 7;

/// What is asked of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checks {
    /// Whether it must write an append-only file.
    pub(super) append_only: bool,
    /// Whether settings that it does not tell are taken as good.
    pub(super) trust: bool,
}

impl Checks {
    /// Judges a server by its answer to `INFO`.
    ///
    /// `INFO` tells all that `CONFIG GET` would, and managed services that forbid `CONFIG` allow it.
    pub(super) fn judge(self, info: &str) -> Result<(), OpenError> {
        let field = |name: &str| {
            info.lines().find_map(|line| line.trim_end().split_once(':').filter(|(key, _)| *key == name))
        };
        let value = |name: &str| field(name).map(|(_, value)| value);
        version(value("redis_version"), self.trust)?;
        self.setting("role", value("role"), "master", "")?;
        self.setting("maxmemory-policy", value("maxmemory_policy"), "noeviction", "")?;
        if self.append_only {
            let append_only = value("aof_enabled").map(|enabled| if enabled == "1" { "yes" } else { "no" });
            let otherwise = ", or claims are lost with a restart: accept that with .accept_loss_on_restart()";
            self.setting("appendonly", append_only, "yes", otherwise)?;
        }
        Ok(())
    }

    fn setting(
        self,
        setting: &'static str,
        value: Option<&str>,
        must_be: &'static str,
        otherwise: &'static str,
    ) -> Result<(), OpenError> {
        match value {
            Some(value) if value == must_be => Ok(()),
            Some(value) => Err(OpenError::Setting { setting, value: shown(value), must_be, otherwise }),
            None if self.trust => Ok(()),
            None => Err(OpenError::SettingUnknown { setting, must_be }),
        }
    }
}

fn version(found: Option<&str>, trust: bool) -> Result<(), OpenError> {
    let Some(found) = found else {
        let unknown = OpenError::SettingUnknown { setting: "redis_version", must_be: "7 or newer" };
        return if trust { Ok(()) } else { Err(unknown) };
    };
    let major = found.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= LEAST_VERSION => Ok(()),
        _ => Err(OpenError::Version { found: shown(found), least: LEAST_VERSION }),
    }
}

/// Whether the server is one of several that divide the keys among them.
pub(super) fn is_cluster(info: &str) -> bool {
    info.lines().any(|line| line.trim_end() == "cluster_enabled:1")
}

/// Judges a cluster by its answer to `CLUSTER INFO`: one connection reaches one shard.
pub(super) fn judge_cluster(info: &str) -> Result<(), OpenError> {
    let size = info.lines().find_map(|line| line.trim_end().strip_prefix("cluster_size:"));
    match size {
        Some("1") => Ok(()),
        other => Err(OpenError::Setting {
            setting: "cluster_size",
            value: shown(other.unwrap_or("unknown")),
            must_be: "1",
            otherwise: ", or the URL must lead to a proxy that routes keys to their shards",
        }),
    }
}

/// Text from outside, escaped and cut.
fn shown(text: &str) -> String {
    text.chars().take(128).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Checks = Checks { append_only: true, trust: false };
    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\r\n# \
                        Persistence\r\naof_enabled:1\r\n\r\n# Replication\r\nrole:master\r\n";

    #[test]
    fn a_server_that_keeps_claims_is_accepted() {
        assert_eq!(STRICT.judge(GOOD), Ok(()));
        let valkey = GOOD.replace("7.0.15", "7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1");
        assert_eq!(STRICT.judge(&valkey), Ok(()));
    }

    #[test]
    fn a_refusal_names_the_setting_its_value_and_what_it_must_be() {
        let cases = [
            ("noeviction", "allkeys-lru", "maxmemory-policy = allkeys-lru: it must be noeviction"),
            ("aof_enabled:1", "aof_enabled:0", "appendonly = no: it must be yes, or claims are lost"),
            ("master", "slave", "role = slave: it must be master"),
            ("7.0.15", "6.2.14", "version \"6.2.14\": it must be 7 or newer"),
            ("7.0.15", "new", "version \"new\""),
        ];
        for (good, bad, said) in cases {
            let error = STRICT.judge(&GOOD.replace(good, bad)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_the_server_does_not_tell_must_be_trusted_by_name() {
        let silent = GOOD.replace("maxmemory_policy", "hidden");
        let unknown = OpenError::SettingUnknown { setting: "maxmemory-policy", must_be: "noeviction" };
        assert_eq!(STRICT.judge(&silent), Err(unknown));
        let trusting = Checks { trust: true, ..STRICT };
        assert_eq!(trusting.judge(&silent), Ok(()));
        assert!(trusting.judge(&GOOD.replace("noeviction", "allkeys-lru")).is_err(), "what is told counts");
    }

    #[test]
    fn a_quota_needs_no_append_only_file() {
        let quota = Checks { append_only: false, trust: false };
        assert_eq!(quota.judge(&GOOD.replace("aof_enabled:1", "aof_enabled:0")), Ok(()));
    }

    #[test]
    fn a_cluster_of_several_shards_is_refused() {
        assert!(is_cluster("# Cluster\r\ncluster_enabled:1\r\n"));
        assert!(!is_cluster("# Cluster\r\ncluster_enabled:0\r\n"));
        assert_eq!(judge_cluster("cluster_state:ok\r\ncluster_size:1\r\n"), Ok(()));
        assert!(judge_cluster("cluster_state:ok\r\ncluster_size:3\r\n").is_err());
    }
}
