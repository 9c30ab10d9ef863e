//! Opening connects to nothing, and says which key of the configuration is wrong.

use key_backup_gateway::audit::store::Config;
use key_backup_gateway::audit::{self, check, open, open_existing};

use super::bench::config;

fn refusal(config: &Config) -> (&'static str, String) {
    let error = check(config, &audit::Config::default()).expect_err("the configuration is wrong");
    // Where there is no runtime this would be a panic, if it were not refused.
    assert_eq!(
        open(config).err().map(|error| error.to_string()),
        Some(error.to_string())
    );
    (error.key(), error.to_string())
}

#[tokio::test]
async fn a_database_that_is_away_is_no_error() {
    // Port 9 is the discard service's: nobody is there.
    for url in [
        "postgres://alice:secret@127.0.0.1:9/trail",
        "postgresql://127.0.0.1:9/trail",
    ] {
        assert_eq!(
            open(&config(url)).is_ok(),
            cfg!(feature = "postgres"),
            "{url}"
        );
    }
    for url in [
        "sqlite:/not/there/trail.db",
        "sqlite:///not/there/trail.db",
        "sqlite:trail.db",
    ] {
        assert_eq!(
            open(&config(url)).is_ok(),
            cfg!(feature = "sqlite"),
            "{url}"
        );
    }
}

#[test]
fn a_malformed_url_names_its_key_and_no_password() {
    for url in [
        "",
        "trail.db",
        "mysql://u:hunter2@localhost/trail",
        "hunter2",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite:trail.db?password=hunter2",
        "sqlite:file:trail.db",
        "postgres://u:hunter2@localhost:port/trail",
        "postgres://u:hunter2@localhost/trail?sslmode=hunter2",
        "postgres://u:hunter2@localhost/trail?pasword=hunter2",
        "postgres://u:/hunter2@localhost/trail",
        "postgres://u:p?hunter2=1@localhost/trail",
        "postgres://u:hunter2@a,,b/trail",
        "postgres://u:hunter2@a:1,b:port/trail",
        "postgres://u:hunter2@localhost/trail?host=a,b",
        "postgres://u:hunter2@localhost/trail?sslmode=verify-full",
        "postgres://u:hunter2@localhost/trail?sslcert=/dev/null",
        "postgres://u:hunter2@localhost/trail?sslrootcert=/not/there",
        "postgres://u:hunter2@localhost/trail?sslrootcert=/dev/null",
    ] {
        let (key, text) = refusal(&config(url));
        assert_eq!(key, "database.url", "{url}");
        assert!(text.starts_with("database.url: "), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_reader_does_not_make_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.db");
    let error = open_existing(&config(&format!("sqlite:{}", file.display())))
        .err()
        .unwrap();

    assert_eq!(error.key(), "database.url");
    assert!(
        error.to_string().contains("trail.db") || !cfg!(feature = "sqlite"),
        "{error}"
    );
    assert!(!file.exists());
}

#[cfg(feature = "postgres")]
#[test]
fn a_password_file_that_cannot_be_read_names_its_key() {
    let config = Config {
        password_file: Some("/not/there/password".into()),
        ..config("postgres://alice@localhost/trail")
    };
    let (key, text) = refusal(&config);

    assert_eq!(key, "database.password_file");
    assert!(text.contains("/not/there/password"), "{text}");
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_takes_no_password_file() {
    let config = Config {
        password_file: Some("x".into()),
        ..config("sqlite:trail.db")
    };

    assert_eq!(refusal(&config).0, "database.password_file");
}
