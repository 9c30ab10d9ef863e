//! The commands, by the binary itself: what they print where, and how they end.

#[cfg(feature = "sqlite")]
mod access;
#[cfg(feature = "sqlite")]
mod alarm;
#[cfg(feature = "sqlite")]
mod kinds;
#[cfg(feature = "postgres")]
mod partitions;
#[cfg(feature = "sqlite")]
mod planted;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod proof;
#[cfg(feature = "sqlite")]
mod same;
#[cfg(feature = "sqlite")]
mod served;
#[cfg(feature = "sqlite")]
mod trail;

use std::process::{Command, Output};

use tempfile::TempDir;

const DONE: i32 = 0;
const USAGE: i32 = 64;
const CONFIG: i32 = 78;

/// A folder with nothing in it, where the binary is run.
struct Desk {
    folder: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

/// What a run left.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

// === impl Desk ===

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn with_file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_key-backup-gateway"));
        command
            .current_dir(self.folder.path())
            .args(line.split_whitespace());
        command.envs(self.variables.iter().copied());
        command
    }

    fn run(&self, line: &str) -> Ran {
        self.command(line).output().unwrap().into()
    }

    fn files(&self) -> usize {
        self.folder.path().read_dir().unwrap().count()
    }
}

// === impl Ran ===

impl Ran {
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn asking_for_help_or_version_is_no_mistake() {
    let ran = Desk::new().run("--version").expect(DONE);
    assert_eq!(
        ran.stdout.trim(),
        concat!("key-backup-gateway ", env!("CARGO_PKG_VERSION"))
    );
    for line in [
        "--help",
        "serve --help",
        "check --help",
        "migrate --help",
        "audit list --help",
        "audit export --help",
        "audit prove --help",
        "audit verify --help",
        "audit keygen --help",
        "audit resume --help",
        "audit token --help",
    ] {
        let ran = Desk::new().run(line).expect(DONE);
        assert!(
            ran.stdout.contains("Usage: key-backup-gateway") && ran.stderr.is_empty(),
            "{ran:?}"
        );
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_usage() {
    for line in [
        "",
        "run",
        "serve --port 80",
        "check extra",
        "audit",
        "audit show",
        "audit show not-an-id",
        "audit list --since yesterday",
        "audit list --until 7",
        "audit list --action delete",
        "audit list --verdict accepted",
        "audit list --outcome ok",
        "audit list --limit -1",
        "audit list --format xml",
    ] {
        let ran = Desk::new().run(line).expect(USAGE);
        assert!(
            ran.stdout.is_empty() && !ran.stderr.is_empty(),
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn without_an_origin_nothing_is_served() {
    for line in ["serve", "check"] {
        let desk = Desk::new();
        let ran = desk.run(line).expect(CONFIG);
        assert!(
            ran.stderr.contains("origin.url: missing") && ran.stdout.is_empty(),
            "{ran:?}"
        );
        assert_eq!(desk.files(), 0);
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_beforehand() {
    let listen =
        r#"{ address = "127.0.0.1:0", tls = { certificate_file = "c.pem", key_file = "k.pem" } }"#;
    let desk = Desk::new()
        .with_file("c.pem", "PLANTED")
        .with_file("k.pem", "PLANTED")
        .with_file("g.toml", &format!("[server]\nlisten = [{listen}]\n"));
    for command in ["check", "serve"] {
        let line = format!(
            "{command} --config g.toml --origin http://127.0.0.1:1 --admin-listen 127.0.0.1:0"
        );
        let ran = desk.run(&line).expect(CONFIG);
        let said = "server.listen, 127.0.0.1:0: c.pem holds no certificate in PEM";
        assert!(ran.stderr.contains(said), "{ran:?}");
        assert!(!ran.stderr.contains("PLANTED"), "{ran:?}");
    }
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let desk = Desk::new();
    let ran = desk
        .run("check --origin http://127.0.0.1:8008")
        .expect(DONE);
    assert_eq!(ran.stdout, "the configuration is good\n");
    assert_eq!(ran.stderr, "");
    assert_eq!(desk.files(), 0, "checking makes no database");
}

#[test]
fn all_mistakes_are_said_at_once() {
    let desk = Desk::new()
        .with_file("gateway.toml", "[policy]\nmode = \"lax\"\n[sever]\n")
        .with_variable("KEY_BACKUP_GATEWAY__LOG__FORMAT", "xml");
    for command in ["serve", "check", "migrate"] {
        let ran = desk
            .run(&format!(
                "{command} --config gateway.toml --listen nowhere --origin ftp://x"
            ))
            .expect(CONFIG);
        for said in [
            "policy.mode: ",
            "(in gateway.toml)",
            "sever: unknown section; did you mean `server`?",
            "log.format: ",
            "(KEY_BACKUP_GATEWAY__LOG__FORMAT)",
            "server.listen: ",
            "(--listen)",
            "origin.url: ",
            "(--origin)",
        ] {
            assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        }
        assert!(ran.stderr.contains("has 5 mistakes"), "{ran:?}");
    }
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let wrong_file = "[origin]\nurl = \"wrong\"\n";
    let desk = Desk::new().with_file("gateway.toml", wrong_file);
    desk.run("check --config gateway.toml").expect(CONFIG);

    let name = "KEY_BACKUP_GATEWAY__ORIGIN__URL";
    let desk = Desk::new()
        .with_file("gateway.toml", wrong_file)
        .with_variable(name, "http://origin:1");
    desk.run("check --config gateway.toml").expect(DONE);

    let desk = Desk::new().with_variable(name, "wrong");
    desk.run("check").expect(CONFIG);
    desk.run("check --origin http://origin:1").expect(DONE);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    for line in ["check --config none.toml", "audit list --config none.toml"] {
        let ran = Desk::new().run(line).expect(CONFIG);
        assert!(ran.stderr.contains("none.toml: cannot be read"), "{ran:?}");
    }
}

#[test]
fn a_password_in_a_wrong_database_url_is_not_echoed() {
    for url in [
        "mysql://gateway:PLANTED-SECRET@localhost/audit",
        "postgres://gateway:PLANTED-SECRET@localhost:port/audit",
        "postgres://gateway:PLANTED-SECRET@[localhost/audit",
        "PLANTED-SECRET",
    ] {
        let serve =
            "serve --origin http://origin:1 --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";
        for line in [
            serve,
            "check --origin http://origin:1",
            "migrate",
            "audit list",
        ] {
            let ran = Desk::new()
                .run(&format!("{line} --database {url}"))
                .expect(CONFIG);
            assert!(ran.stderr.contains("database.url"), "{ran:?}");
            assert!(!format!("{ran:?}").contains("PLANTED"), "{ran:?}");
        }
    }
}
