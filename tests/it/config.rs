//! The configuration: the sample holds the defaults, every mistake is named, later layers win.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use key_backup_gateway::config::{Config, Error, Flag, Listen, Needs, Sources, sections};
use key_backup_gateway::policy::{Choice, Mode};
use secrecy::ExposeSecret as _;

const SAMPLE: &str = "deploy/gateway.toml";
/// Stands where a password would, in fixtures and here.
const PLANTED: &str = "PLANTED-SECRET";

fn load(sources: Sources) -> Result<Config, Error> {
    Config::load(sources, Needs::Origin)
}

fn file(path: impl AsRef<Path>) -> Sources {
    Sources {
        file: Some(path.as_ref().to_owned()),
        ..Sources::default()
    }
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let os = |text: &str| OsString::from(text);
    let all = [("KEY_BACKUP_GATEWAY__ORIGIN__URL", "http://origin:1")];
    let all = all
        .iter()
        .chain(variables)
        .map(|(name, value)| (os(name), os(value)));
    Sources {
        environment: all.collect(),
        ..Sources::default()
    }
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("tests/data/config/{folder}")).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{folder} holds no fixture");
    paths
}

/// What is said of the variable `name` holding `value`.
fn said_of(name: &str, value: &str) -> String {
    load(environment(&[(name, value)]))
        .expect_err("a mistake")
        .to_string()
}

/// Where clients come in, as it is written.
fn listen(config: &Config) -> Vec<String> {
    let listen = config.server.listen.iter();
    listen.map(ToString::to_string).collect()
}

#[test]
fn the_sample_holds_the_defaults() {
    let mut defaults = Config::default();
    defaults.origin.url = Some("http://127.0.0.1:8008".to_owned());
    let sample = load(file(SAMPLE)).unwrap();
    assert_eq!(format!("{sample:#?}"), format!("{defaults:#?}"));
    assert_eq!(
        sample.database.url.expose_secret(),
        defaults.database.url.expose_secret()
    );
}

#[test]
fn the_sample_names_every_key() {
    let text = fs::read_to_string(SAMPLE)
        .unwrap()
        .replace("# password_file", "password_file")
        .replace("# ca_file", "ca_file")
        .replace("# durability", "durability")
        .replace("# workers", "workers")
        .replace("\n# name =", "\nname =")
        .replace("\n# key_file =", "\nkey_file =")
        .replace("\n# file =", "\nfile =")
        .replace("\n# endpoint =", "\nendpoint =");
    let sample: toml::Table = text.parse().unwrap();
    assert_eq!(sample.len(), sections().len());
    for (section, keys) in sections() {
        assert!(!keys.is_empty(), "{section} has no keys");
        for key in keys {
            assert!(
                sample[section].get(key).is_some(),
                "{section}.{key} is not in the sample"
            );
        }
        assert_eq!(
            sample[section].as_table().unwrap().len(),
            keys.len(),
            "{section}"
        );
    }
}

#[test]
fn every_valid_file_is_taken() {
    for path in fixtures("valid") {
        let loaded = load(file(&path));
        assert!(
            loaded.is_ok(),
            "{}: {}",
            path.display(),
            loaded.unwrap_err()
        );
    }
}

/// The first line of each fixture says which key the mistake is about.
#[test]
fn every_invalid_file_is_refused_by_name() {
    for path in fixtures("invalid") {
        let text = fs::read_to_string(&path).unwrap();
        let key = text.lines().next().unwrap().trim_start_matches("# ");
        let error = load(file(&path)).expect_err(&format!("{} is taken", path.display()));
        let [mistake] = error.mistakes() else {
            panic!("{}: {error}", path.display())
        };
        assert!(
            mistake.key == key || mistake.key.ends_with(&format!("/{key}")),
            "{key}: {error}"
        );
        assert!(
            error.to_string().contains(&format!("{key}: ")),
            "{key}: {error}"
        );
        assert!(
            !error.to_string().contains(PLANTED),
            "{}: {error}",
            path.display()
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_one_mistake() {
    let error = load(file("tests/data/config/none.toml")).unwrap_err();
    assert_eq!(error.mistakes().len(), 1, "{error}");
    assert!(
        error
            .to_string()
            .contains("tests/data/config/none.toml: cannot be read"),
        "{error}"
    );
}

#[test]
fn all_mistakes_are_found_at_once_and_each_names_its_key_and_place() {
    let sources = Sources {
        file: Some("tests/data/config/invalid/mode-unknown.toml".into()),
        environment: vec![
            ("KEY_BACKUP_GATEWAY__AUDIT__MODE".into(), "maybe".into()),
            (
                "KEY_BACKUP_GATEWAY__SERVER__LISTN".into(),
                "127.0.0.1:1".into(),
            ),
            ("KEY_BACKUP_GATEWAY__TLS__KEY".into(), "x".into()),
            ("KEY_BACKUP_GATEWAY__ORIGIN".into(), "x".into()),
            ("KEY_BACKUP_GATEWAY_UNRELATED".into(), "x".into()),
        ],
        flags: vec![Flag {
            name: "--origin",
            key: ("origin", "url"),
            text: "ftp://example.org".to_owned(),
        }],
    };
    let error = load(sources).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.mistakes().len(), 6, "{said}");
    for (key, place) in [
        (
            "policy.mode",
            "(in tests/data/config/invalid/mode-unknown.toml)",
        ),
        ("audit.mode", "(KEY_BACKUP_GATEWAY__AUDIT__MODE)"),
        (
            "server.listn",
            "did you mean `listen`? (KEY_BACKUP_GATEWAY__SERVER__LISTN)",
        ),
        ("tls.key", "(KEY_BACKUP_GATEWAY__TLS__KEY)"),
        ("KEY_BACKUP_GATEWAY__ORIGIN", "names no key"),
        ("origin.url", "(--origin)"),
    ] {
        let is_said = |line: &str| line.starts_with(&format!("  {key}: ")) && line.contains(place);
        assert!(said.lines().any(is_said), "{key}, {place}: {said}");
    }
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let mut sources = file("tests/data/config/valid/postgres.toml");
    sources.environment = vec![
        (
            "KEY_BACKUP_GATEWAY__ORIGIN__URL".into(),
            "http://variable:1".into(),
        ),
        (
            "KEY_BACKUP_GATEWAY__SERVER__LISTEN".into(),
            "127.0.0.1:1, 127.0.0.1:2".into(),
        ),
    ];
    sources.flags = vec![Flag {
        name: "--listen",
        key: ("server", "listen"),
        text: "127.0.0.1:3,[::1]:4".to_owned(),
    }];
    let config = load(sources).unwrap();
    assert_eq!(config.origin.url.as_deref(), Some("http://variable:1"));
    assert_eq!(listen(&config), ["127.0.0.1:3", "[::1]:4"]);
    assert_eq!(
        config.policy.mode,
        Mode::Observe,
        "what nobody overrides stands"
    );
}

#[test]
fn variables_take_text_literals_and_comma_separated_lists() {
    let config = load(environment(&[
        ("KEY_BACKUP_GATEWAY__POLICY__BODY_LIMIT", "4_096"),
        ("KEY_BACKUP_GATEWAY__POLICY__CLEAR", "refuse"),
        ("KEY_BACKUP_GATEWAY__DATABASE__MIGRATE", "false"),
        ("KEY_BACKUP_GATEWAY__DATABASE__URL", "sqlite:5"),
        ("KEY_BACKUP_GATEWAY__SERVER__DRAIN", "5s"),
        ("KEY_BACKUP_GATEWAY__SERVER__TRUSTED_PROXIES", ""),
        (
            "KEY_BACKUP_GATEWAY__SERVER__LISTEN",
            r#"["127.0.0.1:1", "127.0.0.1:2"]"#,
        ),
    ]))
    .unwrap();
    assert_eq!(config.policy.body_limit, 4096);
    assert_eq!(config.policy.clear, Choice::Refuse);
    assert!(!config.database.migrate);
    assert_eq!(config.database.url.expose_secret(), "sqlite:5");
    assert_eq!(config.server.drain, Duration::from_secs(5));
    assert_eq!(config.server.trusted_proxies, []);
    assert_eq!(config.server.listen.len(), 2);
}

#[test]
fn a_listener_is_an_address_or_a_table() {
    let config = load(file("tests/data/config/valid/listeners.toml")).unwrap();
    assert_eq!(
        listen(&config),
        [
            "0.0.0.0:8009",
            "[::]:8009",
            "fd:clients",
            "unix:/run/key-backup-gateway/plain.sock",
            "unix:/run/key-backup-gateway/clients.sock",
            "unix:/run/key-backup-gateway/octal.sock",
            "127.0.0.1:8010",
            "127.0.0.1:8443",
            "fd:tls",
        ]
    );
    let [.., plain, clients, octal, proxied, secure, passed] = &config.server.listen[..] else {
        unreachable!("there are nine")
    };
    assert_eq!(*plain, Listen::plain(plain.address.clone()));
    assert_eq!((clients.mode, clients.proxy_protocol), (Some(0o666), true));
    assert_eq!((octal.mode, octal.proxy_protocol), (Some(0o600), false));
    assert!(proxied.proxy_protocol && proxied.tls.is_none());
    let tls = secure.tls.as_ref().unwrap();
    assert_eq!(tls.key_file, Path::new("tests/data/config/password"));
    assert!(passed.proxy_protocol && passed.tls.is_some());
}

#[test]
fn flags_and_variables_take_sockets_of_all_kinds() {
    let name = "KEY_BACKUP_GATEWAY__SERVER__LISTEN";
    let config = load(environment(&[(
        name,
        "[::1]:1,unix:/run/a.sock, fd:clients",
    )]))
    .unwrap();
    assert_eq!(
        listen(&config),
        ["[::1]:1", "unix:/run/a.sock", "fd:clients"]
    );
    let literal = r#"[{ address = "unix:/run/a.sock", mode = "0666" }]"#;
    let config = load(environment(&[(name, literal)])).unwrap();
    assert_eq!(config.server.listen[0].mode, Some(0o666));
}

#[test]
fn what_is_wrong_with_a_listener_is_said_with_what_to_write() {
    let said = |value| said_of("KEY_BACKUP_GATEWAY__SERVER__LISTEN", value);
    for (value, expected) in [
        ("127.0.0.1", r#"write "HOST:PORT""#),
        (
            "unix:a.sock",
            r#"with a file's whole path from "/", of at most 100 bytes"#,
        ),
        ("fd:", "with the FileDescriptorName= of a systemd socket"),
        (
            r#"[{ address = "unix:/a", mode = true }]"#,
            r#"permissions in octal, as in "0660""#,
        ),
        (
            r#"[{ address = "127.0.0.1:1", mode = "0600" }]"#,
            "only a unix socket",
        ),
        (
            r#"[{ adress = "127.0.0.1:1" }]"#,
            "expected one of `address`, `mode`, `tls`",
        ),
        (
            "[5]",
            "an address, or a table of address, mode, tls, proxy_protocol",
        ),
        (
            r#"[{ address = "127.0.0.1:1", tls = { certificate_file = "/none", key_file = "/none" } }]"#,
            "127.0.0.1:1: /none cannot be read: No such file",
        ),
    ] {
        let said = said(value);
        assert!(
            said.contains("server.listen: ") && said.contains(expected),
            "{said}"
        );
    }
}

#[test]
fn a_wrong_variable_is_told_what_its_key_takes() {
    let said = said_of("KEY_BACKUP_GATEWAY__DATABASE__MAX_CONNECTIONS", "many");
    assert!(
        said.contains("database.max_connections: invalid type"),
        "{said}"
    );
    let said = said_of(
        "KEY_BACKUP_GATEWAY__SERVER__TRUSTED_PROXIES",
        "10.0.0.0/8,nowhere",
    );
    assert!(
        said.contains("server.trusted_proxies: \"nowhere\" is not a network"),
        "{said}"
    );
    let said = said_of("KEY_BACKUP_GATEWAY__AUDIT__DEADLINE", "2");
    assert!(
        said.contains("audit.deadline: ") && said.contains("\"30s\""),
        "{said}"
    );
}

#[test]
fn tokens_of_auditors_are_plain_strings_in_the_environment() {
    let name = "KEY_BACKUP_GATEWAY__ADMIN__TOKENS";
    let (one, other) = ("a1".repeat(32), "b2".repeat(32));
    let both = format!("auditor:sha256:{one}, reader:sha256:{other}");
    let config = load(environment(&[(name, &both)])).unwrap();
    let written: Vec<_> = config
        .admin
        .tokens
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        written,
        [
            format!(r#"{{ role = "auditor", hash = "sha256:{one}" }}"#),
            format!(r#"{{ role = "reader", hash = "sha256:{other}" }}"#),
        ]
    );
    let list = format!("[{}]", written[0]);
    let config = load(environment(&[(name, &list)])).unwrap();
    assert_eq!(config.admin.tokens.len(), 1);
    assert!(
        load(environment(&[(name, "")]))
            .unwrap()
            .admin
            .tokens
            .is_empty()
    );

    for wrong in [
        format!("kbg_{PLANTED}"),
        format!("auditor:kbg_{PLANTED}"),
        format!("kbg_{PLANTED}:sha256:{one}"),
        format!("{PLANTED}:sha256:{one}"),
        format!("auditor:{PLANTED}"),
        format!("auditor:sha256:{one},auditor:sha256:{one}"),
    ] {
        let said = said_of(name, &wrong);
        assert!(
            said.contains("admin.tokens: ") && !said.contains(PLANTED) && !said.contains(&one),
            "{said}"
        );
    }
}

#[test]
fn only_what_needs_an_origin_misses_it() {
    let error = load(Sources::default()).unwrap_err();
    assert_eq!(error.mistakes().len(), 1, "{error}");
    assert!(error.to_string().contains("origin.url: missing"), "{error}");
    assert!(Config::load(Sources::default(), Needs::Database).is_ok());
}

#[test]
fn no_secret_is_shown() {
    let url = format!("postgres://gateway:{PLANTED}@localhost/audit");
    let name = "KEY_BACKUP_GATEWAY__DATABASE__URL";
    let config = load(environment(&[(name, &url)])).unwrap();
    assert_eq!(config.database.url.expose_secret(), url);
    assert!(!format!("{config:?}").contains(PLANTED));
    let said = said_of(
        name,
        &format!("postgers://gateway:{PLANTED}@localhost/audit"),
    );
    assert!(
        said.contains("database.url: ") && !said.contains(PLANTED),
        "{said}"
    );
    let said = said_of(
        "KEY_BACKUP_GATEWAY__ORIGIN__URL",
        &format!("http://u:{PLANTED}@host"),
    );
    assert!(
        said.contains("origin.url: ") && !said.contains(PLANTED),
        "{said}"
    );
}
