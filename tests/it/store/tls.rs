//! TLS to Postgres: as `sslmode` wants it, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::store::{Error, Store};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::bench::{Bench, config};
use crate::cluster::Cluster;

/// An authority, whose certificate stands in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate with its key, as PEM.
struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, folder }
    }

    fn sign(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// Puts `text` beside the authority's certificate; returns where.
    fn put(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A server with a certificate for `localhost` that is good until `year`. The role `guest` may come
    /// with TLS only, the role `member` with a certificate only.
    async fn server(&self, year: i32) -> Cluster {
        let signed = self.sign("localhost", year);
        let cluster = Cluster::start_with(|data| {
            fs::write(data.join("server.crt"), signed.certificate).unwrap();
            write_key(&data.join("server.key"), &signed.key);
            fs::copy(self.file(), data.join("ca.crt")).unwrap();
            append(
                &data.join("postgresql.conf"),
                "\nssl = on\nssl_ca_file = 'ca.crt'\n",
            );
            let hba = data.join("pg_hba.conf");
            let others = fs::read_to_string(&hba).unwrap();
            let ours = "hostssl all guest all trust\nhostnossl all guest all reject\n\
                hostssl all member all cert\nhostnossl all member all reject\n";
            fs::write(&hba, format!("{ours}{others}")).unwrap();
        })
        .await;
        cluster
            .execute("CREATE ROLE guest LOGIN SUPERUSER; CREATE ROLE member LOGIN SUPERUSER")
            .await;
        cluster
    }
}

fn write_key(path: &Path, key: &str) {
    fs::write(path, key).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + text).unwrap();
}

/// What migrating says, with these parameters.
async fn migrate(cluster: &Cluster, user: &str, host: &str, parameters: &str) -> Result<(), Error> {
    let url = format!(
        "postgres://{user}@{host}:{}/postgres?{parameters}",
        cluster.port()
    );
    let store = PgStore::open(&config(&url)).unwrap();
    let result = store.migrate().await;
    if result.is_ok() {
        store.check_schema().await.unwrap();
        cluster
            .wait_until(&format!(
                "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl
                JOIN pg_stat_activity USING (pid) WHERE usename = '{user}'"
            ))
            .await;
    }
    store.close().await;
    result
}

fn assert_tls(result: Result<(), Error>, reason: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), "store_tls", "{error:?}");
    assert!(error.to_string().contains("sslmode"), "{error}");
    assert!(format!("{error:?}").contains(reason), "{error:?}");
}

#[tokio::test]
async fn a_certificate_that_is_good_is_taken() {
    let authority = Authority::new();
    let cluster = authority.server(2099).await;
    let root = authority.file();
    for (host, parameters) in [
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={root}"),
        ),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={root}")),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={root}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
    ] {
        let result = migrate(&cluster, "guest", host, &parameters).await;
        assert!(result.is_ok(), "{host} {parameters}: {result:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_is_refused() {
    let authority = Authority::new();
    let cluster = authority.server(2099).await;
    let other = Authority::new();
    let named = format!("sslmode=verify-full&sslrootcert={}", authority.file());
    assert_tls(
        migrate(&cluster, "guest", "127.0.0.1", &named).await,
        "NotValidForName",
    );
    for mode in ["verify-full", "verify-ca", "require"] {
        let other = format!("sslmode={mode}&sslrootcert={}", other.file());
        assert_tls(
            migrate(&cluster, "guest", "localhost", &other).await,
            "InvalidCertificate",
        );
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new();
    let cluster = authority.server(2001).await;
    let parameters = format!("sslmode=verify-full&sslrootcert={}", authority.file());
    assert_tls(
        migrate(&cluster, "guest", "localhost", &parameters).await,
        "Expired",
    );
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to() {
    let bench = Bench::postgres().await;
    let authority = Authority::new();
    for parameters in [
        "sslmode=require".to_owned(),
        format!("sslmode=verify-full&sslrootcert={}", authority.file()),
    ] {
        let url = format!("{}?{parameters}", bench.url());
        let store = PgStore::open(&config(&url)).unwrap();
        assert_tls(store.check_schema().await, "does not support TLS");
    }
}

#[tokio::test]
async fn whoever_must_come_with_tls_and_does_not_is_denied() {
    let authority = Authority::new();
    let cluster = authority.server(2099).await;
    let result = migrate(&cluster, "guest", "127.0.0.1", "sslmode=disable").await;
    assert_eq!(result.unwrap_err().code(), "store_denied");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let cluster = authority.server(2099).await;
    let member = authority.sign("member", 2099);
    let with = format!(
        "sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}",
        authority.file(),
        authority.put("member.pem", &member.certificate),
        authority.put("member.key", &member.key),
    );
    migrate(&cluster, "member", "localhost", &with)
        .await
        .unwrap();
    let without = format!("sslmode=verify-full&sslrootcert={}", authority.file());
    let result = migrate(&cluster, "member", "localhost", &without).await;
    assert_eq!(result.unwrap_err().code(), "store_denied");
}
