//! Addresses of keys, which come from strangers.

use http::Uri;

use crate::rejection::Rejection;

/// Bytes of an address that a stranger names: twice what the longest known one has.
const LONGEST: usize = 512;

/// The URL that `text` is, where it is `https` with a host and a path that are admitted, and nothing else: no port, no user, no
/// query, no escape, no empty segment, no way up.
pub(super) fn pinned(
    text: &str,
    host: impl Fn(&str) -> bool,
    path: impl Fn(&str) -> bool,
) -> Result<Uri, Rejection> {
    let refuse = |fault| Err(Rejection::KeyUrlRefused { fault });
    if text.len() > LONGEST {
        return refuse("it is too long");
    }
    let Some(rest) = text.strip_prefix("https://") else { return refuse("it is not https") };
    let Some(slash) = rest.find('/') else { return refuse("it has no path") };
    let (given_host, given_path) = rest.split_at(slash);
    if !is_host(given_host) || !host(given_host) {
        return refuse("its host is not the provider's");
    }
    if !is_plain_path(given_path) || !path(given_path) {
        return refuse("its path is not one of the provider's");
    }
    text.parse().or_else(|_| refuse("it is no URL"))
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    !host.is_empty() && host.split('.').all(label)
}

fn is_plain_path(path: &str) -> bool {
    let plain =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.');
    path.bytes().all(plain)
        && path
            .strip_prefix('/')
            .is_some_and(|path| path.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// `sns.<region>.amazonaws.com`, in China with `.cn` behind; the region.
pub(super) fn sns_region(host: &str) -> Option<&str> {
    let rest = host.strip_prefix("sns.")?;
    let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
    is_region(region).then_some(region)
}

/// `us-east-1`, `us-gov-west-1`. More is not let through: `sns.s3-us-west-2.amazonaws.com` is what somebody keeps in a bucket
/// named `sns`.
fn is_region(region: &str) -> bool {
    let Some((words, number)) = region.rsplit_once('-') else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (2..=3).contains(&words.split('-').count()) && words.split('-').all(is_word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sns(text: &str) -> bool {
        pinned(text, |host| sns_region(host).is_some(), |path| path.ends_with(".pem")).is_ok()
    }

    #[test]
    fn addresses_of_the_provider_pass() {
        for good in [
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem",
            "https://sns.us-gov-west-1.amazonaws.com/a.pem",
            "https://sns.ap-southeast-4.amazonaws.com/a.pem",
        ] {
            assert!(sns(good), "{good}");
        }
    }

    #[test]
    fn addresses_that_only_look_like_it_are_refused() {
        let long = format!("https://sns.us-east-1.amazonaws.com/{}.pem", "a".repeat(600));
        for bad in [
            "",
            "https://",
            "http://sns.us-east-1.amazonaws.com/a.pem",
            "HTTPS://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com/a.crt",
            "https://sns.us-east-1.amazonaws.com/a.pem?x=1",
            "https://sns.us-east-1.amazonaws.com/a.pem#.pem",
            "https://sns.us-east-1.amazonaws.com/../a.pem",
            "https://sns.us-east-1.amazonaws.com//a.pem",
            "https://sns.us-east-1.amazonaws.com/a//b.pem",
            "https://sns.us-east-1.amazonaws.com/%2e%2e/a.pem",
            "https://sns.us-east-1.amazonaws.com:8443/a.pem",
            "https://sns.us-east-1.amazonaws.com@evil.test/a.pem",
            "https://user:sns.us-east-1.amazonaws.com@evil.test/a.pem",
            "https://evil.test\\@sns.us-east-1.amazonaws.com/a.pem",
            "https://evil.test/sns.us-east-1.amazonaws.com/a.pem",
            "https://evil.test?.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.evil.test/a.pem",
            "https://sns.us-east-1.amazonaws.com./a.pem",
            "https://SNS.us-east-1.amazonaws.com/a.pem",
            "https://xsns.us-east-1.amazonaws.com/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns.s3.amazonaws.com/a.pem",
            "https://sns.s3-us-west-2.amazonaws.com/a.pem",
            "https://sns.s3-website-us-west-2.amazonaws.com/a.pem",
            "https://sns.s3-accelerate.amazonaws.com/a.pem",
            "https://sns.s3.us-west-2.amazonaws.com/a.pem",
            "https://sns.us-west.amazonaws.com/a.pem",
            "https://sns.amazonaws.com/a.pem",
            "https://sns..amazonaws.com/a.pem",
            "https://sns.-us.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.cn.cn/a.pem",
            "https://sns.us-east-1.аmazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/a\r\n.pem",
            "https://s3.us-east-1.amazonaws.com/a.pem",
            " https://sns.us-east-1.amazonaws.com/a.pem",
            &long,
        ] {
            assert!(!sns(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_asked_for_at_the_host_that_was_checked(text in "https://[a-z.@:/?#-]{0,24}/[a-z./%]{0,8}") {
            let checked = std::cell::RefCell::new(String::new());
            let keep = |host: &str| { host.clone_into(&mut checked.borrow_mut()); true };
            if let Ok(url) = pinned(&text, keep, |_| true) {
                let checked = checked.borrow().clone();
                prop_assert_eq!(url.host(), Some(&*checked));
                prop_assert_eq!(url.port(), None);
                prop_assert_eq!(url.query(), None);
            }
        }
    }
}
