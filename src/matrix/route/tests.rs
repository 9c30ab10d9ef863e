use http::Method;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::{Action, EventType, Route, recognise};

const ALICE: &str = "@alice:example.org";

fn put(path: &str) -> Option<Route> {
    recognise(&Method::PUT, path)
}

const fn write_of(event_type: EventType) -> (Action, EventType) {
    (Action::Write, event_type)
}

fn what(route: Option<Route>) -> Option<(Action, EventType)> {
    route.map(|route| (route.action, route.event_type))
}

#[test]
fn both_types_are_recognised_under_every_version_that_a_homeserver_serves() {
    for version in ["r0", "v3", "unstable"] {
        for event_type in EventType::ALL {
            let path = format!(
                "/_matrix/client/{version}/user/{ALICE}/account_data/{}",
                event_type.as_str()
            );
            assert_eq!(what(put(&path)), Some(write_of(event_type)), "{path}");
            let route = recognise(&Method::GET, &path).unwrap();
            assert_eq!(route.action, Action::Read);
            assert_eq!(
                recognise(&Method::HEAD, &path).unwrap().action,
                Action::Read
            );
            assert_eq!(route.claimed_user.unwrap().as_str(), ALICE);
        }
    }
}

#[test]
fn percent_encoding_of_the_variable_segments_is_seen_through_once() {
    for path in [
        "/_matrix/client/v3/user/%40alice%3Aexample.org/account_data/m%2Ekey_backup",
        "/_matrix/client/v3/user/%40%61%6c%69%63%65%3aexample.org/account_data/%6d.key%5Fbackup",
    ] {
        let route = put(path).unwrap();
        assert_eq!(route.event_type, EventType::Stable);
        assert_eq!(route.claimed_user.unwrap().as_str(), ALICE);
    }
    // Twice encoded is another type to every homeserver.
    assert_eq!(
        put("/_matrix/client/v3/user/a/account_data/m%252Ekey_backup"),
        None
    );
}

#[test]
fn an_encoded_slash_forges_no_segment() {
    assert_eq!(
        put("/_matrix/client/v3/user/@a:b%2Faccount_data%2Fm.key_backup"),
        None
    );
    assert_eq!(
        put("/_matrix/client/v3/user/@a:b/account_data/x%2Fm.key_backup"),
        None
    );
    assert_eq!(
        put("/_matrix/client/v3/user/@a:b/account_data/m.key_backup%2Fx"),
        None
    );
    // Inside the user it is part of the user.
    let route = put("/_matrix/client/v3/user/%40a%2Fb%3Ah/account_data/m.key_backup").unwrap();
    assert_eq!(route.claimed_user.unwrap().as_str(), "@a/b:h");
}

#[test]
fn what_follows_a_further_slash_does_not_matter() {
    for rest in ["/", "/x", "/../y", "//", "/%2e%2e", "/m.other"] {
        let path = format!("/_matrix/client/v3/user/@a:b/account_data/m.key_backup{rest}");
        assert_eq!(
            what(put(&path)),
            Some(write_of(EventType::Stable)),
            "{path}"
        );
    }
}

#[test]
fn whoever_the_path_names_it_is_guarded() {
    for (user, known) in [
        ("@alice:example.org", true),
        ("alice", false),
        ("", false),
        ("@alice", false),
        ("@alice:", false),
        ("%ff%40a:b", false),
        ("%40a%00:b", true),
        (&format!("@{}:b", "a".repeat(252)), true),
        (&format!("@{}:b", "a".repeat(253)), false),
    ] {
        let path = format!("/_matrix/client/v3/user/{user}/account_data/m.key_backup");
        assert_eq!(put(&path).unwrap().claimed_user.is_some(), known, "{user}");
    }
}

#[test]
fn a_delete_clears_on_its_own_route_only() {
    let delete = |path: &str| what(recognise(&Method::DELETE, path));
    let clear = Some((Action::Clear, EventType::Stable));
    let base = "/_matrix/client/unstable/org.matrix.msc3391/user/@a:b/account_data/m.key_backup";
    assert_eq!(delete(base), clear);
    assert_eq!(delete(&format!("{base}/x")), clear);
    assert_eq!(
        delete("/_matrix/client/unstable/user/@a:b/account_data/m.key_backup"),
        None
    );
    assert_eq!(
        delete("/_matrix/client/v3/org.matrix.msc3391/user/@a:b/account_data/m.key_backup"),
        None,
    );
    assert_eq!(put(base), None);
}

#[test]
fn other_methods_pass() {
    let path = "/_matrix/client/v3/user/@a:b/account_data/m.key_backup";
    for method in ["OPTIONS", "POST", "PATCH", "DELETE", "put", "Put", "PUTX"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(recognise(&method, path), None, "{method}");
    }
}

#[test]
fn what_no_homeserver_honours_passes() {
    for path in [
        "",
        "/",
        "*",
        "_matrix/client/v3/user/@a:b/account_data/m.key_backup",
        "//_matrix/client/v3/user/@a:b/account_data/m.key_backup",
        "/_matrix//client/v3/user/@a:b/account_data/m.key_backup",
        "/_matrix/client/v3//user/@a:b/account_data/m.key_backup",
        "/_matrix/client/v3/user/@a:b//account_data/m.key_backup",
        "/_matrix/client/v3/user/@a:b/account_data//m.key_backup",
        "/_matrix/client/v3/./user/@a:b/account_data/m.key_backup",
        "/x/../_matrix/client/v3/user/@a:b/account_data/m.key_backup",
        "/_matrix/client/v1/user/@a:b/account_data/m.key_backup",
        "/_matrix/client/V3/user/@a:b/account_data/m.key_backup",
        "/_Matrix/client/v3/user/@a:b/account_data/m.key_backup",
        "/%5fmatrix/client/v3/user/@a:b/account_data/m.key_backup",
        "/_matrix/client/v3/%75ser/@a:b/account_data/m.key_backup",
        "/_matrix/client/v3/user/@a:b/account%5Fdata/m.key_backup",
        "/_matrix/client/v3/user/@a:b/account_data/M.key_backup",
        "/_matrix/client/v3/user/@a:b/account_data/m.key_backup;x",
        "/_matrix/client/v3/user/@a:b/account_data/m.key_backup%00",
        "/_matrix/client/v3/user/@a:b/account_data/m.key_backup%20",
        "/_matrix/client/v3/user/@a:b/account_data/%c0%ad.key_backup",
        "/_matrix/client/v3/user/@a:b/account_data/m.key_backup%",
        "/_matrix/client/v3/user/@a:b/account_data/",
        "/_matrix/client/v3/user/@a:b/account_data",
        "/_matrix/client/v3/user/@a:b/rooms/!r:b/account_data/m.key_backup",
        "/_synapse/admin/v1/users/@a:b/accountdata",
    ] {
        assert_eq!(put(path), None, "{path}");
    }
}

/// A way to write one character of a segment.
fn spelt(char: char) -> impl Strategy<Value = String> {
    (0..3).prop_map(move |how| match how {
        0 => char.to_string(),
        1 => format!("%{:02x}", u32::from(char)),
        _ => format!("%{:02X}", u32::from(char)),
    })
}

proptest! {
    #[test]
    fn no_path_panics(path in any::<String>()) {
        put(&path);
        put(&format!("/_matrix/client/v3/user/{path}"));
    }

    #[test]
    fn every_encoding_of_the_type_is_recognised(
        stable in any::<bool>(),
        parts in EventType::Unstable.as_str().chars().map(spelt).collect::<Vec<_>>(),
        stable_parts in EventType::Stable.as_str().chars().map(spelt).collect::<Vec<_>>(),
    ) {
        let (event_type, parts) =
            if stable { (EventType::Stable, stable_parts) } else { (EventType::Unstable, parts) };
        let path = format!("/_matrix/client/r0/user/@a:b/account_data/{}", parts.concat());
        prop_assert_eq!(what(put(&path)), Some(write_of(event_type)));
    }

    #[test]
    fn what_is_recognised_decodes_to_one_of_the_types(segment in "[a-z_.%0-9A-F]{0,40}") {
        let path = format!("/_matrix/client/v3/user/@a:b/account_data/{segment}");
        let decoded: Vec<u8> = percent_decode_str(&segment).collect();
        let is_ours = EventType::ALL.iter().any(|it| it.as_str().as_bytes() == decoded);
        prop_assert_eq!(put(&path).is_some(), is_ours);
    }
}
